"""The tour of an evaluation, `python -m demo.shadow`: a stricter firewall on live copies and on recorded requests."""

import base64
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cluster
from chaffinch_shadow.collect.coverage import RATIO_ALPHA
from chaffinch_stats.paired import NotAvailable
from chaffinch_stats.paired.chi_square import sample_ratio
from cluster import Access
from cluster.deadline import wait_until
from demo import stage
from demo.errors import TourError
from demo.settings import REPOSITORY
from support import ledgers
from support.kubectl import Kubectl, KubectlError, Object
from support.waf import objects
from support.waf.objects import CANDIDATE, CONTROL, HOST, NAMES
from support.waf.requests import WHOLE

NAMESPACE = "demo-shadow"
FOLDER = REPOSITORY / "tests" / "support" / "waf"
KIND = "shadowevaluations.chaffinch.dev"
LIVE, RECORDED = "live", "recorded"
PERCENT, LIVE_REQUESTS = 20, 1000
_SECONDS, _REPLAY_SECONDS = 300.0, 3600.0
_SHOWN, _PROBES = 3, 20
Tell = Callable[[str], None]


class Tour:
    """Both evaluations, in one namespace."""

    def __init__(self, kubectl: Kubectl, tell: Tell, count: int) -> None:
        self._kubectl, self._tell, self._count = kubectl, tell, count

    def deploy(self) -> None:
        """Two firewalls and a route to the first."""
        self._kubectl.apply(*objects.shop(NAMESPACE))
        for name in NAMES:
            target = f"deployment/{name}"
            self._kubectl(
                "rollout",
                "status",
                f"--namespace={NAMESPACE}",
                target,
                f"--timeout={_SECONDS:.0f}s",
                seconds=_SECONDS + 10,
            )
        self._tell(f"{CONTROL} has paranoia level 1, {CANDIDATE} level 2; the route {HOST} leads to {CONTROL}")

    def mirror(self, gateway: str) -> None:
        """Copies of a share of live requests, counted against what was sent."""
        self._kubectl.apply(objects.live(NAMESPACE, LIVE, PERCENT))
        self._wait(LIVE, "its filter in the route", lambda status: _condition(status, "Mirror"))
        self._tell(f"{PERCENT} % of requests are copied: HTTPRoute {CONTROL} has a RequestMirror filter")
        wait_until(lambda: self._copies(gateway), "the gateway to copy", seconds=60.0, poll=1.0)
        before = self._settled()
        sent = int(self._in(CONTROL, "send", HOST, gateway, str(LIVE_REQUESTS)))
        copied = self._settled() - before
        p = self._ratio(copied, sent)
        self._tell(f"{sent} live requests answered, {copied} copies ({copied / sent:.1%}): sample ratio p {p:.3g}")
        self._expect(self.ask(LIVE, "coverage")["damage"], [], "the damage that coverage tells")
        said = self.ask(LIVE, "evaluation")
        self._tell(f"after {said['requests']} live requests: {said['verdict']}, cells {said['cells']}")
        self._kubectl.delete(KIND, LIVE, NAMESPACE)
        route = self._kubectl.get("httproutes.gateway.networking.k8s.io", CONTROL, NAMESPACE) or {}
        self._expect([rule.get("filters") for rule in route["spec"]["rules"]], [None], "the route's filters")
        self._tell("deleted: the route is as it was")

    def replay(self) -> Object:
        """All requests by an Indexed Job; the status at the end."""
        # what an earlier tour recorded may be another number of requests
        self._kubectl.delete(KIND, RECORDED, NAMESPACE, seconds=_SECONDS)
        self._kubectl.delete("job", "record", NAMESPACE, seconds=_SECONDS)
        self._kubectl.apply(*objects.recording(NAMESPACE, self._count))
        self._kubectl.wait("condition=Complete", "job/record", NAMESPACE, seconds=_SECONDS)
        self._kubectl.apply(objects.recorded(NAMESPACE, RECORDED))
        self._tell(f"{self._count:,} recorded requests, replayed by {objects.SHARDS} shards of an Indexed Job ...")
        self._wait(RECORDED, "its verdict", lambda status: _condition(status, "Concluded"), _REPLAY_SECONDS)
        status = self._status(RECORDED)
        self._tell(f"verdict {status['verdict']}; cells {status['cells']}")
        for reason in status["reasons"]:
            self._tell(f"  {reason['reason']}: {reason['message']}")
        return status

    def compare(self, cells: Sequence[int]) -> None:
        """The counts against those of the rules alone, asked one request after another."""
        with ThreadPoolExecutor(len(NAMES)) as threads:
            control, candidate = threads.map(lambda name: set(json.loads(self._plain(name))), NAMES)
        lists = {name: self._listed(name) for name in ("lost", "gained", "new-false-alarms", "repaired-false-alarms")}
        self._expect(lists["gained"].keys() | lists["new-false-alarms"].keys(), candidate - control, "candidate alone")
        self._expect(lists["lost"].keys() | lists["repaired-false-alarms"].keys(), control - candidate, "control alone")
        self._expect(sum(cells), self._count, "the number of requests")
        self._expect(cells[3] + cells[7], len(control & candidate), "the number that both block")
        self._tell("the same requests, one after another by the rules alone: the same counts")
        for name, found in lists.items():
            self._tell(f"{name}: {len(found):,}{'; such as' if found else ''}")
            for target in list(found.values())[:_SHOWN]:
                self._tell(f"  {target[:100]}")

    def ask(self, name: str, path: str) -> Any:
        """A page of an evaluation's API, asked by a pod of the namespace."""
        secret = self._kubectl.get("secret", f"{name}-token", NAMESPACE) or {}
        token = base64.b64decode(secret["data"]["token"]).decode()
        url = f"http://{name}-mirror.{NAMESPACE}.svc:8080/v1/{path}"
        return json.loads(self._in(CONTROL, "ask", url, environ={"TOKEN": token}))

    def _listed(self, listing: str) -> dict[str, str]:
        """Targets of the samples of a list by id."""
        found, after = dict[str, str](), ""
        while True:
            page = self.ask(RECORDED, f"samples/{listing}?limit=500{after}")
            found |= {one["requestId"]: one["target"] for one in page["samples"]}
            if not page["next"]:
                return found
            after = f"&after={page['next']}"

    def _plain(self, name: str) -> str:
        return self._in(name, "blocked", str(self._count), seconds=_REPLAY_SECONDS)

    def _in(
        self, name: str, *arguments: str, environ: Mapping[str, str] | None = None, seconds: float = _SECONDS
    ) -> str:
        settings = [f"{key}={value}" for key, value in (environ or {}).items()]
        command = ["env", *settings, "python", "-m", "support.waf.plain", *arguments]
        return self._kubectl("exec", f"--namespace={NAMESPACE}", f"deploy/{name}", "--", *command, seconds=seconds)

    def _received(self, name: str) -> int:
        return int(self.ask(name, "coverage")["received"])

    def _copies(self, gateway: str) -> bool:
        """Whether copies arrive: a gateway takes a moment to do what its route says."""
        self._in(CONTROL, "send", HOST, gateway, str(_PROBES))
        return self._received(LIVE) > 0

    def _settled(self) -> int:
        """Copies that arrived, when there are no more on their way."""
        seen = [-2, -1]

        def still() -> bool:
            seen[:] = [seen[1], self._received(LIVE)]
            return seen[0] == seen[1]

        wait_until(still, "the last copies", seconds=60.0, poll=1.0)
        return seen[1]

    def _ratio(self, copied: int, sent: int) -> float:
        share = PERCENT / 100
        test = sample_ratio((copied, sent - copied), (share, 1 - share))
        if isinstance(test, NotAvailable) or test.p < RATIO_ALPHA:
            raise TourError(f"{copied} of {sent} requests were copied: that is not {PERCENT} %")
        return test.p

    def _status(self, name: str) -> Object:
        found: Object = (self._kubectl.get(KIND, name, NAMESPACE) or {}).get("status") or {}
        return found

    def _wait(self, name: str, what: str, reached: Callable[[Object], bool], seconds: float = _SECONDS) -> None:
        wait_until(
            lambda: reached(self._status(name)),
            f"{name}: {what}",
            seconds=seconds,
            poll=2.0,
            explain=lambda: str(self._status(name).get("lastDecision")),
        )

    def _expect(self, found: object, wanted: object, what: str) -> None:
        if found != wanted:
            raise TourError(f"{what}: {str(found)[:300]}, not {str(wanted)[:300]}")


def _condition(status: Object, kind: str) -> bool:
    return any(one["type"] == kind and one["status"] == "True" for one in status.get("conditions") or ())


def build_images(access: Access) -> None:
    """The operator's, which is the service's too, PostgreSQL's and the firewall's, unless they are there."""
    ledgers.build_images(access, ledgers.IMAGE)
    access.build_image(FOLDER / "Containerfile", objects.IMAGE, FOLDER)
    access.load_image(objects.IMAGE)


def give(tell: Tell, count: int) -> None:
    """The whole tour, from a cluster to a verdict."""
    access = cluster.connect()
    kubectl = Kubectl(access)
    tell("images and operator ...")
    build_images(access)
    stage.install_operator(kubectl)
    tour = Tour(kubectl, tell, count)
    tour.deploy()
    namespace, name = stage.gateway_service(kubectl)
    tour.mirror(f"{name}.{namespace}.svc")
    status = tour.replay()
    if status["verdict"] == "Promote" or "falsePositiveRate" not in status["reasons"][0]["message"]:
        raise TourError(f"false alarms are not what decided: {status['verdict']}, {status['reasons']}")
    tour.compare(status["cells"])
    tell(f"no detection lost, some gained, and not promoted. Remove all of it: kubectl delete namespace {NAMESPACE}")


def main() -> int:
    """Give it; the exit status."""
    began = time.monotonic()

    def tell(line: str) -> None:
        sys.stdout.write(f"[{time.monotonic() - began:5.0f} s] {line}\n")
        sys.stdout.flush()

    try:
        give(tell, int(os.environ.get("CHAFFINCH_DEMO_REQUESTS") or WHOLE))
    except (TourError, KubectlError, cluster.ClusterError, OSError) as error:
        sys.stderr.write(f"error: {error}\nrun `make demo-shadow` again: it goes on from any state\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
