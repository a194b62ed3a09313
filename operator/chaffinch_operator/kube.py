"""The only door to the Kubernetes API (beside kopf's own watches): typed errors, time limits, retries, no discovery.

Built on the asyncio half of the official client, with plain dicts in and out. Nothing here knows what the objects mean.
"""

import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import aiohttp
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import Configuration

from chaffinch_operator import answers
from chaffinch_operator.errors import Unavailable
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
from chaffinch_operator.transport import (
    ATTEMPTS,
    CONNECT_SECONDS,
    JSON_PATCH,
    PLAIN,
    REQUEST_SECONDS,
    Call,
    Connection,
    Object,
    Objects,
    Observe,
    Transport,
    success,
    text_of,
)

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

Keys = list[tuple[str, str]]
"""Namespace and name of each."""
Items = list[Any]
_MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


class Kube:
    """Client of one API server. Use as `async with Kube.connect(settings) as kube`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

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

        return cls(Transport(load, attempts=attempts, seconds=seconds, observe=observe))

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    @property
    def writes(self) -> Counter[tuple[str, str]]:
        """Answered writes by (verb, resource name): at rest it must not grow."""
        return self._transport.writes

    async def connection(self) -> Connection:
        """Return address and credentials as they are now."""
        return await self._transport.connection()

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """Return an object, or None when there is none of that name; KindMissing when the kind is not served."""
        call = Call("get", "GET", resource, resource.path(namespace, name), resource.key(namespace, name), {})
        status, body = await self._transport.send(call)
        if answers.object_missing(status, body):
            return None
        return success(call, status, body)

    async def list(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = "", limit: int = 500
    ) -> Objects:
        """Return all objects that match, read in pages of `limit`; starts anew when the pages expire meanwhile."""
        selectors = {"labelSelector": labels, "fieldSelector": fields}
        return await self._all(resource, namespace, selectors, limit, PLAIN, lambda found: found)

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
            call = Call("list", "GET", resource, path, key, query, accept=accept)
            status, body = await self._transport.send(call)
            if status == 410:
                return None
            page = success(call, status, body)
            items += map(keep, page.get("items") or [])
            token = page.get("metadata", {}).get("continue") or ""
            if not token:
                return items

    async def serves(self, resource: Resource) -> bool:
        """Whether discovery names the kind: a moment after its CRD is established, and what kopf goes by."""
        path = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.api_version}"
        call = Call("discover", "GET", resource, path, resource.name, {})
        status, body = await self._transport.send(call)
        if status == 404:
            return False
        return any(each.get("name") == resource.plural for each in success(call, status, body).get("resources") or [])

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
            Call(
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
            Call(
                "patch",
                "PATCH",
                resource,
                resource.path(namespace, name, subresource),
                resource.key(namespace, name),
                {"fieldManager": manager},
                patch,
                JSON_PATCH if isinstance(patch, list) else _MERGE,
                idempotent=isinstance(patch, dict),
            )
        )

    async def create(self, resource: Resource, obj: Object, *, manager: str = FIELD_MANAGER) -> Object | None:
        """Create an object; None when one of that name exists."""
        namespace = obj["metadata"].get("namespace")
        body = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
        call = Call(
            "create",
            "POST",
            resource,
            resource.path(namespace),
            resource.key(namespace, obj["metadata"].get("name", "")),
            {"fieldManager": manager},
            body,
        )
        status, answer = await self._transport.send(call)
        if status == 409 and answer.get("reason") == "AlreadyExists":
            return None
        return success(call, status, answer)

    async def update(self, resource: Resource, obj: Object, *, manager: str = FIELD_MANAGER) -> Object:
        """Replace an object; Conflict unless its resourceVersion is the present one."""
        name, namespace = obj["metadata"]["name"], obj["metadata"].get("namespace")
        body = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
        return await self._change(
            Call(
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
        call = Call(
            "delete", "DELETE", resource, resource.path(namespace, name), resource.key(namespace, name), {}, body
        )
        status, answer = await self._transport.send(call)
        if answers.object_missing(status, answer) or (uid and status == 409):
            return False
        success(call, status, answer)
        return True

    async def through_service(
        self,
        namespace: str,
        service: str,
        path: str,
        query: dict[str, str],
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> tuple[int, Object]:
        """GET from a Service, named scheme:name:port, by way of the API server: HTTP status and JSON.

        Refused when this is not allowed. An answer that is no JSON object comes as {"message": text}.
        """
        where = f"{SERVICES.path(namespace, service)}/proxy{path}"
        call = Call("proxy", "GET", SERVICES, where, SERVICES.key(namespace, service), query, headers=headers)
        status, body = await self._transport.send(call)
        if status in {401, 403}:
            success(call, status, body)
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
        call = Call("watch", "GET", resource, resource.path(namespace), resource.key(namespace), query)
        limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=timeout + CONNECT_SECONDS)
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._transport.raw(call, limits)
            if response.status != 200:
                raise answers.error(resource, response.status, answers.parse(await response.read()), call.key)
            async for line in response.content:
                yield _event(json.loads(line), call)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unavailable(f"the watch broke: {text_of(error)}", call.key) from error
        finally:
            if response is not None:
                response.close()

    async def _change(self, call: Call) -> Object:
        return success(call, *await self._transport.send(call))


def _key(found: Object) -> tuple[str, str]:
    return found["metadata"].get("namespace", ""), found["metadata"]["name"]


def _event(event: Object, call: Call) -> tuple[str, Object]:
    kind, obj = str(event["type"]), event["object"]
    if kind == "ERROR":
        raise Unavailable(f"the watch ended: {obj.get('message', '')}", call.key)
    return kind, obj
