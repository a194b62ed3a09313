"""A ledger on an API server without controllers: tests say what controllers would report, and move the clock."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from chaffinch_operator.credits.reconcile import Reconciler
from chaffinch_operator.kube import DEPLOYMENTS, NAMESPACES, SECRETS, Kube
from chaffinch_operator.loop import Outcome
from chaffinch_operator.resources import CREDITSLEDGERS, JOBS, STATEFULSETS, Resource
from chaffinch_operator.settings import Settings
from cluster.apiserver import ApiServer
from support.client import connected

ROOT = Path(__file__).parents[3]
OPERATOR = "system:serviceaccount:chaffinch-system:chaffinch-operator"
GROUPS = ("system:serviceaccounts", "system:serviceaccounts:chaffinch-system", "system:authenticated")
NAME = "api-credits"
SAMPLE, LEDGER = list(yaml.safe_load_all((ROOT / "manifests/samples/credits.yaml").read_text()))
BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
Object = dict[str, Any]


@dataclass
class Clock:
    """A clock that a test moves."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __call__(self) -> datetime:
        """The time."""
        return self.now


@dataclass
class World:
    """One namespace: what an administrator does there, and passes of an operator with exactly its rights."""

    admin: Kube
    operator: Kube
    namespace: str
    clock: Clock = field(default_factory=Clock)
    image: str = "chaffinch:1"

    async def bind(self) -> None:
        """Give the operator its rights, as the sample does."""
        await self.admin.apply(BINDINGS, self._here(SAMPLE))

    async def apply(self, **spec: Any) -> None:
        """Apply the sample's ledger, with the given fields instead; None leaves one out."""
        body = self._here(LEDGER)
        wanted = {name: value for name, value in {**body["spec"], **spec}.items() if value is not None}
        await self.admin.apply(CREDITSLEDGERS, {**body, "spec": wanted})

    async def step(self) -> Outcome:
        """One pass."""
        settings = Settings(credits_image=self.image, postgres_image="postgres:1")
        return await Reconciler(self.operator, settings, self.clock).reconcile(self.namespace, NAME)

    async def steps(self, count: int = 3) -> str:
        """A few passes; the reason after the last one."""
        for _ in range(count):
            await self.step()
        return str((await self.status())["lastDecision"]["reason"])

    async def up(self, **spec: Any) -> None:
        """Everything is there and reports that it runs."""
        await self.bind()
        await self.apply(**spec)
        await self.steps(2)
        await self.database_runs()
        await self.steps(2)
        await self.migrated()
        await self.steps(2)
        await self.pods_run()
        assert await self.steps(2) == "Serving"

    async def status(self) -> Object:
        """Of the ledger."""
        found = (await self.admin.get(CREDITSLEDGERS, NAME, self.namespace)) or {}
        return found.get("status") or {}

    async def get(self, resource: Resource, name: str) -> Object:
        """An object that must be there."""
        found = await self.admin.get(resource, name, self.namespace)
        assert found is not None, f"{resource.kind} {name}"
        return found

    async def secret(self, name: str) -> dict[str, bytes]:
        """Content of a Secret."""
        return {k: base64.b64decode(v) for k, v in (await self.get(SECRETS, name))["data"].items()}

    # what controllers would report

    async def database_runs(self) -> None:
        """The StatefulSet's pod is ready."""
        await self._report(STATEFULSETS, f"{NAME}-postgres", {"replicas": 1, "readyReplicas": 1})

    async def migrated(self, *, well: bool = True) -> None:
        """Every Job is complete, or failed."""
        at = self.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        last = "Complete" if well else "Failed"
        first = "SuccessCriteriaMet" if well else "FailureTarget"
        told = [{"type": kind, "status": "True", "lastTransitionTime": at} for kind in (first, last)]
        status: Object = {"startTime": at, "conditions": told}
        if well:
            status |= {"completionTime": at, "succeeded": 1}
        for job in await self.admin.list(JOBS, self.namespace):
            if not (job.get("status") or {}).get("conditions"):
                await self.admin.patch(
                    JOBS, job["metadata"]["name"], self.namespace, {"status": status}, subresource="status"
                )

    async def pods_run(self) -> None:
        """All pods of the Deployment are new and ready."""
        wanted = (await self.get(DEPLOYMENTS, NAME))["spec"]["replicas"]
        counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        await self._report(DEPLOYMENTS, NAME, dict.fromkeys(counts, wanted))

    async def _report(self, resource: Resource, name: str, status: Object) -> None:
        generation = (await self.get(resource, name))["metadata"]["generation"]
        full = {"status": {"observedGeneration": generation, **status}}
        await self.admin.patch(resource, name, self.namespace, full, subresource="status")

    def _here(self, body: Object) -> Object:
        return {**body, "metadata": {**body["metadata"], "namespace": self.namespace}}

    def later(self, **parts: float) -> None:
        """Move the clock."""
        self.clock.now += timedelta(**parts)


@asynccontextmanager
async def world(api: ApiServer, namespace: str) -> AsyncIterator[World]:
    """A namespace of its own."""
    async with (
        connected(api.kubeconfig) as admin,
        connected(api.kubeconfig_for(OPERATOR, GROUPS)) as operator,
    ):
        await admin.create(NAMESPACES, {"metadata": {"name": namespace}})
        yield World(admin, operator, namespace)
