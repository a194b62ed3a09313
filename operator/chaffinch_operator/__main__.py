"""The operator process: `python -m chaffinch_operator`.

Order: health endpoints, Lease, CRDs, hold, then the loops. Exit status: 0 after SIGTERM, 1 when something failed or the
Lease was lost, 2 when a setting is wrong.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import structlog
import uvloop

from chaffinch_operator import log, registry
from chaffinch_operator.alerting import Alerting
from chaffinch_operator.canary.hold_keeper import HoldKeeper, HoldState
from chaffinch_operator.canary.reconcile import Reconciler
from chaffinch_operator.credits.reconcile import Reconciler as LedgerReconciler
from chaffinch_operator.errors import ChaffinchError
from chaffinch_operator.health import Health, HealthServer
from chaffinch_operator.kube import CANARYROLLOUTS, Kube
from chaffinch_operator.leader import Elector
from chaffinch_operator.metrics import KindMetrics, Metrics
from chaffinch_operator.ports.prometheus import PrometheusServers
from chaffinch_operator.ports.shadow import HttpShadowService
from chaffinch_operator.resources import CREDITSLEDGERS, SHADOWEVALUATIONS, Resource
from chaffinch_operator.runtime import Key, Runtime, Slice
from chaffinch_operator.settings import BadSettingError, Settings
from chaffinch_operator.shadow.reconcile import Reconciler as EvaluationReconciler
from chaffinch_operator.turns import aside

Build = Callable[[Kube, HoldKeeper, PrometheusServers, Metrics], Slice]
CRD_RETRY_SECONDS = 2.0
_log = structlog.get_logger("chaffinch.operator")
_KINDS = (CANARYROLLOUTS, CREDITSLEDGERS, SHADOWEVALUATIONS)
_WAITED_FOR = ("crds", "hold", "sync")


def build_canary(kube: Kube, hold: HoldKeeper, prometheus: PrometheusServers, metrics: Metrics) -> Slice:
    """Make the canary slice."""
    return Reconciler(kube, hold, prometheus.get, metrics, _now, aside)


def _now() -> datetime:
    return datetime.now(UTC)


def _runtime(
    settings: Settings, kind: Resource, work: Slice, metrics: Metrics, synced: Callable[[], None] = lambda: None
) -> Runtime:
    """The loops of one kind's objects."""
    return Runtime(
        settings,
        work,
        KindMetrics(metrics, kind.kind),
        counted=lambda count: metrics.objects(kind.kind, count),
        synced=synced,
        waited=lambda seconds: metrics.waited(kind.kind, seconds),
    )


async def serve(settings: Settings, build: Build = build_canary) -> int:
    """Run until SIGTERM or SIGINT; the exit status."""
    stop, metrics, health = asyncio.Event(), Metrics(), Health(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with (
        Kube.connect(settings, observe=metrics.request) as kube,
        Kube.connect(settings, attempts=1, seconds=settings.renew_seconds / 2) as lease_kube,
        PrometheusServers(observe=metrics.queried) as prometheus,
        HttpShadowService() as shadow_service,
        HealthServer(health, metrics, settings) as server,
        Alerting(settings, kube, metrics) as alerts,
    ):
        _log.info(
            "operator_started",
            version=version("chaffinch"),
            identity=settings.identity,
            port=server.port,
            alerts=alerts.state,
        )
        health.note("alerts", lambda: alerts.state)
        elector = Elector(lease_kube, settings)
        if not await _unless_stopped(elector.acquire(), stop):
            return 0
        hold = HoldKeeper(kube, settings)
        rollouts = build(kube, hold, prometheus, metrics)
        runtime = _runtime(settings, CANARYROLLOUTS, rollouts, metrics, lambda: health.ready("sync"))
        ledgers = _runtime(settings, CREDITSLEDGERS, LedgerReconciler(kube, settings, _now), metrics)
        evaluation = EvaluationReconciler(kube, settings, shadow_service, _now)
        evaluations = _runtime(settings, SHADOWEVALUATIONS, evaluation, metrics)
        loops = registry.Loops(runtime, ledgers, evaluations)
        alerts.lead(runtime)
        health.lead(*_WAITED_FOR)
        metrics.leading(True)
        with _beside(_keep_lease(elector), elector.watch_renewals(health.renewal_seen), alerts.poll()):
            status = await _lead(kube, loops, hold, health, metrics, settings, stop)
        await elector.release()
    _log.info("operator_stopped", identity=settings.identity, status=status)
    return status


async def _lead(
    kube: Kube,
    loops: registry.Loops,
    hold: HoldKeeper,
    health: Health,
    metrics: Metrics,
    settings: Settings,
    stop: asyncio.Event,
) -> int:
    def found(state: HoldState) -> None:
        metrics.hold_installed(state.installed)
        if state.installed:
            health.ready("hold")
        else:
            health.not_ready("hold", state.message)

    if not await _unless_stopped(_wait_for_crds(kube, health), stop):
        return 0
    with _beside(hold.run(found)):
        if not await _unless_stopped(_expect(kube, loops.rollouts, settings), stop):
            return 0
        try:
            await registry.run(kube, loops, settings, stop)
        except Exception as error:  # noqa: BLE001 - such as the CRD's removal: a fresh process waits for it
            _log.error("watches_failed", error=f"{type(error).__name__}: {error}")
            return 1
        finally:
            loops.stop()
    return 0


async def _keep_lease(elector: Elector) -> None:
    """Hold the Lease; without it nothing may be written any more, so nothing is cleaned up either."""
    try:
        await elector.hold()
    except Exception as error:  # noqa: BLE001 - whatever it is, this process leads no more
        _log.error("lease_lost", error=str(error))
        sys.stderr.flush()
        os._exit(1)


async def _wait_for_crds(kube: Kube, health: Health) -> None:
    """Return once the kinds are served and discovered: kopf looks for them only once."""
    while True:
        try:
            missing = [kind.name for kind in _KINDS if not await kube.serves(kind)]
            if not missing:
                return health.ready("crds")
            *others, last = missing
            verb = "are" if others else "is"
            listed = f"{', '.join(others)} and {last}" if others else last
            why = f"{listed} {verb} not served: kubectl apply --server-side -k crds/"
            health.not_ready("crds", why)
        except ChaffinchError as error:
            health.not_ready("crds", str(error))
        await asyncio.sleep(CRD_RETRY_SECONDS)


async def _expect(kube: Kube, runtime: Runtime, settings: Settings) -> None:
    while True:
        try:
            found = [
                Key(*key)
                for namespace in settings.watch_namespaces or (None,)
                for key in await kube.keys(CANARYROLLOUTS, namespace)
            ]
        except ChaffinchError as error:
            _log.warning("first_list_failed", error=str(error))
            await asyncio.sleep(CRD_RETRY_SECONDS)
        else:
            return runtime.expect(found)


async def _unless_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Run `work` to its end; False when asked to stop before."""
    task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        return task.done() and not stop.is_set()
    finally:
        stopped.cancel()
        task.cancel()


@contextmanager
def _beside(*work: Coroutine[Any, Any, None]) -> Iterator[None]:
    """Run coroutines that never end beside the body; one that fails ends the process, for kubelet to start it anew."""
    tasks = [asyncio.ensure_future(each) for each in work]
    for task in tasks:
        task.add_done_callback(_end_if_failed)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


def _end_if_failed(task: asyncio.Future[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("background_task_failed", exc_info=error)
        sys.stderr.flush()
        os._exit(1)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        prog="chaffinch_operator",
        description="Releases software on evidence. All settings come from the environment.",
        epilog="See chaffinch_operator/settings.py for the variables.",
    )
    parser.add_argument("command", nargs="?", choices=["run"], default="run")
    parser.add_argument("--version", action="version", version=version("chaffinch"))
    parser.parse_args(arguments)
    try:
        settings = Settings.from_env(os.environ)
    except BadSettingError as error:
        parser.exit(2, f"chaffinch_operator: {error}\n")
    log.configure(settings)
    return uvloop.run(serve(settings))


if __name__ == "__main__":
    sys.exit(main())
