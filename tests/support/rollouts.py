"""A shop for tests: the sample application in a namespace of its own, under a CanaryRollout that is quick.

Every wait is on a condition with a deadline; what fails says status, course and the operator's last words.
"""

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chaffinch_operator.canary.reasons import Action, Reason
from chaffinch_operator.canary.status import CanaryRolloutStatus
from chaffinch_operator.names import baseline_name, canary_name
from cluster import Access, ClusterError
from cluster.deadline import wait_until
from support.kubectl import Kubectl, Object
from support.load.process import Load
from support.operator import REPOSITORY, Operator
from support.sample import IMAGE, App, RolloutPlan, Version, gateway_gates
from support.timeline import KIND, Predicate, Seen, Timeline, doing

PLUGIN = REPOSITORY / ".venv" / "bin" / "kubectl-chaffinch"
TRACK = "chaffinch.dev/track"
SECONDS = 60.0
_CLOSE_SECONDS = 20.0
FIRST = Version("v1", error_rate=0.002)


@dataclass(frozen=True, slots=True)
class Grounds:
    """Where shops stand: a cluster with a Gateway and a Prometheus, and Chaffinch's kinds and rights."""

    access: Access
    kubectl: Kubectl
    gateway: str
    """Address of the Gateway."""
    prometheus: str
    """host:port of Prometheus, as the operator under test reaches it."""

    def plan(self) -> RolloutPlan:
        """Quick: scrapes are a second apart here."""
        return RolloutPlan(
            steps=((10, "3s"), (50, "3s")),
            interval="3s",
            query_offset="2s",
            warmup="2s",
            alpha="0.001",
            gates=gateway_gates(safe_below="0.02", latency_threshold="500ms"),
            prometheus=f"http://{self.prometheus}",
            scale_down_delay_seconds=2,
            progress_deadline_seconds=60,
        )


@dataclass(frozen=True, slots=True)
class Pod:
    """What must stay the same of a pod that nobody touches."""

    uid: str
    restarts: int
    ready: bool = field(compare=False)


@dataclass(frozen=True, slots=True)
class Said:
    """What a command answered."""

    exit_status: int
    output: str
    errors: str


def deep_merge(base: Object, over: Mapping[str, Any]) -> Object:
    """`base` with `over` laid over it: maps are merged, all else is replaced; None removes."""
    merged = dict(base)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = deep_merge(merged[key], value)
        else:
            merged[key] = value
    return merged


class Shop:
    """One application and its CanaryRollout. `open` makes it, `close` removes it without waiting."""

    def __init__(
        self,
        grounds: Grounds,
        namespace: str,
        operator: Operator,
        *,
        replicas: int = 3,
        spec: Mapping[str, Any] | None = None,
        server_side: bool = False,
        image: str = IMAGE,
    ) -> None:
        self.grounds, self.operator, self._kubectl = grounds, operator, grounds.kubectl
        self.app = App(namespace=namespace, replicas=replicas, image=image)
        self.namespace, self.name = namespace, self.app.name
        self.server_side = server_side
        self.rollout = deep_merge(grounds.plan().canary_rollout(self.app), {"spec": spec or {}})
        self.deployment: Object = {}
        self.writing = threading.Lock()
        """Held while Git and the cluster may differ because an apply is under way."""
        self.timeline = Timeline(grounds.kubectl, namespace, self.name)
        self._open = contextlib.ExitStack()

    # set-up and removal

    def open(self, version: Version = FIRST) -> "Shop":
        """Namespace, Deployment, Service and CanaryRollout; returns when all of it is at rest."""
        self.begin(version)
        self.settle()
        return self

    def begin(self, version: Version = FIRST) -> None:
        """Make everything but the CanaryRollout; waits for nothing."""
        self._kubectl.apply(self.app.namespace_object())
        self._open.enter_context(self.timeline)
        self.deployment = self.app.deployment(version)
        self.apply(self.deployment, self.app.service())

    def settle(self, seconds: float = 90.0) -> None:
        """Wait for the pods, then make the CanaryRollout and wait until it is at rest."""
        self.wait_rolled_out(seconds)
        self.apply(self.rollout)
        self.wait(doing(Action.IDLE, Reason.PROMOTED), seconds, "the first revision at rest")

    def close(self) -> None:
        """Remove the namespace, and wait for nothing."""
        self._open.close()
        # a namespace ends its pods before all else; without this the CanaryRollout would need the operator for as long
        self.kubectl("delete", KIND, self.name, "--ignore-not-found", "--wait=false")
        self._kubectl("delete", "namespace", self.namespace, "--ignore-not-found", "--wait=false")

    # what a user does

    def kubectl(self, *arguments: str, stdin: str | None = None, seconds: float = SECONDS) -> str:
        """Run kubectl in the shop's namespace; KubectlError when it fails."""
        return self._kubectl(f"--namespace={self.namespace}", *arguments, stdin=stdin, seconds=seconds)

    def apply(self, *objects: Object) -> str:
        """Apply objects, client-side or server-side, never by force."""
        return self.kubectl("apply", *self._how(), "--filename=-", stdin=_list(objects))

    def diff(self) -> str:
        """What kubectl diff says: empty when the cluster has what Git says, else KubectlError tells."""
        return self.kubectl("diff", *self._how(), "--filename=-", stdin=self.text())

    def text(self) -> str:
        """What Git would have, as kubectl reads it."""
        return _list(self.manifests)

    @property
    def manifests(self) -> list[Object]:
        """What Git would have."""
        return [self.deployment, self.app.service(), self.rollout]

    def release(self, version: str, *, error_rate: float = 0.002, slow_rate: float = 0.0, delay_ms: int = 0) -> int:
        """Apply another version; waits look only at what comes after it. Returns the timeline's position."""
        return self.release_version(Version(version, error_rate, slow_rate, delay_ms))

    def release_version(self, version: Version) -> int:
        """Apply a version that may have been there before."""
        with self.writing:
            position = self.timeline.mark()
            self.deployment = self.app.deployment(version)
            self.apply(self.deployment)
        return position

    def configure(self, spec: Mapping[str, Any]) -> None:
        """Change the CanaryRollout's spec."""
        with self.writing:
            self.rollout = deep_merge(self.rollout, {"spec": spec})
            self.apply(self.rollout)

    def chaffinch(self, *arguments: str) -> Said:
        """Run kubectl-chaffinch as a person does; never raises."""
        command = [*self.grounds.access.command_prefix, str(PLUGIN), f"--namespace={self.namespace}", *arguments]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**self._kubectl.environment, "NO_COLOR": "1"},
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def delete_rollout(self, *, wait: bool = False) -> None:
        """Delete the CanaryRollout."""
        self.kubectl("delete", KIND, self.name, f"--wait={str(wait).lower()}")

    # what is there

    def status(self) -> CanaryRolloutStatus:
        """The status as the API server has it now."""
        body = self._kubectl.get(KIND, self.name, self.namespace)
        return CanaryRolloutStatus.model_validate((body or {}).get("status") or {})

    def get(self, kind: str, name: str = "") -> Object | None:
        """An object, by default of the application's name."""
        return self._kubectl.get(kind, name or self.name, self.namespace)

    @property
    def paused(self) -> bool:
        """Whether the Deployment is held."""
        return bool((self.get("deployment") or {"spec": {}})["spec"].get("paused"))

    def selector(self) -> dict[str, str]:
        """The Service's selector."""
        return dict((self.get("service") or {"spec": {"selector": {}}})["spec"]["selector"])

    def stable_pods(self) -> dict[str, Pod]:
        """The target's own pods by name, without those that are ending."""
        return self._pods(f"app={self.name},!{TRACK}")

    def canary_pods(self) -> dict[str, Pod]:
        """The canary's pods by name."""
        return self._pods(f"app={self.name},{TRACK}=canary")

    def baseline_pods(self) -> dict[str, Pod]:
        """The dedicated baseline's pods by name."""
        return self._pods(f"app={self.name},{TRACK}=baseline")

    def canary_is_gone(self) -> bool:
        """Nothing of a canary or its baseline is left: Deployment, Service, pods, backend of the route."""
        route = self.get("httproute") or {"spec": {"rules": [{"backendRefs": []}]}}
        return (
            len(route["spec"]["rules"][0]["backendRefs"]) < 2
            and not self._pods(f"app={self.name},{TRACK}")
            and all(
                self.get(kind, name(self.name)) is None
                for kind in ("deployment", "service")
                for name in (canary_name, baseline_name)
            )
        )

    def events(self) -> list[Object]:
        """Events about the CanaryRollout."""
        found = self._kubectl.list("events.events.k8s.io", self.namespace)
        return [e for e in found if e.get("regarding", {}).get("kind") == "CanaryRollout"]

    # waiting

    def wait(self, predicate: Predicate, seconds: float, what: str) -> Seen:
        """The next state from where the last wait ended whose status matches."""
        return self._find(lambda seen: not seen.gone and predicate(seen.status), seconds, what)

    def wait_gone(self, seconds: float) -> Seen:
        """Wait until the CanaryRollout is gone."""
        return self._find(lambda seen: seen.gone, seconds, "the end of the CanaryRollout")

    def wait_promoted(self, seconds: float = 120.0) -> Seen:
        """Wait until a candidate was promoted and all is at rest."""
        self.wait(doing(Action.PROMOTE), seconds, "promotion")
        return self.wait(doing(Action.IDLE), seconds, "rest after the promotion")

    def wait_rolled_back(self, seconds: float = 120.0) -> Seen:
        """Wait until a candidate was rolled back and all is at rest."""
        self.wait(doing(Action.ROLL_BACK), seconds, "rollback")
        return self.wait(doing(Action.REJECTED), seconds, "rest after the rollback")

    def wait_for(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for something that the status does not tell."""
        wait_until(condition, what, seconds=seconds, poll=0.5, explain=self.explain)

    def wait_rolled_out(self, seconds: float = 90.0) -> None:
        """Wait until the Deployment's own rollout is over."""
        self.kubectl("rollout", "status", f"deployment/{self.name}", f"--timeout={seconds:.0f}s", seconds=seconds + 10)

    @contextlib.contextmanager
    def load(
        self, rate: float = 120.0, *, clients: int = 12, address: str = "", new_connections: float = 0.05
    ) -> Iterator[Load]:
        """Steady requests, by default through the Gateway, while the block runs; `between()` gives the totals."""
        options: dict[str, str | float] = {
            "address": address or self.grounds.gateway,
            "host": self.app.host,
            "rate": rate,
            "clients": clients,
            "new_connections": new_connections,
        }
        with Load(options, prefix=self.grounds.access.command_prefix) as load:
            self.wait_for(lambda: self._served(load), 30.0, "answers to requests")
            yield load

    def explain(self) -> str:
        """What is known, for a message."""
        last = self.timeline.last
        status = last.status.model_dump_json(by_alias=True, exclude_defaults=True) if last else "never seen"
        return (
            f"\nnamespace {self.namespace}\n{self.timeline.describe()}\nstatus: {status[:4000]}\n"
            f"operator:\n{self.operator.tail()}"
        )

    # inside

    def _find(self, holds: Callable[[Seen], bool], seconds: float, what: str) -> Seen:
        found = self.timeline.find(holds, seconds)
        assert not self.timeline.wrong, f"{self.timeline.wrong}{self.explain()}"
        assert found is not None, f"{what} not seen within {seconds:.0f} s{self.explain()}"
        return found

    def _served(self, load: Load) -> bool:
        load.check()
        seconds = load.seconds()
        return bool(seconds) and seconds[-1].tally.requests > 0 and seconds[-1].tally.failed == 0

    def _how(self) -> Sequence[str]:
        return ("--server-side", "--field-manager=kubectl") if self.server_side else ()

    def _pods(self, labels: str) -> dict[str, Pod]:
        return {
            p["metadata"]["name"]: _pod(p)
            for p in self._kubectl.list("pods", self.namespace, labels)
            if "deletionTimestamp" not in p["metadata"]
        }


def _pod(body: Object) -> Pod:
    status = body.get("status") or {}
    restarts = sum(c.get("restartCount", 0) for c in status.get("containerStatuses") or [])
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or [])
    return Pod(body["metadata"]["uid"], restarts, ready)


def _list(objects: Sequence[Object]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


@dataclass(slots=True)
class Street:
    """The namespaces of one operator; each shop takes the next."""

    grounds: Grounds
    operator: Operator
    _shops: list[Shop] = field(default_factory=list)

    def open(self, version: Version = FIRST, **options: Any) -> Shop:
        """A shop at rest."""
        return self.new(**options).open(version)

    def open_all(self, *each: Mapping[str, Any]) -> list[Shop]:
        """Several shops at once, each with its options."""
        shops = [self.new(**options) for options in each]
        for shop in shops:
            shop.begin()
        for shop in shops:
            shop.settle()
        return shops

    def new(self, **options: Any) -> Shop:
        """A shop of which nothing is made yet."""
        assert len(self._shops) < len(self.operator.namespaces), "the operator watches no more namespaces"
        shop = Shop(self.grounds, self.operator.namespaces[len(self._shops)], self.operator, **options)
        self._shops.append(shop)
        return shop

    def close(self) -> None:
        """Remove all shops that were begun; returns once no CanaryRollout of theirs needs the operator any more."""
        begun = [shop for shop in self._shops if shop.deployment]
        for shop in begun:
            shop.close()
        with contextlib.suppress(ClusterError):
            wait_until(lambda: not any(map(_left, begun)), "no CanaryRollout", seconds=_CLOSE_SECONDS)
        for shop in filter(_left, begun):
            shop.kubectl("patch", KIND, shop.name, "--type=merge", '--patch={"metadata":{"finalizers":null}}')


def _left(shop: Shop) -> bool:
    return shop.get(KIND) is not None
