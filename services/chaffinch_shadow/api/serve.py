"""The running collector: the port for copies, the API, the admin port, and an end that loses nothing."""

import secrets
import socket
from dataclasses import dataclass

from chaffinch_runtime.listening import Listener, listen
from chaffinch_shadow.api import admin, app
from chaffinch_shadow.api.service import Service
from chaffinch_shadow.collect.tally import ShardState
from chaffinch_shadow.mirror.app import Mirror
from chaffinch_shadow.mirror.collector import Collector
from chaffinch_shadow.mirror.saving import Saving
from chaffinch_shadow.store.write import Batch, state_of, write


@dataclass(frozen=True, slots=True)
class Ports:
    """Where to listen, plain HTTP inside a cluster."""

    host: str
    mirror: int
    api: int
    admin: int


async def serve(service: Service, ports: Ports) -> None:
    """Serve until SIGTERM or SIGINT; then compare and store what was taken, and end."""
    collector = Collector(service.evaluation, saving(service))

    def ending() -> None:
        collector.draining = True

    outer = [
        Listener(Mirror(collector), ports.host, ports.mirror),
        Listener(app.create(service), ports.host, ports.api),
    ]
    async with collector.running():
        await listen(outer, Listener(admin.create(service, collector), ports.host, ports.admin), ending)


def saving(service: Service) -> Saving:
    """A writer with a state of its own: two collectors, or two lives of one, never write to the same."""
    shard = f"mirror-{socket.gethostname()[:64]}-{secrets.token_hex(4)}"
    key = service.registered.key

    async def write_batch(batch: Batch) -> ShardState:
        async with service.connection() as connection:
            return await write(connection, key, batch)

    async def read_state() -> ShardState:
        async with service.connection() as connection:
            return await state_of(connection, key, shard)

    return Saving(shard, write_batch, read_state, service.evaluation.limits.unsaved)
