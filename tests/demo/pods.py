"""Which stable pods were touched: deleted, or restarted in place. Pure; fed with a watch on pods."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from chaffinch_operator.canary.clock import parse
from chaffinch_operator.names import LABEL_TRACK


@dataclass(slots=True)
class _Pod:
    restarts: int
    gone_at: datetime | None = None


@dataclass(slots=True)
class StablePods:
    """The stable pods there were at the beginning, and what became of them."""

    _pods: dict[str, _Pod] = field(default_factory=dict)
    _first: dict[str, int] = field(default_factory=dict)

    def begin(self) -> None:
        """From now on these pods are to be left alone."""
        self._pods = {uid: pod for uid, pod in self._pods.items() if pod.gone_at is None}
        self._first = {uid: pod.restarts for uid, pod in self._pods.items()}

    def see(self, kind: str, pod: Mapping[str, Any], now: datetime) -> None:
        """Take in one event of the watch; canary pods are none of ours."""
        meta = pod["metadata"]
        if LABEL_TRACK in meta.get("labels", {}):
            return
        known = self._pods.setdefault(meta["uid"], _Pod(0))
        known.restarts = max(known.restarts, _restarts(pod))
        if known.gone_at is None and (kind == "DELETED" or "deletionTimestamp" in meta):
            known.gone_at = _asked_to_go(meta) or now

    def touched(self, until: datetime | None = None) -> int:
        """How many of the first pods were restarted or, until that moment, deleted."""
        return sum(1 for uid, restarts in self._first.items() if self._was_touched(self._pods[uid], restarts, until))

    def _was_touched(self, pod: _Pod, restarts: int, until: datetime | None) -> bool:
        gone = pod.gone_at is not None and (until is None or pod.gone_at < until)
        return gone or pod.restarts > restarts


def _restarts(pod: Mapping[str, Any]) -> int:
    statuses = pod.get("status", {}).get("containerStatuses") or []
    return sum(int(s.get("restartCount", 0)) for s in statuses)


def _asked_to_go(meta: Mapping[str, Any]) -> datetime | None:
    """When the deletion was asked for: the timestamp is the end of the grace period."""
    end = parse(str(meta.get("deletionTimestamp", "")))
    return end - timedelta(seconds=int(meta.get("deletionGracePeriodSeconds") or 0)) if end else None
