"""Which share of the requests each track got at each weight, as clients saw it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from chaffinch_operator.canary.clock import parse
from chaffinch_operator.canary.reasons import Action, Reason
from support.load.process import Load
from support.rollouts import Shop
from support.timeline import doing

_SETTLED_SECONDS = 2.0
_TRACKS = ("stable", "canary", "baseline")


@dataclass(frozen=True, slots=True)
class Share:
    """What clients saw at one weight: answers by track."""

    weight: int
    answers: Mapping[str, int]

    @property
    def total(self) -> int:
        """All answers."""
        return sum(self.answers.values())

    def sigmas(self, track: str, percent: float) -> float:
        """How far a track's answers are from a share, in standard deviations of a binomial."""
        p = percent / 100
        return abs(self.answers[track] - p * self.total) / math.sqrt(max(1.0, p * (1 - p) * self.total))


def observed_shares(shop: Shop, load: Load) -> list[Share]:
    """What clients saw at each weight, from when it was in force until the next decision."""
    found = []
    states = shop.timeline.since(0)
    analyzing = doing(Action.SHIFT, Reason.ANALYZING)
    begins = [
        n
        for n, s in enumerate(states)
        if s.status.weight.since and analyzing(s.status) and states[n - 1].status.weight.since != s.status.weight.since
    ]
    for begin in begins:
        weight, since = states[begin].status.weight.applied, parse(states[begin].status.weight.since)
        change = next(s for s in states[begin:] if s.status.weight.desired != weight)
        decided = parse(change.status.last_decision.at)
        assert since is not None
        assert decided is not None
        seen = load.between(since.timestamp() + _SETTLED_SECONDS, min(change.at, decided.timestamp()) - 1.0)
        share = Share(weight, {track: seen.count(track=track) for track in _TRACKS})
        if weight and share.total:
            found.append(share)
    return found
