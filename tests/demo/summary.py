"""What the tour came to: `build/demo/summary.json`, the sentences at the end, and whether all went as it should. Pure.

summary.json:

    ok             whether there is no problem; `make demo` exits non-zero otherwise
    problems       sentences
    platform       local, kind or current
    startedAt      RFC 3339
    seconds        {setUp, total}
    load           {ratePerSecond, requests, stable, canary, answered500, failed, failures{status: count}, skipped,
                    latencyMs{p50, p99}}: what clients saw from the first release to the end
    releases[]
      version, title, expected, asExpected
      decision, reason, message, gates[]      what the operator said at its decision (null, "" and [] without one)
      secondsToDecision, secondsToSettled     from `kubectl apply`
      requests       {operator: {canary, stable}, clients: {canary, stable}}   until the decision; until it was settled
      errorsOfCandidate                       requests that the canary answered 500, as clients counted
      failedRequests, failures[]              client requests that failed, must be 0; {second, count, status},
                                              since `kubectl apply`
      stablePodsRestarted                     stable pods deleted (before a promotion) or restarted; must be 0
      shares[]       {weight, operator: {...}, clients: {...}}, each {canaryRequests, totalRequests, observed,
                     tolerance, within}: within is |observed - weight| <= tolerance, which is three standard
                     deviations of a binomial share
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from chaffinch_operator.canary.clock import stamp
from chaffinch_operator.canary.status import Counts
from demo.course import Course
from demo.scenario import Release
from demo.shares import Share
from support.load.outcome import Kind
from support.load.tally import Tally


@dataclass(frozen=True, slots=True)
class StepShares:
    """One weight, counted by the operator and by the clients."""

    operator: Share
    clients: Share

    def to_json(self) -> Mapping[str, Any]:
        """As plain data."""
        return {"weight": self.operator.weight, "operator": self.operator.to_json(), "clients": self.clients.to_json()}


@dataclass(frozen=True, slots=True)
class Failure:
    """Client requests that failed in one second."""

    second: float
    count: int
    status: str


@dataclass(frozen=True, slots=True)
class Result:
    """One release, over."""

    release: Release
    course: Course
    seconds_to_settled: float | None
    clients: Tally
    failures: Sequence[Failure]
    shares: Sequence[StepShares]
    stable_pods_restarted: int

    @property
    def as_expected(self) -> bool:
        """Whether it was decided as it should, and carried out."""
        return (
            self.course.decision is not None
            and self.course.decision.action is self.release.expected
            and self.course.settled
        )

    @property
    def errors_of_candidate(self) -> int:
        """Requests that the candidate answered 500 while it was one."""
        return self.clients.count(kind=Kind.INJECTED, version=self.release.version.name, track="canary")

    def problems(self) -> Iterator[str]:
        """What should not have been."""
        version, decision = self.release.version.name, self.course.decision
        if decision is None:
            yield f"{version}: no decision"
        elif decision.action is not self.release.expected:
            yield f"{version}: {decision.action} ({decision.reason}), expected {self.release.expected}"
        elif not self.course.settled:
            yield f"{version}: {decision.action} was decided but not carried out in time"
        if self.clients.failed:
            yield f"{version}: {self.clients.failed} client requests failed: {self.clients.failures()}"
        if self.stable_pods_restarted:
            yield f"{version}: {self.stable_pods_restarted} stable pods were restarted"

    def to_json(self) -> Mapping[str, Any]:
        """As plain data."""
        decision, version = self.course.decision, self.release.version.name
        canary, stable = (decision.canary, decision.stable) if decision else (Counts(), Counts())
        return {
            "version": version,
            "title": self.release.title,
            "expected": str(self.release.expected),
            "asExpected": self.as_expected,
            "decision": str(decision.action) if decision else None,
            "reason": decision.reason if decision else "",
            "message": decision.message if decision else "",
            "gates": list(decision.sentences) if decision else [],
            "secondsToDecision": _rounded(self.course.seconds_to_decision),
            "secondsToSettled": _rounded(self.seconds_to_settled),
            "requests": {"operator": {"canary": canary.total, "stable": stable.total}, "clients": _arms(self.clients)},
            "errorsOfCandidate": self.errors_of_candidate,
            "failedRequests": self.clients.failed,
            "failures": [asdict(f) for f in self.failures],
            "stablePodsRestarted": self.stable_pods_restarted,
            "shares": [s.to_json() for s in self.shares],
        }


@dataclass(frozen=True, slots=True)
class Summary:
    """The whole tour."""

    platform: str
    started_at: datetime
    set_up_seconds: float
    total_seconds: float
    rate: float
    planned: int
    """How many releases there should have been."""
    results: Sequence[Result]
    load: Tally
    trouble: str = ""
    """What ended the tour early."""

    def problems(self) -> list[str]:
        """All that should not have been."""
        found = [p for result in self.results for p in result.problems()]
        accounted = sum(r.clients.failed for r in self.results)
        if self.load.failed > accounted:
            found.append(f"{self.load.failed - accounted} requests failed between releases: {self.load.failures()}")
        if self.trouble:
            found.append(self.trouble)
        if len(self.results) < self.planned:
            found.append(f"only {len(self.results)} of {self.planned} releases were made")
        return found

    def to_json(self) -> Mapping[str, Any]:
        """As plain data; the schema is in the module's docstring."""
        problems = self.problems()
        return {
            "ok": not problems,
            "problems": problems,
            "platform": self.platform,
            "startedAt": stamp(self.started_at),
            "seconds": {"setUp": _rounded(self.set_up_seconds), "total": _rounded(self.total_seconds)},
            "load": {
                "ratePerSecond": self.rate,
                "requests": self.load.requests,
                **_arms(self.load),
                "answered500": self.load.count(kind=Kind.INJECTED),
                "failed": self.load.failed,
                "failures": self.load.failures(),
                "skipped": self.load.skipped,
                "latencyMs": {f"p{q}": _rounded(self.load.quantile_ms(q / 100)) for q in (50, 99)},
            },
            "releases": [r.to_json() for r in self.results],
        }


def _arms(tally: Tally) -> Mapping[str, int]:
    return {"canary": tally.count(track="canary"), "stable": tally.count(track="stable")}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
