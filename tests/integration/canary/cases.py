"""Everything a user can get wrong that admission cannot see: how it comes about, what is said, and the way out."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from chaffinch_operator.canary.reasons import IN_FLIGHT, STALLED, Action, Reason
from chaffinch_operator.kube import CANARYROLLOUTS, CRDS, DEPLOYMENTS, PODS, SERVICES
from integration.canary.world import NAME, Object, Shop, deployment, gate, rollout, service
from support import fake_prometheus as prom
from support.gateway_crd import HTTPROUTE_CRD
from support.nodeless import READINESS

Step = Callable[[Shop], Awaitable[None]]
STARTED = IN_FLIGHT
AT_REST = frozenset({Action.IDLE})
PROCEEDS = frozenset({Action.SHIFT})
NOBODY_LISTENS = "http://127.0.0.1:1"
GATEWAY = {"gatewayAPI": {"parentRefs": [{"name": "public"}]}}


@dataclass(frozen=True, slots=True)
class Case:
    """One mistake. `what` names it in the test's id."""

    what: str
    reason: Reason
    says: tuple[str, ...]
    """Parts of the message: the field, and the way out."""
    repair: Step
    """What the message says to do."""
    make: Callable[[Shop], list[tuple[Any, Object]]] = lambda _: [(DEPLOYMENTS, deployment()), (SERVICES, service())]
    """What is there before the CanaryRollout."""
    rollouts: Callable[[Shop], list[Object]] = lambda shop: [rollout(shop.address)]
    """The last one is the one that is looked at."""
    answer: prom.Answer = prom.EMPTY
    """What Prometheus says."""
    later: prom.Answer | None = None
    """What it says once the canary has its first weight: then the mistake shows in mid-canary."""
    action: Action = Action.WAIT
    after: frozenset[Action] = STARTED
    """What goes on after the repair."""
    releases: bool = True
    """Whether the template is changed before."""
    settles: bool = True
    """Whether the target runs before."""

    @property
    def in_flight(self) -> bool:
        """Whether a canary runs meanwhile."""
        return self.action in IN_FLIGHT

    @property
    def stalled(self) -> bool:
        """Whether a person must act."""
        return self.reason in STALLED and not self.in_flight


def applied(resource: Any, obj: Object) -> Step:
    """Apply an object."""

    async def step(shop: Shop) -> None:
        await shop.apply(resource, obj)

    return step


def patched(resource: Any, patch: Object, name: str = NAME) -> Step:
    """Patch an object."""

    async def step(shop: Shop) -> None:
        await shop.patch(resource, patch, name)

    return step


def deleted(resource: Any, name: str) -> Step:
    """Delete an object."""

    async def step(shop: Shop) -> None:
        await shop.delete(resource, name)

    return step


def answered(answer: prom.Answer) -> Step:
    """Prometheus is repaired."""

    async def step(shop: Shop) -> None:
        shop.prometheus.answer(shop.namespace, answer)

    return step


async def with_traffic(shop: Shop) -> None:
    """Prometheus has counters of both arms now."""
    stable = await shop.replica_set_of("v1")
    shop.prometheus.answer(shop.namespace, prom.growing({f"{stable}-x": 200, "shop-canary-x": 100}, time.time()))


async def gates_mended(shop: Shop) -> None:
    """The gate asks for something sensible now."""
    body = await shop.get(CANARYROLLOUTS)
    assert body is not None
    shop.prometheus.answer(shop.namespace, prom.EMPTY)
    await shop.patch(CANARYROLLOUTS, {"spec": {"analysis": {**body["spec"]["analysis"], "gates": [gate()]}}})


async def address_mended(shop: Shop) -> None:
    """The right address of Prometheus."""
    await shop.patch(CANARYROLLOUTS, {"spec": {"analysis": {"provider": {"prometheus": {"address": shop.address}}}}})


async def pods_start(shop: Shop) -> None:
    """The pods that did not get ready do now."""
    for pod in await shop.kube.list(PODS, shop.namespace):
        await shop.patch(PODS, {"metadata": {"labels": {READINESS: None}}}, pod["metadata"]["name"])


async def gateway_api_installed(shop: Shop) -> None:
    """The CRD of HTTPRoute; a stand-in for the real one, with any content."""
    await shop.kube.apply(CRDS, HTTPROUTE_CRD)


def target_cases() -> list[Case]:
    """The Deployment."""
    recreate = deployment()
    recreate["spec"]["strategy"] = {"type": "Recreate"}
    never = deployment(labels={READINESS: "never"})
    return [
        Case(
            "a target that is not there",
            Reason.TARGET_NOT_FOUND,
            ("spec.targetRef.name", "no Deployment shop", "picked up as soon as it is created"),
            applied(DEPLOYMENTS, deployment()),
            make=lambda _: [(SERVICES, service())],
            releases=False,
            settles=False,
            after=AT_REST,
        ),
        Case(
            "a target in mid-rollout",
            Reason.TARGET_PROGRESSING,
            ("Deployment shop", "left to finish first"),
            pods_start,
            make=lambda _: [(DEPLOYMENTS, never), (SERVICES, service())],
            releases=False,
            settles=False,
            after=AT_REST,
        ),
        Case(
            "strategy Recreate",
            Reason.STRATEGY_RECREATE,
            ("strategy Recreate", "spec.strategy.type to RollingUpdate"),
            patched(DEPLOYMENTS, {"spec": {"strategy": {"type": "RollingUpdate"}}}),
            make=lambda _: [(DEPLOYMENTS, recreate), (SERVICES, service())],
        ),
        Case(
            "two CanaryRollouts of one Deployment",
            Reason.TARGET_CONFLICT,
            ("spec.targetRef", "older CanaryRollout older", "delete one of the two"),
            deleted(CANARYROLLOUTS, "older"),
            rollouts=lambda shop: [rollout(shop.address, name="older"), rollout(shop.address)],
        ),
    ]


def service_cases() -> list[Case]:
    """The Service, the route, and a gate that makes no sense."""
    return [
        Case(
            "a missing Service",
            Reason.SERVICE_NOT_FOUND,
            ("spec.serviceRef.name", "no Service shop", "create it"),
            applied(SERVICES, service()),
            make=lambda _: [(DEPLOYMENTS, deployment())],
        ),
        Case(
            "a port that the Service does not have",
            Reason.SERVICE_PORT_NOT_FOUND,
            ("spec.serviceRef.port", "no port 80, only 8888"),
            applied(SERVICES, service()),
            make=lambda _: [(DEPLOYMENTS, deployment()), (SERVICES, service(port=8888))],
        ),
        Case(
            "a Service that does not select the pods",
            Reason.SERVICE_SELECTOR_MISMATCH,
            ("Service shop", "does not select the pods of Deployment shop", "other"),
            applied(SERVICES, service()),
            make=lambda _: [(DEPLOYMENTS, deployment()), (SERVICES, service(app="other"))],
        ),
        Case(
            "a cluster without Gateway API",
            Reason.GATEWAY_API_MISSING,
            ("spec.trafficRouting.gatewayAPI", "install the Gateway API CRDs", "trafficRouting.replicas"),
            gateway_api_installed,
            rollouts=lambda shop: [rollout(shop.address, trafficRouting=GATEWAY)],
        ),
        Case(
            "a gate that admission lets pass and nobody can judge",
            Reason.INVALID_SPEC,
            ("spec.analysis.gates[errors]", "harmRatio"),
            gates_mended,
            rollouts=lambda shop: [rollout(shop.address, gate(harmRatio="0"))],
        ),
    ]


def name_cases() -> list[Case]:
    """Names that are taken."""
    foreign = deployment(name="shop-canary")
    return [
        Case(
            "a foreign Deployment of the canary's name",
            Reason.NAME_TAKEN,
            ("Deployment shop-canary", "did not make", "rename or delete it"),
            deleted(DEPLOYMENTS, "shop-canary"),
            make=lambda _: [(DEPLOYMENTS, deployment()), (SERVICES, service()), (DEPLOYMENTS, foreign)],
        ),
        Case(
            "a foreign Service of the canary's name",
            Reason.NAME_TAKEN,
            ("Service shop-canary", "did not make", "rename or delete it"),
            deleted(SERVICES, "shop-canary"),
            make=lambda _: [
                (DEPLOYMENTS, deployment()),
                (SERVICES, service()),
                (SERVICES, service(name="shop-canary")),
            ],
        ),
        Case(
            "a foreign Deployment of the baseline's name",
            Reason.NAME_TAKEN,
            ("Deployment shop-baseline", "did not make", "rename or delete it"),
            deleted(DEPLOYMENTS, "shop-baseline"),
            make=lambda _: [
                (DEPLOYMENTS, deployment()),
                (SERVICES, service()),
                (DEPLOYMENTS, deployment(name="shop-baseline")),
            ],
            rollouts=lambda shop: [rollout(shop.address, canary={"baseline": "Dedicated"})],
        ),
    ]


def provider_cases() -> list[Case]:
    """Prometheus does not answer as Prometheus."""
    provider = "spec.analysis.provider.prometheus"
    return [
        Case(
            "a Prometheus that nobody reaches",
            Reason.PROVIDER_UNREACHABLE,
            (provider, NOBODY_LISTENS, "until it answers"),
            address_mended,
            rollouts=lambda _: [rollout(NOBODY_LISTENS)],
        ),
        Case(
            "a web page instead of Prometheus",
            Reason.PROVIDER_UNREACHABLE,
            (provider, "HTTP 200", "check the address"),
            answered(prom.EMPTY),
            answer=prom.page(200),
        ),
        Case(
            "an error page of a proxy",
            Reason.PROVIDER_UNREACHABLE,
            (provider, "HTTP 502", "check the address"),
            answered(prom.EMPTY),
            answer=prom.page(502),
        ),
        Case(
            "a Prometheus that wants a login",
            Reason.PROVIDER_UNREACHABLE,
            (provider, "HTTP 401", "provider.prometheus.authSecretRef"),
            answered(prom.EMPTY),
            answer=prom.page(401),
        ),
        Case(
            "a Prometheus that is overloaded",
            Reason.PROVIDER_UNREACHABLE,
            (provider, "too many queries"),
            answered(prom.EMPTY),
            answer=prom.refused(503, "unavailable", "too many queries"),
        ),
    ]


def query_cases() -> list[Case]:
    """Queries that return no raw counters."""
    gates = "spec.analysis.gates[errors]"
    pod = {"pod": "shop-canary-x"}
    buckets = prom.vector(*(({**pod, "le": le}, "10") for le in ("0.1", "0.25", "1.0", "+Inf")))
    latency = gate(name="latency", latency={"histogram": "seconds", "threshold": "300ms"})
    return [
        Case(
            "a query that Prometheus cannot parse",
            Reason.BAD_QUERY,
            (gates, "unexpected end of input"),
            gates_mended,
            answer=prom.refused(400, "bad_data", "parse error: unexpected end of input"),
        ),
        Case(
            "a query that returns NaN",
            Reason.BAD_QUERY,
            (gates, "nan", "must return raw counters"),
            gates_mended,
            answer=prom.vector((pod, "NaN")),
        ),
        Case(
            "a query that returns rates",
            Reason.BAD_QUERY,
            (gates, "0.25", "leave out rate()"),
            gates_mended,
            answer=prom.vector((pod, "0.25")),
        ),
        Case(
            "a query that returns a scalar",
            Reason.BAD_QUERY,
            (gates, "scalar", "select raw counters"),
            gates_mended,
            answer=prom.data("scalar", [0, "1"]),
        ),
        Case(
            "a query that returns text",
            Reason.BAD_QUERY,
            (gates, "string", "select raw counters"),
            gates_mended,
            answer=prom.data("string", [0, "hello"]),
        ),
        Case(
            "a query that returns too much",
            Reason.BAD_QUERY,
            (gates, "larger than 8 MiB", "select fewer series"),
            gates_mended,
            answer=prom.large(9),
        ),
        Case(
            "a query that drops the label of the pod",
            Reason.BAD_QUERY,
            (gates, "without the label pod", "sum by (pod)"),
            gates_mended,
            answer=prom.vector(({}, "5")),
        ),
        Case(
            "a latency threshold that is no bucket boundary",
            Reason.BAD_QUERY,
            ("spec.analysis.gates[latency]", "threshold", "no bucket boundary at 0.3", "only 0.1, 0.25, 1:"),
            gates_mended,
            rollouts=lambda shop: [rollout(shop.address, latency)],
            answer=buckets,
        ),
    ]


def mid_canary_cases() -> list[Case]:
    """What goes wrong while a canary is judged: its weight stays, whatever comes."""
    kept = "weight 34 % is kept"
    pod = {"pod": "shop-canary-x"}
    return [
        Case(
            "metrics that never come",
            Reason.NO_DATA,
            (kept, "returns nothing"),
            with_traffic,
            action=Action.SHIFT,
            after=PROCEEDS,
        ),
        Case(
            "NaN in mid-canary",
            Reason.NO_DATA,
            (kept, "nan"),
            with_traffic,
            action=Action.SHIFT,
            after=PROCEEDS,
            later=prom.vector((pod, "NaN")),
        ),
        Case(
            "series of other pods in mid-canary",
            Reason.NO_DATA,
            (kept, "none of them of stable or of the canary"),
            with_traffic,
            action=Action.SHIFT,
            after=PROCEEDS,
            later=prom.vector(({"pod": "other"}, "5")),
        ),
        Case(
            "a Prometheus that goes away in mid-canary",
            Reason.PROVIDER_UNREACHABLE,
            (kept, "HTTP 502"),
            with_traffic,
            action=Action.SHIFT,
            after=PROCEEDS,
            later=prom.page(502),
        ),
    ]


CASES = (*target_cases(), *service_cases(), *name_cases(), *provider_cases(), *query_cases(), *mid_canary_cases())
