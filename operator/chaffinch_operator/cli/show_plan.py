"""The screen of `plan`: gates, steps, promotion, bottleneck, advice and warnings. Pure."""

import math
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from chaffinch_operator.cli import words
from chaffinch_operator.cli.advice import Advice
from chaffinch_operator.cli.forecasts import GOOD, WORSENINGS
from chaffinch_operator.cli.planning import Estimate, GatePlan, Plan

_TITLES = (*(f"{ratio:g}x" for ratio in WORSENINGS), "good passes")
_NEVER = "never"


def plan_screen(plan: Plan, key: str) -> RenderableType:
    """All of it."""
    return Group(*_parts(plan, key))


def _parts(plan: Plan, key: str) -> Iterator[RenderableType]:
    yield Text.assemble((key, "bold"), f"  {plan.setting.spec.analysis.mode}, {_steps_line(plan)}")
    yield Text("Times since the canary's first weight: expected, in brackets the 90th percentile", style="dim")
    yield Text("")
    yield _gates_table(plan)
    yield Text("")
    yield _steps_table(plan)
    yield Text("")
    for gate in plan.gates:
        if gate.traffic is not None:
            yield Text(f"{gate.name}: {_traffic_line(gate)}", style="dim")
    yield Text("")
    yield _promotion(plan)
    yield from (Text(line) for line in advice_lines(plan))
    yield from (Text(line, style="yellow") for line in warnings(plan))


def _steps_line(plan: Plan) -> str:
    parts = []
    for leg in plan.setting.legs:
        lasts = "until a person promotes" if leg.waits_for_person else words.duration(leg.seconds)
        parts.append(f"{leg.weight} % {lasts}" if leg.blind_seconds else f"pause {lasts}")
    return ", ".join(parts)


def _table(*first: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", collapse_padding=True)
    for title in (*first, *_TITLES):
        table.add_column(title, no_wrap=True)
    return table


def _gates_table(plan: Plan) -> Table:
    table = _table("GATE")
    for gate in plan.gates:
        name = gate.name if gate.acting else f"{gate.name} (dry run)"
        cells = [_cell(e, step=True) for e in gate.estimates] or ["no forecast: gathers no evidence"]
        table.add_row(Text(name, style="bold"), *cells)
    return table


def _steps_table(plan: Plan) -> Table:
    """Each weight on its own, as if the rollout had it from the beginning."""
    table = _table("ONLY STEP", "GATE")
    for gate in plan.gates:
        for step in gate.steps:
            table.add_row(f"{step.number}: {step.weight} %", gate.name, *(_cell(e) for e in step.estimates))
    return table


def _cell(estimate: Estimate, *, step: bool = False) -> str:
    if not estimate.happens:
        return _NEVER
    late = words.duration(estimate.p90) if math.isfinite(estimate.p90) else _NEVER
    where = f" step {estimate.step}" if step and estimate.step is not None else ""
    rare = f" {words.percent(estimate.happens)} of rollouts" if estimate.happens < 0.9 else ""
    return f"{words.duration(estimate.expected)} ({late}){where}{rare}"


def _traffic_line(gate: GatePlan) -> str:
    traffic = gate.traffic
    assert traffic is not None
    return f"{traffic.per_second:,.3g} a second, {words.percent(traffic.bad_share)} bad ({traffic.origin})"


def _promotion(plan: Plan) -> Text:
    good, needs = plan.promotion, plan.needs_evidence
    if not needs:
        return Text(
            f"A canary without harm is promoted when the steps are over: after {words.duration(plan.steps_end)}."
        )
    if not math.isfinite(good.median):
        return Text("A good canary is not promoted: see the gate that never passes.")
    return Text(
        f"A good canary is promoted after {_after(good)}, "
        f"within maxDuration {plan.setting.spec.promotion.max_duration} in {words.percent(plan.in_time)} of rollouts."
    )


def _after(estimate: Estimate) -> str:
    late = words.duration(estimate.p90) if math.isfinite(estimate.p90) else _NEVER
    expected = words.duration(estimate.expected) if math.isfinite(estimate.expected) else _NEVER
    return f"{expected} (90th percentile {late})"


def advice_lines(plan: Plan) -> list[str]:
    """Which gate is the bottleneck, and what would halve it."""
    out = []
    if plan.bottleneck is not None:
        out.append(f"Bottleneck: {plan.bottleneck}.")
    elif plan.needs_evidence and math.isfinite(plan.promotion.median):
        out.append(
            f"Bottleneck: the steps. By their end, after {words.duration(plan.steps_end)}, half of all good canaries "
            "have passed every gate; only shorter steps are faster."
        )
    return out + [_advice(advice) for advice in plan.advice]


def _advice(advice: Advice) -> str:
    what = f"{advice.gate} to pass" if advice.ratio == GOOD else f"{advice.gate} to catch {advice.ratio:g}x"
    ways = []
    if advice.weights is not None:
        weights = words.listing([str(w) for w in advice.weights.values()])
        ways.append(f"weights {weights} % ({words.duration(advice.weights_seconds)})")
    if advice.margin is not None:
        ways.append(f"marginRatio {advice.margin:g} ({words.duration(advice.margin_seconds)})")
    now = f"To halve the time for {what} (median {words.duration(advice.seconds)})"
    if ways:
        return f"{now}: {' or '.join(ways)}."
    limits = "no weight up to 50 % and no margin up to 10 does" if advice.ratio == GOOD else "no weight up to 50 % does"
    return f"{now}: {limits}; it takes more traffic."


def warnings(plan: Plan) -> Sequence[str]:
    """What will go wrong."""
    out = [
        f"warning: gate {gate.name} never passes a canary like stable: its bad share is at or beyond what is allowed"
        for gate in plan.gates
        if gate.acting and gate.good is not None and not gate.good.happens and plan.needs_evidence
    ]
    out += [
        f"warning: gate {gate.name} saw no bad request, and any multiple of none is none: say what is usual with "
        f"--bad-rate {gate.name}=0.0001"
        for gate in plan.gates
        if gate.traffic is not None and gate.traffic.bad_share == 0.0
    ]
    if plan.late and math.isfinite(plan.promotion.median):
        out.append(
            f"warning: this does not fit into maxDuration {plan.setting.spec.promotion.max_duration}: half of all good "
            f"canaries take longer than {words.duration(plan.promotion.median)}"
        )
    if plan.setting.steps_end > plan.max_duration:
        out.append(
            f"warning: the steps alone take {words.duration(plan.steps_end)}, longer than maxDuration "
            f"{plan.setting.spec.promotion.max_duration}"
        )
    if plan.waits_for_person:
        numbers = words.listing([str(n) for n in plan.waits_for_person])
        out.append(f"note: the pause of step {numbers} lasts until a person promotes; it counts as nothing here")
    return out
