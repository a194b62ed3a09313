"""The only door to the Kubernetes API (beside kopf's own watches): typed errors, time limits, retries, no discovery.

Built on the asyncio half of the official client, with plain dicts in and out. Nothing here knows what the objects mean.
"""

import asyncio
import json
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import ApiClient, Configuration

from chaffinch_operator import answers
from chaffinch_operator.errors import Conflict, Unavailable
from chaffinch_operator.names import FIELD_MANAGER
from chaffinch_operator.resources import (
    CANARYROLLOUTS,
    CRDS,
    DEPLOYMENTS,
    ENDPOINTSLICES,
    EVENTS,
    HTTPROUTES,
    LEASES,
    MUTATING_BINDINGS,
    MUTATING_POLICIES,
    NAMESPACES,
    PODS,
    REPLICASETS,
    SECRETS,
    SERVICES,
    VALIDATING_BINDINGS,
    VALIDATING_POLICIES,
    Resource,
)
from chaffinch_operator.settings import Settings

__all__ = [
    "CANARYROLLOUTS",
    "CRDS",
    "DEPLOYMENTS",
    "ENDPOINTSLICES",
    "EVENTS",
    "HTTPROUTES",
    "LEASES",
    "MUTATING_BINDINGS",
    "MUTATING_POLICIES",
    "NAMESPACES",
    "PODS",
    "REPLICASETS",
    "SECRETS",
    "SERVICES",
    "VALIDATING_BINDINGS",
    "VALIDATING_POLICIES",
    "Connection",
    "Kube",
    "Object",
    "Objects",
    "Resource",
]

Object = dict[str, Any]
Objects = list[Object]
Keys = list[tuple[str, str]]
"""Namespace and name of each."""
Items = list[Any]
Observe = Callable[[str, str, int, float], None]
"""Called after each request with verb, resource, HTTP status (0: no answer) and seconds."""

REQUEST_SECONDS = 15.0
CONNECT_SECONDS = 5.0
ATTEMPTS = 4
FIRST_DELAY = 0.2
MAX_RETRY_AFTER = 5.0
CLOSING_SECONDS = 0.01
"""TLS connections end a few turns of the loop after they were closed; a loop that stops before leaves them open."""
POOL = 100
_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_WRITES = frozenset({"apply", "patch", "create", "delete", "update"})
_MERGE = "application/merge-patch+json"
_JSON = "application/json-patch+json"
_APPLY = "application/apply-patch+yaml"
_PLAIN = "application/json"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the API server is and as whom we come; for kopf's own client."""

    server: str
    ca_path: str | None
    insecure: bool
    token: str | None
    certificate_path: str | None
    private_key_path: str | None


@dataclass(frozen=True, slots=True)
class _Call:
    """One request."""

    verb: str
    method: str
    resource: Resource
    path: str
    key: str
    query: Mapping[str, str]
    body: Object | Objects | None = None
    content_type: str = _PLAIN
    accept: str = _PLAIN
    idempotent: bool = True


class Kube:
    """Client of one API server. Use as `async with Kube.connect(settings) as kube`."""

    def __init__(
        self,
        load: Callable[[Configuration], Awaitable[None]],
        *,
        attempts: int = ATTEMPTS,
        seconds: float = REQUEST_SECONDS,
        observe: Observe | None = None,
    ) -> None:
        self._load = load
        self._attempts = attempts
        self._seconds = seconds
        self._observe = observe
        self._open: ApiClient | None = None
        self.writes: Counter[tuple[str, str]] = Counter()
        """Answered writes by (verb, resource name): at rest it must not grow."""

    @classmethod
    def connect(
        cls,
        where: Settings | str | Path = "",
        context: str | None = None,
        *,
        attempts: int = ATTEMPTS,
        seconds: float = REQUEST_SECONDS,
        observe: Observe | None = None,
    ) -> Self:
        """Prepare a client from settings or from a kubeconfig's path; it connects on entry.

        Without a kubeconfig: the pod's service account (its token is read again as it rotates), else ~/.kube/config.
        """
        path = where.kubeconfig if isinstance(where, Settings) else str(where)
        wanted = context or (where.context if isinstance(where, Settings) else "")

        async def load(configuration: Configuration) -> None:
            if not path and os.environ.get("KUBERNETES_SERVICE_HOST"):
                kube_config.load_incluster_config(client_configuration=configuration)
            else:
                await kube_config.load_kube_config(path or None, wanted or None, configuration, persist_config=False)

        return cls(load, attempts=attempts, seconds=seconds, observe=observe)

    async def __aenter__(self) -> Self:
        configuration = Configuration()
        await self._load(configuration)
        configuration.connection_pool_maxsize = POOL
        # aiohttp looks for proxies and for ~/.netrc at every request
        configuration.client_session_kwargs = {"trust_env": any(os.environ.get(name) for name in _PROXIES)}
        self._open = ApiClient(configuration)
        self._open.user_agent = "chaffinch-operator"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            await self._open.close()
            self._open = None
            await asyncio.sleep(CLOSING_SECONDS)

    async def connection(self) -> Connection:
        """Return address and credentials as they are now."""
        configuration = self._client.configuration
        header = await configuration.get_api_key_with_prefix("BearerToken", "authorization")
        return Connection(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            token=header.split(" ", 1)[-1].strip() if header else None,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
        )

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """Return an object, or None when there is none of that name; KindMissing when the kind is not served."""
        call = _Call("get", "GET", resource, resource.path(namespace, name), resource.key(namespace, name), {})
        status, body = await self._send(call)
        if answers.object_missing(status, body):
            return None
        return _success(call, status, body)

    async def list(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = "", limit: int = 500
    ) -> Objects:
        """Return all objects that match, read in pages of `limit`; starts anew when the pages expire meanwhile."""
        selectors = {"labelSelector": labels, "fieldSelector": fields}
        return await self._all(resource, namespace, selectors, limit, _PLAIN, lambda found: found)

    async def keys(self, resource: Resource, namespace: str | None = None, *, limit: int = 500) -> Keys:
        """Return namespace and name of all objects; no more than a page of their metadata is ever in memory."""
        return await self._all(resource, namespace, {}, limit, _METADATA, _key)

    async def _all(
        self,
        resource: Resource,
        namespace: str | None,
        selectors: Mapping[str, str],
        limit: int,
        accept: str,
        keep: Callable[[Object], Any],
    ) -> Items:
        for page in (limit, limit, 0):
            items = await self._pages(resource, namespace, selectors, page, accept, keep)
            if items is not None:
                return items
        raise Unavailable("the list expired while it was read", resource.key(namespace))

    async def _pages(
        self,
        resource: Resource,
        namespace: str | None,
        selectors: Mapping[str, str],
        limit: int,
        accept: str,
        keep: Callable[[Object], Any],
    ) -> Items | None:
        items: Items = []
        token = ""
        while True:
            query = {**selectors, "limit": str(limit) if limit else "", "continue": token}
            path, key = resource.path(namespace), resource.key(namespace)
            call = _Call("list", "GET", resource, path, key, query, accept=accept)
            status, body = await self._send(call)
            if status == 410:
                return None
            page = _success(call, status, body)
            items += map(keep, page.get("items") or [])
            token = page.get("metadata", {}).get("continue") or ""
            if not token:
                return items

    async def serves(self, resource: Resource) -> bool:
        """Whether discovery names the kind: a moment after its CRD is established, and what kopf goes by."""
        path = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.api_version}"
        call = _Call("discover", "GET", resource, path, resource.name, {})
        status, body = await self._send(call)
        if status == 404:
            return False
        return any(each.get("name") == resource.plural for each in _success(call, status, body).get("resources") or [])

    async def apply(
        self,
        resource: Resource,
        obj: Object,
        *,
        subresource: str = "",
        force: bool = True,
        manager: str = FIELD_MANAGER,
        dry_run: bool = False,
    ) -> Object:
        """Server-side apply. With metadata.resourceVersion in `obj`, Conflict when the object changed since."""
        name, namespace = obj["metadata"]["name"], obj["metadata"].get("namespace")
        query = {"fieldManager": manager, "force": "true" if force else "false", "dryRun": "All" if dry_run else ""}
        body = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
        return await self._change(
            _Call(
                "dry-run" if dry_run else "apply",
                "PATCH",
                resource,
                resource.path(namespace, name, subresource),
                resource.key(namespace, name),
                query,
                body,
                _APPLY,
            )
        )

    async def patch(
        self,
        resource: Resource,
        name: str,
        namespace: str | None,
        patch: Object | Objects,
        *,
        subresource: str = "",
        manager: str = FIELD_MANAGER,
    ) -> Object:
        """Merge patch (dict), or JSON patch (list): Conflict when a `test` fails or a path is absent."""
        return await self._change(
            _Call(
                "patch",
                "PATCH",
                resource,
                resource.path(namespace, name, subresource),
                resource.key(namespace, name),
                {"fieldManager": manager},
                patch,
                _JSON if isinstance(patch, list) else _MERGE,
                idempotent=isinstance(patch, dict),
            )
        )

    async def create(self, resource: Resource, obj: Object, *, manager: str = FIELD_MANAGER) -> Object | None:
        """Create an object; None when one of that name exists."""
        namespace = obj["metadata"].get("namespace")
        body = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
        call = _Call(
            "create",
            "POST",
            resource,
            resource.path(namespace),
            resource.key(namespace, obj["metadata"].get("name", "")),
            {"fieldManager": manager},
            body,
        )
        status, answer = await self._send(call)
        if status == 409 and answer.get("reason") == "AlreadyExists":
            return None
        return _success(call, status, answer)

    async def update(self, resource: Resource, obj: Object, *, manager: str = FIELD_MANAGER) -> Object:
        """Replace an object; Conflict unless its resourceVersion is the present one."""
        name, namespace = obj["metadata"]["name"], obj["metadata"].get("namespace")
        body = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
        return await self._change(
            _Call(
                "update",
                "PUT",
                resource,
                resource.path(namespace, name),
                resource.key(namespace, name),
                {"fieldManager": manager},
                body,
            )
        )

    async def delete(
        self, resource: Resource, name: str, namespace: str | None = None, *, uid: str | None = None
    ) -> bool:
        """Delete in the background; False when there is no such object (with `uid`: not that very one)."""
        body: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        call = _Call(
            "delete", "DELETE", resource, resource.path(namespace, name), resource.key(namespace, name), {}, body
        )
        status, answer = await self._send(call)
        if answers.object_missing(status, answer) or (uid and status == 409):
            return False
        _success(call, status, answer)
        return True

    async def through_service(
        self, namespace: str, service: str, path: str, query: dict[str, str]
    ) -> tuple[int, Object]:
        """GET from a Service, named scheme:name:port, by way of the API server: HTTP status and JSON.

        Refused when this is not allowed. An answer that is no JSON object comes as {"message": text}.
        """
        where = f"{SERVICES.path(namespace, service)}/proxy{path}"
        call = _Call("proxy", "GET", SERVICES, where, SERVICES.key(namespace, service), query)
        status, body = await self._send(call)
        if status in {401, 403}:
            _success(call, status, body)
        return status, body

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        fields: str = "",
        labels: str = "",
        timeout: float = 300.0,
    ) -> AsyncIterator[tuple[str, Object]]:
        """Yield (type, object): first ADDED for what there is, then changes, until the server ends after `timeout`.

        Watch again to go on. Unavailable when the connection breaks.
        """
        query = {
            "watch": "true",
            "timeoutSeconds": str(max(1, round(timeout))),
            "fieldSelector": fields,
            "labelSelector": labels,
        }
        call = _Call("watch", "GET", resource, resource.path(namespace), resource.key(namespace), query)
        limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=timeout + CONNECT_SECONDS)
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._raw(call, limits)
            if response.status != 200:
                raise answers.error(resource, response.status, answers.parse(await response.read()), call.key)
            async for line in response.content:
                yield _event(json.loads(line), call)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unavailable(f"the watch broke: {_text(error)}", call.key) from error
        finally:
            if response is not None:
                response.close()

    async def _change(self, call: _Call) -> Object:
        return _success(call, *await self._send(call))

    async def _send(self, call: _Call) -> tuple[int, Object]:
        """Send, and again after a transient failure as far as the request allows it."""
        limits = aiohttp.ClientTimeout(total=self._seconds, sock_connect=CONNECT_SECONDS)
        for attempt in range(1, self._attempts + 1):
            started = time.monotonic()
            status, delay = 0, FIRST_DELAY * 2 ** (attempt - 1)
            try:
                response = await self._raw(call, limits)
                status, body = response.status, answers.parse(await response.read())
                delay = max(delay, _retry_after(response.headers))
            except (aiohttp.ClientError, OSError) as error:
                unsent = isinstance(error, aiohttp.ClientConnectorError)
                if attempt == self._attempts or not (call.idempotent or unsent):
                    raise Unavailable(f"no answer: {_text(error)}", call.key) from error
            else:
                self._count(call, status)
                safe = call.idempotent or status in {401, 429}
                if attempt == self._attempts or not (answers.retryable(status, body) and safe):
                    return status, body
            finally:
                self._report(call, status, time.monotonic() - started)
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
        raise AssertionError("unreachable")

    async def _raw(self, call: _Call, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        client = self._client
        method, url, headers, body, _ = await client.param_serialize(
            call.method,
            call.path,
            query_params=[(name, text) for name, text in call.query.items() if text],
            header_params={"Content-Type": call.content_type, "Accept": call.accept},
            body=call.body,
            auth_settings=["BearerToken"],
        )
        answer = await client.call_api(method, url, headers, body, _request_timeout=limits)
        response: aiohttp.ClientResponse = answer.response
        return response

    def _count(self, call: _Call, status: int) -> None:
        if call.verb in _WRITES and status < 400:
            self.writes[call.verb, call.resource.name] += 1

    def _report(self, call: _Call, status: int, seconds: float) -> None:
        if self._observe is not None:
            self._observe(call.verb, call.resource.name, status, seconds)

    @property
    def _client(self) -> ApiClient:
        if self._open is None:
            raise RuntimeError("Kube is used outside of its `async with`")
        return self._open


def _success(call: _Call, status: int, body: Object) -> Object:
    if 200 <= status < 300:
        return body
    if status == 422 and call.content_type == _JSON and answers.precondition_failed(body):
        raise Conflict("the object is not as the JSON patch expects: a test or a path failed", call.key)
    raise answers.error(call.resource, status, body, call.key)


def _key(found: Object) -> tuple[str, str]:
    return found["metadata"].get("namespace", ""), found["metadata"]["name"]


def _retry_after(headers: Mapping[str, str]) -> float:
    text = headers.get("Retry-After", "")
    return min(float(text), MAX_RETRY_AFTER) if text.isascii() and text.isdigit() else 0.0


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__


def _event(event: Object, call: _Call) -> tuple[str, Object]:
    kind, obj = str(event["type"]), event["object"]
    if kind == "ERROR":
        raise Unavailable(f"the watch ended: {obj.get('message', '')}", call.key)
    return kind, obj
