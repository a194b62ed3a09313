"""Alerts against a real API server and operator processes: refused, repeated, told to a standby, found by asking."""

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from chaffinch_operator.canary.reasons import Action, Reason
from chaffinch_operator.canary.status import CanaryRolloutStatus
from chaffinch_operator.kube import CANARYROLLOUTS, DEPLOYMENTS, EVENTS, SERVICES
from cluster.apiserver import free_ports
from integration.canary.ground import Ground, ground
from integration.canary.world import NAME, Shop, deployment, rollout, service
from integration.core.processes import Process
from integration.core.server import until
from support import fake_prometheus as prom
from support.alerts import TOKEN, Sender, alert, post
from support.client import connected
from support.fake_prometheus import FakePrometheus
from support.nodeless import NodelessPods

pytestmark = pytest.mark.apiserver
LISTENING = {"matchers": ['alertname=~"Checkout.*"', 'severity="critical"']}
CANARY_POD = {"pod": f"{NAME}-canary-5d9f-abcde"}
LEASE_SECONDS = 5
FAST = {
    "CHAFFINCH_LEASE_SECONDS": str(LEASE_SECONDS),
    "CHAFFINCH_RENEW_SECONDS": "4",
    "CHAFFINCH_RETRY_SECONDS": "0.5",
}


class Alertmanager(ThreadingHTTPServer):
    """Answers GET /api/v2/alerts with what it is given."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Api)
        self.alerts: list[dict[str, Any]] = []
        self.asked: list[str] = []


class _Api(BaseHTTPRequestHandler):
    server: Alertmanager

    def do_GET(self) -> None:
        """List what fires."""
        self.server.asked.append(self.path)
        body = json.dumps([{**each, "status": {"state": "active"}} for each in self.server.alerts]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass
class Site:
    """An API server, pods that get ready, and operators that come and go."""

    ground: Ground
    prometheus: FakePrometheus
    alertmanager: Alertmanager
    token_file: Path
    number: int = 0
    senders: dict[str, Sender] = field(default_factory=dict)

    def start(self, identity: str) -> Process:
        """Start an operator that receives alerts."""
        port = free_ports(1)[0]
        self.senders[identity] = Sender(port)
        return self.ground.operator(
            identity,
            **FAST,
            CHAFFINCH_ALERTS_HOST="127.0.0.1",
            CHAFFINCH_ALERTS_PORT=str(port),
            CHAFFINCH_ALERTS_TOKEN_FILE=str(self.token_file),
            CHAFFINCH_ALERTMANAGER_URL=f"http://127.0.0.1:{self.alertmanager.server_port}",
            CHAFFINCH_ALERTMANAGER_SECONDS="600",
        )

    def play(self, story: Callable[[Shop], Awaitable[None]], **alerts: Any) -> None:
        """A story in a shop of its own, whose canary has its first weight."""
        self.number += 1

        async def whole() -> None:
            async with connected(self.ground.api.kubeconfig) as kube:
                shop = Shop(kube, self.prometheus, f"alerts-{self.number}")
                await shop.open()
                await shop.apply(DEPLOYMENTS, deployment())
                await shop.apply(SERVICES, service())
                await shop.settled()
                await shop.apply(CANARYROLLOUTS, rollout(shop.address, alerts={**LISTENING, **alerts}))
                await shop.reported()
                await shop.release()
                await shop.wait(doing(Action.SHIFT), "the first weight")
                await story(shop)
                await shop.delete(CANARYROLLOUTS)

        asyncio.run(whole())


def doing(action: Action, reason: Reason | None = None) -> Callable[[CanaryRolloutStatus], bool]:
    """A predicate."""
    return lambda s: s.last_decision.action is action and reason in (None, s.last_decision.reason)


def rolled_back(status: CanaryRolloutStatus) -> bool:
    """By an alert; the last decision says so for one pass only."""
    return bool(status.history) and status.history[0].reason is Reason.ALERT_FIRING


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Everything, with one operator that leads."""
    folder = tmp_path_factory.mktemp("alerts")
    token = folder / "token"
    token.write_text(f"{TOKEN}\n")
    server = Alertmanager()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    for made in ground(folder, controllers=True):
        with FakePrometheus() as prometheus, NodelessPods(made.api.kubeconfig):
            it = Site(made, prometheus, server, token)
            asyncio.run(until(it.start("first").ready_leader))
            yield it
    server.shutdown()
    server.server_close()


def leader(site: Site) -> tuple[Process, Sender]:
    """The operator that leads, started if there is none."""
    running = [p for p in site.ground.started if p.popen.poll() is None]
    process = running[0] if running else site.start(f"next-{len(site.ground.started)}")
    asyncio.run(until(process.ready_leader))
    return process, site.senders[process.identity]


async def slow_body(port: int) -> bytes:
    """What is answered to a body that stops after its first byte."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /alerts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: 500\r\n\r\n{{".encode())
    try:
        async with asyncio.timeout(15):
            return await reader.readline()
    finally:
        writer.close()


def test_what_is_no_alert_of_this_rollout_changes_nothing(site: Site) -> None:
    """Forged, cut, oversized, slow, stale, resolved, of no concern: refused or ignored, and the canary goes on."""
    _, sender = leader(site)

    async def story(shop: Shop) -> None:
        good = alert(CANARY_POD)
        refused = [
            await Sender(sender.port, "a-forged-token-of-length").send(post(good)),
            await sender.send(post(good)[:-20]),
            await sender.send(post(good) + b" " * (1 << 20)),
            await sender.send(post({**good, "fingerprint": ""})),
            await sender.send(post(good, version="3")),
            await sender.send(post(good), **{"Content-Type": "text/plain"}),
        ]
        assert [status for status, _ in refused] == [401, 400, 413, 400, 400, 415]
        assert b" 408 " in await slow_body(sender.port)
        ignored = [
            await sender.send(post(alert(CANARY_POD, ago=3600))),
            await sender.send(post(alert(CANARY_POD, status="resolved"))),
            await sender.send(post({**good, "labels": {**good["labels"], "severity": "info"}})),
        ]
        assert [text for _, text in ignored] == ["0 new of 1\n"] * 3
        after = await shop.status()
        assert (after.alerts, after.last_decision.action, after.weight.desired) == ([], Action.SHIFT, 34)

    site.play(story)


def test_an_alert_ends_the_rollout_and_a_replay_does_not_end_the_next(site: Site) -> None:
    """Written before it is answered; delivered again it is known, and later it is older than the candidate."""
    _, sender = leader(site)

    async def story(shop: Shop) -> None:
        body = post(alert(CANARY_POD))
        assert await sender.send(body) == (200, "1 new of 1\n")
        assert (await shop.status()).alerts[0].name == "CheckoutErrors"
        assert await sender.send(body) == (200, "0 new of 1\n")
        ended = await shop.wait(doing(Action.REJECTED), "the rollback")
        assert ended.history[0].reason is Reason.ALERT_FIRING
        assert ended.alerts[0].outcome == "RolledBack"
        assert "shop-canary-5d9f-abcde" in ended.last_decision.message
        events = [e["reason"] for e in await shop.kube.list(EVENTS, shop.namespace) if e.get("type") == "Warning"]
        assert "AlertFiring" in events
        await shop.release("v3")
        await shop.wait(doing(Action.SHIFT), "the next candidate's weight")
        assert await sender.send(body) == (200, "0 new of 1\n")
        assert (await shop.status()).alerts == []

    site.play(story)


def test_another_alert_pauses_until_a_person_resumes(site: Site) -> None:
    """With its weight kept; the same alert does not pause it again."""
    _, sender = leader(site)

    async def story(shop: Shop) -> None:
        async def judged() -> bool:
            return bool((await shop.status()).analysis_started_at)

        await until(judged)
        body = post(alert({"namespace": "data"}))
        assert await sender.send(body) == (200, "1 new of 1\n")
        paused = await shop.wait(doing(Action.PAUSE, Reason.PAUSED_BY_ALERT), "the pause")
        assert paused.weight.desired == 34
        await shop.patch(CANARYROLLOUTS, {"metadata": {"annotations": {"chaffinch.dev/action": "resume@1"}}})
        await shop.wait(doing(Action.SHIFT), "the resumption")
        assert await sender.send(body) == (200, "0 new of 1\n")

    site.play(story)


def test_a_prometheus_that_hangs_delays_no_alert(site: Site) -> None:
    """The pass that waits for it is ended: weight zero is decided long before Prometheus would have been given up."""
    _, sender = leader(site)
    released, asked = threading.Event(), threading.Event()

    def hang(query: str, at: float) -> prom.Reply:
        asked.set()
        released.wait(60)
        return prom.EMPTY(query, at)

    async def story(shop: Shop) -> None:
        site.prometheus.answer(shop.namespace, hang)

        async def waiting() -> bool:
            return asked.is_set()

        await until(waiting)
        began = time.monotonic()
        assert (await sender.send(post(alert(CANARY_POD))))[0] == 200
        await shop.wait(rolled_back, "the rollback")
        assert time.monotonic() - began < 5.0
        released.set()

    try:
        site.play(story)
    finally:
        released.set()


def test_a_truncated_post_has_the_rest_asked_for(site: Site) -> None:
    """By the matchers of the rollout under way."""
    _, sender = leader(site)

    async def story(shop: Shop) -> None:
        site.alertmanager.alerts = [alert(CANARY_POD, number=7)]
        assert (await sender.send(post(truncatedAlerts=1)))[0] == 200
        ended = await shop.wait(rolled_back, "the rollback")
        assert ended.alerts[0].fingerprint == f"{7:016x}"
        assert "filter=severity" in site.alertmanager.asked[-1]

    try:
        site.play(story)
    finally:
        site.alertmanager.alerts = []


def test_killed_between_receipt_and_action_the_action_is_taken(site: Site) -> None:
    """The leader stands still, a standby takes the post, the leader is killed: the next leader acts on the status."""
    first, _ = leader(site)
    second = site.start("second")
    asyncio.run(until(second.standing_by))

    async def story(shop: Shop) -> None:
        os.kill(first.popen.pid, signal.SIGSTOP)
        try:
            assert await site.senders["second"].send(post(alert(CANARY_POD))) == (200, "1 new of 1\n")
            told = await shop.status()
            assert (told.alerts[0].outcome, told.last_decision.action) == ("Rollback", Action.SHIFT)
            assert await second.standing_by()
        finally:
            first.popen.kill()
        await shop.wait(rolled_back, "the rollback")
        ended = await shop.wait(doing(Action.REJECTED), "the end")
        assert ended.history[0].reason is Reason.ALERT_FIRING

    site.play(story)
    first.popen.wait(10)


def test_what_fired_while_nobody_ran_is_found(site: Site) -> None:
    """No post came; the next leader asks."""
    process, _ = leader(site)

    async def story(shop: Shop) -> None:
        process.popen.kill()
        process.popen.wait(10)
        site.alertmanager.alerts = [alert(CANARY_POD, number=9)]
        await asyncio.to_thread(leader, site)
        ended = await shop.wait(rolled_back, "the rollback")
        assert ended.alerts[0].fingerprint == f"{9:016x}"

    try:
        site.play(story)
    finally:
        site.alertmanager.alerts = []
