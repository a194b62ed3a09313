"""Specs and snapshots of ledgers for tests."""

from datetime import UTC, datetime
from typing import Any

from chaffinch_operator.children.seen import Found, Pods
from chaffinch_operator.children.writes import Apply, Delete
from chaffinch_operator.credits.decide import Decision
from chaffinch_operator.credits.model import CreditsLedgerSpec
from chaffinch_operator.credits.plan import MakeSecret, plan
from chaffinch_operator.credits.snapshot import Snapshot
from chaffinch_operator.names import ANNOTATION_DIGEST

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def spec(**changes: Any) -> CreditsLedgerSpec:
    """A managed ledger with one asset, and the given fields instead."""
    return CreditsLedgerSpec.model_validate({"assets": [{"code": "CREDIT"}], "database": {"managed": {}}} | changes)


def snapshot(**changes: Any) -> Snapshot:
    """Nothing is there yet."""
    fields: dict[str, Any] = {
        "namespace": "shop",
        "name": "api-credits",
        "uid": "u1",
        "generation": 1,
        "image": "chaffinch:1",
        "postgres_image": "postgres:15",
    }
    return Snapshot(**fields | changes)


def running(pods: int = 2) -> Pods:
    """So many pods, all ready and current."""
    return Pods(pods, pods, current=True)


def carried_out(wanted: CreditsLedgerSpec, before: Snapshot, decision: Decision) -> Snapshot:
    """What the world looks like after the writes of a decision, but for certificates."""
    objects, secrets = dict(before.objects), dict(before.secrets)
    for operation in plan(wanted, before, decision, NOW):
        match operation:
            case Apply(kind, body):
                note = body["metadata"]["annotations"][ANNOTATION_DIGEST]
                objects[kind, body["metadata"]["name"]] = Found(note)
            case Delete(kind, name):
                objects.pop((kind, name), None)
                secrets.pop(name, None)
            case MakeSecret(_, name):
                secrets[name] = frozenset({"dsn", "key.pem", "keys.json", "passphrase"})
            case _:
                pass
    return Snapshot(**{f: getattr(before, f) for f in before.__slots__} | {"objects": objects, "secrets": secrets})
