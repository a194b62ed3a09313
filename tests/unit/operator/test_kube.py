"""The door to the API server, against one that fails on purpose. What a real one does is in tests/integration/core."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import certifi
import pytest
from aiohttp import web
from kubernetes.aio.config import incluster_config

from chaffinch_operator import transport as door
from chaffinch_operator.errors import Conflict, InvalidObject, KindMissing, Refused, Throttled, Unavailable
from chaffinch_operator.kube import DEPLOYMENTS, SERVICES, Kube
from chaffinch_operator.settings import Settings

NOT_FOUND = {"kind": "Status", "reason": "NotFound", "details": {"name": "web", "kind": "deployments"}}
OK: dict[str, Any] = {"kind": "Deployment", "metadata": {"name": "web"}}
A, B, C = ({"metadata": {"name": name}} for name in "abc")
DEADLINE = 20
Step = tuple[int, dict[str, Any]] | Callable[[web.Request], Any]


@dataclass
class Server:
    """Answers from a script, and keeps what it was asked."""

    script: list[Step] = field(default_factory=list)
    seen: list[tuple[str, str, dict[str, str], str]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    """Of the last request."""
    bodies: list[Any] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Take the next step of the script."""
        raw = await request.read()
        self.seen.append((request.method, request.path, dict(request.query), request.headers.get("Content-Type", "")))
        self.headers = dict(request.headers)
        self.bodies.append(json.loads(raw) if raw else None)
        step = self.script.pop(0)
        if callable(step):
            response: web.StreamResponse = await step(request)
            return response
        status, body = step
        return web.json_response(body, status=status)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server on loopback."""
    it = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", it.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    it.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with asyncio.timeout(DEADLINE):
        yield it
    await runner.cleanup()


@pytest.fixture
def kubeconfig(server: Server, tmp_path: Path) -> Path:
    """A kubeconfig with a token."""
    path = tmp_path / "config"
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "here",
                "contexts": [
                    {"name": "here", "context": {"cluster": "c", "user": "u"}},
                    {"name": "there", "context": {"cluster": "nowhere", "user": "u"}},
                ],
                "clusters": [
                    {"name": "c", "cluster": {"server": server.url}},
                    {"name": "nowhere", "cluster": {"server": "http://127.0.0.1:9"}},
                ],
                "users": [{"name": "u", "user": {"token": "s3cret"}}],
            }
        )
    )
    return path


@pytest.fixture
async def kube(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kube]:
    """A client that does not wait long between attempts."""
    monkeypatch.setattr(door, "FIRST_DELAY", 0.001)
    async with Kube.connect(kubeconfig, seconds=5) as it:
        yield it


async def test_transient_failures_are_retried(server: Server, kube: Kube) -> None:
    """429 and 5xx pass by themselves, mostly."""
    server.script = [(503, {}), (429, {}), (500, {}), (200, OK)]
    assert await kube.get(DEPLOYMENTS, "web", "shop") == OK


async def test_retries_end(server: Server, kube: Kube) -> None:
    """After four attempts the caller's own back-off takes over."""
    server.script = [(503, {"message": "no etcd"})] * 4
    with pytest.raises(Unavailable, match="no etcd"):
        await kube.get(DEPLOYMENTS, "web", "shop")
    server.script = [(429, {})] * 4
    with pytest.raises(Throttled):
        await kube.get(DEPLOYMENTS, "web", "shop")


async def test_lasting_refusals_are_not_retried(server: Server, kube: Kube) -> None:
    """Asking four times for what is not there would be rude."""
    server.script = [(404, NOT_FOUND)]
    assert await kube.get(DEPLOYMENTS, "web", "shop") is None
    server.script = [(404, {})]
    with pytest.raises(KindMissing):
        await kube.get(DEPLOYMENTS, "web", "shop")


async def test_server_side_apply_is_retried(server: Server, kube: Kube) -> None:
    """It is idempotent, and the client library would not."""
    server.script = [(503, {}), (200, OK)]
    await kube.apply(DEPLOYMENTS, {"metadata": {"name": "web", "namespace": "shop"}}, subresource="status")
    assert server.seen[-1] == (
        "PATCH",
        "/apis/apps/v1/namespaces/shop/deployments/web/status",
        {"fieldManager": "chaffinch-canary", "force": "true"},
        "application/apply-patch+yaml",
    )
    assert server.bodies[-1] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
    }


async def test_a_json_patch_is_not_sent_twice_when_the_first_may_have_worked(server: Server, kube: Kube) -> None:
    """Its test would fail against its own effect."""
    server.script = [(503, {})]
    with pytest.raises(Unavailable):
        await kube.patch(SERVICES, "web", "shop", [{"op": "remove", "path": "/spec/selector/a"}])
    assert len(server.seen) == 1
    assert server.seen[0][3] == "application/json-patch+json"


async def test_a_json_patch_that_was_turned_away_is_sent_again(server: Server, kube: Kube) -> None:
    """429 means: nothing was done."""
    server.script = [(429, {}), (200, OK)]
    await kube.patch(SERVICES, "web", "shop", [{"op": "remove", "path": "/spec/selector/a"}])


async def test_a_json_patch_that_does_not_fit_is_a_conflict(server: Server, kube: Kube) -> None:
    """A validation error is not."""
    server.script = [(422, {"reason": "Invalid", "details": {}}), (422, {"details": {"causes": [{}]}})]
    with pytest.raises(Conflict):
        await kube.patch(SERVICES, "web", "shop", [])
    with pytest.raises(InvalidObject):
        await kube.patch(SERVICES, "web", "shop", [])


async def test_a_merge_patch_says_that_it_is_one(server: Server, kube: Kube) -> None:
    """Not the strategic one, which knows no custom resources."""
    server.script = [(200, OK)]
    await kube.patch(SERVICES, "web", "shop", {"metadata": {"labels": {"a": None}}})
    assert server.seen[0][3] == "application/merge-patch+json"


async def test_a_connection_that_breaks_is_retried(server: Server, kube: Kube) -> None:
    """The API server was restarted, say."""

    async def drop(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    server.script = [drop, (200, OK)]
    assert await kube.get(DEPLOYMENTS, "web", "shop") == OK


async def test_a_server_that_does_not_answer_is_unavailable(server: Server, kubeconfig: Path) -> None:
    """Every request has a limit."""

    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    server.script = [hang]
    async with Kube.connect(kubeconfig, attempts=1, seconds=0.1) as kube:
        with pytest.raises(Unavailable, match="no answer"):
            await kube.get(DEPLOYMENTS, "web", "shop")


async def test_nobody_listening_is_unavailable(kubeconfig: Path) -> None:
    """The context chooses the server."""
    async with Kube.connect(kubeconfig, "there", attempts=1) as kube:
        with pytest.raises(Unavailable):
            await kube.get(DEPLOYMENTS, "web", "shop")


async def test_lists_are_read_in_pages(server: Server, kube: Kube) -> None:
    """All pages, in order, with selectors on each."""
    server.script = [(200, {"metadata": {"continue": "t"}, "items": [A, B]}), (200, {"metadata": {}, "items": [C]})]
    assert await kube.list(DEPLOYMENTS, "shop", labels="a=b", fields="c=d", limit=2) == [A, B, C]
    assert [query for _, _, query, _ in server.seen] == [
        {"labelSelector": "a=b", "fieldSelector": "c=d", "limit": "2"},
        {"labelSelector": "a=b", "fieldSelector": "c=d", "limit": "2", "continue": "t"},
    ]


async def test_keys_are_read_in_pages_of_metadata(server: Server, kube: Kube) -> None:
    """Thousands of objects are named without being held."""
    page = {"metadata": {"continue": "t"}, "items": [{"metadata": {"namespace": "shop", "name": "a"}}]}
    rest = {"metadata": {}, "items": [{"metadata": {"name": "b"}}]}
    server.script = [(200, page), (200, rest)]
    assert await kube.keys(DEPLOYMENTS, limit=1) == [("shop", "a"), ("", "b")]
    assert [query.get("continue") for _, _, query, _ in server.seen] == [None, "t"]


async def test_a_list_whose_pages_expire_is_read_anew(server: Server, kube: Kube) -> None:
    """At last in one piece, which cannot expire."""
    first, gone = (200, {"metadata": {"continue": "t"}, "items": [A]}), (410, {"reason": "Expired"})
    server.script = [first, gone, first, gone, (200, {"metadata": {}, "items": [A, B]})]
    assert await kube.list(DEPLOYMENTS, "shop") == [A, B]
    assert "limit" not in server.seen[-1][2]


async def test_creating_what_exists_is_no_error(server: Server, kube: Kube) -> None:
    """None says so."""
    server.script = [(409, {"reason": "AlreadyExists"})]
    assert await kube.create(SERVICES, {"metadata": {"name": "web", "namespace": "shop"}}) is None


async def test_deleting_is_bound_to_the_object_that_was_meant(server: Server, kube: Kube) -> None:
    """Another object of the same name stays; what is gone is gone."""
    server.script = [(200, {}), (409, {"reason": "Conflict"}), (404, NOT_FOUND)]
    assert await kube.delete(SERVICES, "web", "shop", uid="u1") is True
    assert await kube.delete(SERVICES, "web", "shop", uid="u1") is False
    assert await kube.delete(SERVICES, "web", "shop", uid="u1") is False
    assert server.bodies[0]["preconditions"] == {"uid": "u1"}
    assert server.bodies[0]["propagationPolicy"] == "Background"


async def test_a_service_is_asked_by_way_of_the_api_server(server: Server, kube: Kube) -> None:
    """Its own errors are its answer; what the API server forbids is raised."""
    server.script = [(200, OK), (400, {"status": "error"}), (403, {"reason": "Forbidden", "message": "not you"})]
    asked = ("monitoring", "http:prom:web", "/api/v1/query", {"query": "up"}, {"X-Scope-OrgID": "shop"})
    assert await kube.through_service(*asked) == (200, OK)
    assert server.headers["X-Scope-OrgID"] == "shop"
    path = "/api/v1/namespaces/monitoring/services/http:prom:web/proxy/api/v1/query"
    assert server.seen[0][:3] == ("GET", path, {"query": "up"})
    assert (await kube.through_service("monitoring", "http:prom:web", "/", {}))[0] == 400
    with pytest.raises(Refused, match="not you"):
        await kube.through_service("monitoring", "http:prom:web", "/", {})


async def test_writes_that_succeeded_are_counted(server: Server, kube: Kube) -> None:
    """Reads, dry runs and refusals are no writes."""
    server.script = [(200, OK), (200, OK), (404, NOT_FOUND), (409, {"reason": "Conflict"}), (200, OK)]
    obj = {"metadata": {"name": "web", "namespace": "shop"}}
    await kube.apply(SERVICES, obj)
    await kube.apply(SERVICES, obj, dry_run=True)
    await kube.get(DEPLOYMENTS, "web", "shop")
    with pytest.raises(Conflict):
        await kube.apply(SERVICES, obj)
    await kube.get(SERVICES, "web", "shop")
    assert kube.writes == {("apply", "services"): 1}


async def test_every_request_is_observed(server: Server, kubeconfig: Path) -> None:
    """Verb, resource, status; failures too."""
    told: list[tuple[str, str, int]] = []
    server.script = [(200, OK), (404, NOT_FOUND)]
    async with Kube.connect(kubeconfig, observe=lambda verb, res, status, _: told.append((verb, res, status))) as kube:
        await kube.get(DEPLOYMENTS, "web", "shop")
        await kube.get(SERVICES, "web", "shop")
    assert told == [("get", "deployments.apps", 200), ("get", "services", 404)]


def events(*lines: bytes) -> Callable[[web.Request], Any]:
    """A watch that sends these lines and ends."""

    async def send(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for line in lines:
            await response.write(line + b"\n")
        return response

    return send


async def test_a_watch_yields_until_the_server_ends_it(server: Server, kube: Kube) -> None:
    """Then the caller watches again."""
    server.script = [events(b'{"type": "ADDED", "object": {"a": 1}}', b'{"type": "DELETED", "object": {"a": 1}}')]
    seen = [event async for event in kube.watch(DEPLOYMENTS, "shop", fields="metadata.name=web", timeout=7)]
    assert seen == [("ADDED", {"a": 1}), ("DELETED", {"a": 1})]
    assert server.seen[0][2] == {"watch": "true", "timeoutSeconds": "7", "fieldSelector": "metadata.name=web"}


@pytest.mark.parametrize(
    "line", [b'{"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}}', b"no json"]
)
async def test_a_watch_that_breaks_says_so(server: Server, kube: Kube, line: bytes) -> None:
    """Never silently: what was missed has to be read again."""
    server.script = [events(line)]
    with pytest.raises(Unavailable, match="the watch"):
        [event async for event in kube.watch(DEPLOYMENTS)]


async def test_a_watch_of_a_kind_that_is_not_served(server: Server, kube: Kube) -> None:
    """As with every other request."""
    server.script = [(404, {})]
    with pytest.raises(KindMissing):
        [event async for event in kube.watch(DEPLOYMENTS)]


async def test_the_token_is_sent_and_handed_to_the_framework(server: Server, kube: Kube) -> None:
    """One source of credentials for both clients."""
    sent: list[str] = []

    async def look(request: web.Request) -> web.StreamResponse:
        sent.append(request.headers.get("Authorization", ""))
        return web.json_response(OK)

    server.script = [look]
    await kube.get(DEPLOYMENTS, "web", "shop")
    assert sent == ["Bearer s3cret"]
    connection = await kube.connection()
    assert (connection.server, connection.token) == (server.url, "s3cret")


async def test_in_a_pod_the_token_is_read_again_as_it_rotates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubelet replaces it every hour or so; a minute later we use the new one."""
    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("old")
    shutil.copy(certifi.where(), authority)
    now = datetime(2026, 1, 1)  # noqa: DTZ001 - as the client library counts
    clock = SimpleNamespace(datetime=SimpleNamespace(now=lambda: now), timedelta=timedelta)
    for name, value in (
        ("SERVICE_TOKEN_FILENAME", str(token)),
        ("SERVICE_CERT_FILENAME", str(authority)),
        ("datetime", clock),
    ):
        monkeypatch.setattr(incluster_config, name, value)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    async with Kube.connect(Settings()) as kube:
        before = await kube.connection()
        token.write_text("new")
        now += timedelta(minutes=2)
        after = await kube.connection()
    assert (before.server, before.token, after.token) == ("https://10.0.0.1:443", "old", "new")


async def test_settings_choose_kubeconfig_and_context(server: Server, kubeconfig: Path) -> None:
    """As the environment says."""
    server.script = [(200, OK)]
    async with Kube.connect(Settings(kubeconfig=str(kubeconfig), context="here")) as kube:
        assert await kube.get(DEPLOYMENTS, "web", "shop") == OK


async def test_used_outside_of_its_block_it_says_so(kubeconfig: Path) -> None:
    """A mistake of ours, not of the cluster."""
    with pytest.raises(RuntimeError, match="async with"):
        await Kube.connect(kubeconfig).get(DEPLOYMENTS, "web", "shop")
