"""An evaluation on an API server without controllers: tests say what controllers and the service would report."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from chaffinch_operator.kube import CANARYROLLOUTS, DEPLOYMENTS, HTTPROUTES, NAMESPACES, SECRETS, SERVICES, Kube
from chaffinch_operator.loop import Outcome
from chaffinch_operator.ports.shadow import ShadowServiceError
from chaffinch_operator.resources import JOBS, SHADOWEVALUATIONS, STATEFULSETS, Resource
from chaffinch_operator.settings import Settings
from chaffinch_operator.shadow.reconcile import Reconciler
from cluster.apiserver import ApiServer
from support.client import connected
from unit.shadow_slice.builders import answer

ROOT = Path(__file__).parents[3]
OPERATOR = "system:serviceaccount:chaffinch-system:chaffinch-operator"
GROUPS = ("system:serviceaccounts", "system:serviceaccounts:chaffinch-system", "system:authenticated")
NAME = "waf-rules"
SAMPLE, EVALUATION = list(yaml.safe_load_all((ROOT / "manifests/samples/shadow.yaml").read_text()))
BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
USERS_FILTER = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "b"}]}}
Object = dict[str, Any]


@dataclass
class Clock:
    """A clock that a test moves."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __call__(self) -> datetime:
        """The time."""
        return self.now


@dataclass
class Service:
    """The service's end of the port: what it would say, and what it was told."""

    said: Object | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)
    concluded: int = 0

    async def evaluation(self, address: str, token: str) -> Object:
        """What the test says, or silence."""
        self.asked.append((address, token))
        if self.said is None:
            raise ShadowServiceError(f"{address} did not answer within 10 s")
        return self.said

    async def conclude(self, address: str, token: str) -> None:
        """Counted."""
        self.concluded += 1


@dataclass
class World:
    """One namespace: what an administrator does there, and passes of an operator with exactly its rights."""

    admin: Kube
    operator: Kube
    namespace: str
    clock: Clock = field(default_factory=Clock)
    service: Service = field(default_factory=Service)
    image: str = "chaffinch:1"

    async def open(self) -> None:
        """The user's side: two versions, a route to the control, and the operator's rights."""
        await self.admin.apply(BINDINGS, self.here(SAMPLE))
        for name in ("waf", "waf-next"):
            await self.admin.apply(DEPLOYMENTS, self.here(deployment(name, f"{name}:1")))
            port = {"port": 80, "targetPort": 8080, "protocol": "TCP"}
            body = {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [port]}}
            await self.admin.apply(SERVICES, self.here(body))
        rule = {"backendRefs": [{"name": "waf", "port": 80}], "filters": [USERS_FILTER]}
        plain = {"backendRefs": [{"name": "waf", "port": 80}]}
        route = {"metadata": {"name": "waf"}, "spec": {"rules": [rule, plain]}}
        await self.admin.apply(HTTPROUTES, self.here(route), manager="user")

    async def apply(self, **spec: Any) -> None:
        """Apply the sample's evaluation, with the given fields instead; None leaves one out."""
        body = self.here(EVALUATION)
        wanted = {name: value for name, value in {**body["spec"], **spec}.items() if value is not None}
        await self.admin.apply(SHADOWEVALUATIONS, {**body, "spec": wanted}, manager="user")

    async def step(self) -> Outcome:
        """One pass."""
        settings = Settings(shadow_image=self.image, postgres_image="postgres:1")
        return await Reconciler(self.operator, settings, self.service, self.clock).reconcile(self.namespace, NAME)

    async def steps(self, count: int = 3) -> str:
        """A few passes; the reason after the last one."""
        for _ in range(count):
            await self.step()
        return str((await self.status())["lastDecision"]["reason"])

    async def up(self, **spec: Any) -> None:
        """Everything is there and reports that it runs; requests are taken."""
        await self.open()
        await self.apply(**spec)
        await self.steps(2)
        await self.database_runs()
        await self.steps(2)
        await self.migrated()
        await self.steps(2)
        await self.pod_runs()
        await self.steps(3)

    async def says(self, verdict: str = "Inconclusive", **changes: Any) -> None:
        """From now on the service says this of the present generation."""
        meta = (await self.get(SHADOWEVALUATIONS, NAME))["metadata"]
        self.service.said = answer(verdict, uid=meta["uid"], generation=meta["generation"], **changes)

    async def status(self) -> Object:
        """Of the evaluation."""
        found = (await self.admin.get(SHADOWEVALUATIONS, NAME, self.namespace)) or {}
        return found.get("status") or {}

    async def get(self, resource: Resource, name: str) -> Object:
        """An object that must be there."""
        found = await self.admin.get(resource, name, self.namespace)
        assert found is not None, f"{resource.kind} {name}"
        return found

    async def filters(self) -> list[list[str]]:
        """Types of the filters in each rule of the route."""
        rules = (await self.get(HTTPROUTES, "waf"))["spec"]["rules"]
        return [[each["type"] for each in rule.get("filters") or ()] for rule in rules]

    async def secret(self, name: str) -> dict[str, bytes]:
        """Content of a Secret."""
        return {k: base64.b64decode(v) for k, v in (await self.get(SECRETS, name))["data"].items()}

    async def rollout(self, **spec: Any) -> None:
        """A suspended CanaryRollout of the control's Deployment."""
        wanted = {
            "targetRef": {"name": "waf"},
            "serviceRef": {"name": "waf", "port": 80},
            "trafficRouting": {"replicas": {}},
            "analysis": {"gates": [{"name": "restarts", "podRestarts": {}}]},
            "suspend": True,
        }
        await self.admin.apply(CANARYROLLOUTS, self.here({"metadata": {"name": "waf"}, "spec": {**wanted, **spec}}))

    # what controllers would report

    async def database_runs(self) -> None:
        """The StatefulSet's pod is ready."""
        await self._report(STATEFULSETS, f"{NAME}-postgres", {"replicas": 1, "readyReplicas": 1})

    async def migrated(self) -> None:
        """Every migration is complete."""
        await self.ended("migrate")

    async def ended(self, part: str, *, well: bool = True) -> None:
        """Every Job with this in its name is complete, or failed."""
        at = self.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        first, last = ("SuccessCriteriaMet", "Complete") if well else ("FailureTarget", "Failed")
        told = [{"type": kind, "status": "True", "lastTransitionTime": at} for kind in (first, last)]
        for job in await self.admin.list(JOBS, self.namespace):
            if part in job["metadata"]["name"] and not (job.get("status") or {}).get("conditions"):
                status: Object = {"startTime": at, "conditions": told}
                if well:
                    done = job["spec"].get("completions", 1)
                    status |= {"completionTime": at, "succeeded": done}
                    status |= (
                        {"completedIndexes": f"0-{done - 1}"} if job["spec"].get("completionMode") == "Indexed" else {}
                    )
                await self.admin.patch(
                    JOBS, job["metadata"]["name"], self.namespace, {"status": status}, subresource="status"
                )

    async def pod_runs(self) -> None:
        """The pod of the Deployment is new and ready."""
        counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        await self._report(DEPLOYMENTS, f"{NAME}-shadow", dict.fromkeys(counts, 1))

    async def _report(self, resource: Resource, name: str, status: Object) -> None:
        generation = (await self.get(resource, name))["metadata"]["generation"]
        full = {"status": {"observedGeneration": generation, **status}}
        await self.admin.patch(resource, name, self.namespace, full, subresource="status")

    def here(self, body: Object) -> Object:
        """The object in this namespace."""
        return {**body, "metadata": {**body["metadata"], "namespace": self.namespace}}

    def later(self, **parts: float) -> None:
        """Move the clock."""
        self.clock.now += timedelta(**parts)


def deployment(name: str, image: str, *, held: bool = False) -> Object:
    """A version's Deployment."""
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": name, "image": image, "env": [{"name": "PARANOIA", "value": "1"}]}]},
    }
    body: Object = {"selector": {"matchLabels": {"app": name}}, "template": template}
    return {"metadata": {"name": name}, "spec": {**body, "paused": True} if held else body}


@asynccontextmanager
async def world(api: ApiServer, namespace: str) -> AsyncIterator[World]:
    """A namespace of its own."""
    async with (
        connected(api.kubeconfig) as admin,
        connected(api.kubeconfig_for(OPERATOR, GROUPS)) as operator,
    ):
        await admin.create(NAMESPACES, {"metadata": {"name": namespace}})
        yield World(admin, operator, namespace)
