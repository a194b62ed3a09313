"""Alerts during a rollout: which of those that fire are remembered in status, and what the remembered ones do. Pure.

What is remembered is the same in whatever order and however often alerts come: Alertmanager delivers at least once.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from chaffinch_operator import names
from chaffinch_operator.canary import clock, record
from chaffinch_operator.canary.flow import Context
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.model_analysis import Alerts
from chaffinch_operator.canary.reasons import IN_FLIGHT, Action, Reason
from chaffinch_operator.canary.status import AlertStatus, CanaryRolloutStatus
from chaffinch_operator.conditions import cut
from chaffinch_operator.webhook import Alert

KEPT = 5
ROLLBACK, PAUSE = "Rollback", "Pause"
"""Outcomes that are asked for."""
ROLLED_BACK, PAUSED = "RolledBack", "Paused"
"""The same, once the flow has done it."""
_DONE = {ROLLBACK: ROLLED_BACK, PAUSE: PAUSED}
_NAME, _LABEL, _LABELS = 100, 60, 5
"""Characters of a name and of a label in a message, and how many labels it shows: five alerts must fit."""
_SHOWN_FIRST = ("severity", "namespace", "exported_namespace", "pod", "exported_pod", "deployment", "service")
_TRACKS = ("track", "chaffinch_dev_track", "label_chaffinch_dev_track")

Matches = Callable[[Mapping[str, str]], bool]
"""Whether labels meet all of spec.alerts.matchers."""


def recorded(
    spec: CanaryRolloutSpec,
    status: CanaryRolloutStatus,
    place: tuple[str, str],
    found: Sequence[tuple[Alert, datetime]],
    matches: Matches,
) -> CanaryRolloutStatus:
    """The status with what counts of the alerts found; equal to `status` when nothing is new.

    place: namespace and name of the CanaryRollout. found: alerts, each with when the operator was told.
    """
    rules = spec.alerts
    if rules is None or status.last_decision.action not in IN_FLIGHT or _waiting(status, ROLLBACK):
        return status
    known = {_identity(each) for each in status.alerts}
    news: dict[tuple[str, str], AlertStatus] = {}
    for alert, at in found:
        if not alert.firing or not matches(alert.labels):
            continue
        aims = points_at_canary(spec, place, alert.labels)
        if _too_old(status, alert, aims=aims or rules.scope == "Any"):
            continue
        entry = _entry(alert, at, rules, aims=aims)
        if _identity(entry) not in known:
            news.setdefault(_identity(entry), entry)
    kept = sorted([*status.alerts, *news.values()], key=_rank, reverse=True)[:KEPT]
    ordered = sorted(kept, key=_age, reverse=True)
    return status if ordered == list(status.alerts) else status.model_copy(update={"alerts": ordered})


def points_at_canary(spec: CanaryRolloutSpec, place: tuple[str, str], labels: Mapping[str, str]) -> bool:
    """Whether labels name the canary's pods, track, Deployment, Service, or its backend at the gateway."""
    namespace, name = place
    if labels.get("envoy_cluster_name") == f"httproute/{namespace}/{name}/rule/0/backend/1":
        return True  # told by the gateway, whose own namespace is the one in the label
    if _label(labels, "namespace") not in {"", namespace}:
        return False
    canary, service = names.canary_name(spec.target_ref.name), names.canary_name(spec.service_ref.name)
    return (
        _label(labels, "pod").startswith(f"{canary}-"[:58])
        or any(labels.get(track) == "canary" for track in _TRACKS)
        or canary in {_label(labels, "deployment"), _label(labels, "workload")}
        or _label(labels, "service") == service
    )


def waiting(status: CanaryRolloutStatus) -> AlertStatus | None:
    """The alert that is remembered and not acted on yet; a rollback before a pause. None when there is none."""
    if status.last_decision.action not in IN_FLIGHT:
        return None
    return _waiting(status, ROLLBACK) or _waiting(status, PAUSE)


def act(c: Context) -> CanaryRolloutStatus | None:
    """End or pause the rollout for an alert that waits; None when there is none."""
    alert = waiting(c.status)
    if alert is None:
        return None
    done = [each.model_copy(update={"outcome": _DONE.get(each.outcome, each.outcome)}) for each in c.status.alerts]
    status = c.status.model_copy(update={"alerts": done})
    if alert.outcome == ROLLBACK:
        message = f"alert {alert.message}, which began at {alert.starts_at}"
        return record.decided(status, c.now, Action.ROLL_BACK, Reason.ALERT_FIRING, message, weight=0)
    message = (
        f"paused at weight {c.status.weight.desired} % by alert {alert.message}; "
        f"to go on: kubectl chaffinch resume {c.snap.name}"
    )
    return record.decided(status, c.now, Action.PAUSE, Reason.PAUSED_BY_ALERT, message, anew=True)


def _waiting(status: CanaryRolloutStatus, outcome: str) -> AlertStatus | None:
    return next((each for each in status.alerts if each.outcome == outcome), None)


def _too_old(status: CanaryRolloutStatus, alert: Alert, *, aims: bool) -> bool:
    """Whether it began before the candidate; one that is about something else, before the canary had traffic."""
    since = clock.parse(status.candidate_since if aims else status.analysis_started_at)
    return since is None or alert.starts_at < since


def _entry(alert: Alert, at: datetime, rules: Alerts, *, aims: bool) -> AlertStatus:
    outcome = rules.on_firing if aims or rules.scope == "Any" else PAUSE
    about = "about the canary" if aims else "not about the canary" if rules.scope == "CanaryOnly" else "any counts"
    return AlertStatus(
        fingerprint=alert.fingerprint,
        name=cut(_printable(alert.name), _NAME),
        starts_at=clock.stamp(alert.starts_at),
        received_at=clock.stamp(at),
        outcome=outcome,
        message=cut(f"{cut(_printable(alert.name), _NAME) or alert.fingerprint} {_told(alert.labels)} ({about})", 300),
    )


def _told(labels: Mapping[str, str]) -> str:
    ordered = [name for name in _SHOWN_FIRST if name in labels]
    ordered += [name for name in sorted(labels) if name not in ordered and name != "alertname"]
    shown = (f"{cut(_printable(n), 30)}={cut(_printable(labels[n]), _LABEL)}" for n in ordered[:_LABELS])
    return "{" + ", ".join(shown) + "}"


def _printable(text: str) -> str:
    """Without characters that could play tricks on a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _label(labels: Mapping[str, str], name: str) -> str:
    """A label; where the scraped program said it itself, Prometheus keeps that as `exported_`."""
    return labels.get(f"exported_{name}") or labels.get(name, "")


def _identity(entry: AlertStatus) -> tuple[str, str]:
    return entry.fingerprint, entry.starts_at


def _rank(entry: AlertStatus) -> tuple[bool, datetime, str]:
    """What must not be forgotten comes last: a rollback, then what began latest."""
    return entry.outcome in {ROLLBACK, ROLLED_BACK}, *_age(entry)


def _age(entry: AlertStatus) -> tuple[datetime, str]:
    return clock.parse(entry.starts_at) or clock.EPOCH, entry.fingerprint
