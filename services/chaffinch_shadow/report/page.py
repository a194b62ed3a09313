"""The page of a document of `analyze`, or of `GET /v1/evaluation`. Pure; every text is escaped."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaffinch_runtime.page import facts, page, table
from chaffinch_runtime.svg import Chart, draw, text
from chaffinch_shadow.document import NOT_AVAILABLE

Document = Mapping[str, Any]
MOST_FLIPS = 1000


@dataclass(frozen=True, slots=True)
class Flip:
    """A request on which the versions differ.

    Attributes:
        name: its id.
        kind: what it means, such as "lost detection".
        stratum: part that it belongs to, or "".
        what: method and target, where they are known.

    """

    name: str
    kind: str
    stratum: str = ""
    what: str = ""


KINDS = {
    (1, 2): "lost detection",
    (1, 1): "gained detection",
    (0, 1): "new false alarm",
    (0, 2): "repaired false alarm",
    (-1, 2): "control only, no label",
    (-1, 1): "candidate only, no label",
}
"""By label (-1 for none) and 2*control + candidate; the order is that of the list."""


def render(of: Document, flips: Sequence[Flip] | None = None, roc: Chart | None = None) -> str:
    """The page. flips: None where nobody listed them."""
    title = f"ShadowEvaluation {of['namespace']}/{of['name']}" if "namespace" in of else "Shadow evaluation"
    verdict = text(of["verdict"])
    return page(
        title,
        [
            f'<header><h1>{text(title)}</h1><p><span class="v {verdict}">{verdict}</span></p></header>',
            *(f'<p class="note">{text(each["message"])}</p>' for each in of["reasons"]),
            facts(_facts(of)),
            *_confusion(of["cells"]),
            *_tests(of),
            _metrics(of),
            *_areas(of, roc),
            *_strata(of.get("strata") or ()),
            *_coverage(of.get("coverage")),
            *_flips(flips),
        ],
    )


def _facts(of: Document) -> Iterator[tuple[str, str]]:
    yield "Requests", f"{_count(of['requests'])}, {_count(of['labelled'])} of them labelled"
    asked = of["question"]
    yield "Asked", f"{asked['test']} of {asked['metric']}, margin {asked['margin']}, alpha {asked['alpha']}"
    yield "Design", str(asked["design"])
    if asked["prevalence"] is not None:
        yield "Prevalence", str(asked["prevalence"])
    rails = (f"{g['metric']} at most {g.get('maxIncrease', g.get('maxRatio'))}" for g in asked["guardrails"])
    yield "Guardrails", ", ".join(rails) or "none"
    if (noise := of.get("noise")) is not None:
        yield "Second control", f"{_count(noise['differing'])} of {_count(noise['requests'])} answers differ"


def _confusion(cells: Sequence[int]) -> Iterator[str]:
    yield "<h2>Verdicts</h2>"
    pairs = ("neither", "candidate only", "control only", "both")
    yield table(
        "Requests by label and by who detected them",
        ("label", *pairs),
        (("attack", *map(_count, cells[4:])), ("benign", *map(_count, cells[:4]))),
    )
    for name, bit in (("control", 2), ("candidate", 1)):
        found, passed = ([n for place, n in enumerate(cells) if bool(place & bit) is yes] for yes in (True, False))
        yield table(
            f"Confusion table of the {name}",
            ("", "detected", "passed"),
            (
                ("attack", _count(sum(found[2:])), _count(sum(passed[2:]))),
                ("benign", _count(sum(found[:2])), _count(sum(passed[:2]))),
            ),
        )


def _tests(of: Document) -> Iterator[str]:
    discordant, mcnemar = of["discordant"], of["tests"]["mcnemar"]
    parts = (
        ("right alone", discordant, mcnemar),
        ("detected alone", discordant["positive"], mcnemar["positive"]),
        ("false alarm alone", discordant["negative"], mcnemar["negative"]),
    )
    yield "<h2>Same requests, both versions</h2>"
    yield table(
        "McNemar's test; p at any time is valid however often the data are looked at",
        ("", "control", "candidate", "mid-p", "exact p", "p at any time", "p by clusters"),
        (
            (
                name, _count(d["b"]), _count(d["c"]), _number(test["midp"]), _number(test["exact"]),
                _number(d["pAlwaysValid"]), _number((test.get("clusterRobust") or {}).get("p")),
            )
            for name, d, test in parts
        ),
    )  # fmt: skip


def _metrics(of: Document) -> str:
    return table(
        "Metrics with the interval of their difference",
        ("metric", "control", "candidate", "difference", "interval", "method"),
        ((each["name"], *_compared(each), each["method"]) for each in of["metrics"]),
    )


def _compared(of: Document) -> Iterator[str]:
    yield from (_number(of[key]) for key in ("control", "candidate", "difference"))
    limits = of.get("interval")
    yield f"{_number(limits[0])} to {_number(limits[1])}" if isinstance(limits, list) else NOT_AVAILABLE


def _areas(of: Document, roc: Chart | None) -> Iterator[str]:
    auc = of["auc"]
    if auc["control"] == NOT_AVAILABLE:
        return
    yield "<h2>Scores</h2>"
    yield table(
        f"Areas under the ROC curves, off by at most {_number(auc['binBound'])} for bins",
        ("", "control", "candidate", "difference", "interval", "z", "p"),
        (("AUC", *_compared(auc), _number(auc["z"]), _number(auc["p"])),),
    )
    if roc is not None:
        yield draw(roc, "roc")
        yield f"<p>{text(roc.description)}</p>"


def _strata(strata: Iterable[Document]) -> Iterator[str]:
    rows = [
        (each["name"], _count(sum(each["cells"])), _count(each["lost"]), _count(each["gained"]),
         _number(each["pAdjusted"]))
        for each in strata
    ]  # fmt: skip
    if rows:
        yield "<h2>Parts</h2>"
        yield table("Those that lose most first", ("part", "requests", "lost", "gained", "mid-p, Holm"), rows)


def _coverage(of: Document | None) -> Iterator[str]:
    if of is None:
        return
    yield "<h2>Coverage</h2>"
    share = "unknown" if of["share"] is None else f"{float(of['share']):.3%}"
    yield facts(
        (
            ("Copies received", _count(of["received"])),
            ("Pairs", _count(of["pairs"])),
            ("Share of those to be compared", share),
        )
    )
    rows = [
        (each["reason"], each["size"], _count(each["copies"]), "yes" if each["inScope"] else "no")
        for each in of["dropped"]
    ]
    if rows:
        yield table("Copies without a pair", ("reason", "body up to", "copies", "should have been compared"), rows)


def _flips(flips: Sequence[Flip] | None) -> Iterator[str]:
    if flips is None:
        return
    yield "<h2>Requests on which the versions differ</h2>"
    rank = {kind: place for place, kind in enumerate(KINDS.values())}
    ordered = sorted(flips, key=lambda flip: rank[flip.kind])
    shown = ordered[:MOST_FLIPS]
    more = "" if len(shown) == len(ordered) else f"; the first {MOST_FLIPS:,} of them"
    yield table(
        f"{len(ordered):,}, lost detections first{more}",
        ("request", "", "part", "what"),
        ((flip.name, flip.kind, flip.stratum, flip.what) for flip in shown),
    )


def _count(value: object) -> str:
    return f"{int(str(value)):,}"


def _number(value: object) -> str:
    """A number, or the word that stands for one."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, (int, float)) else str(value)
