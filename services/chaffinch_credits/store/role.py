"""The role of the service: it reads, appends, and changes standing sums; it cannot change what was written down."""

from chaffinch_credits.store.connection import Connection

_TABLES = (
    "ledger, asset, ledger_head, account, entry, metadata, hold, lot, block, checkpoint, tile, audit_logs, dek, "
    "webhook, webhook_dead, verification"
)
_CHANGING = {
    "ledger_head": "next_seq, next_number, block_number, block_hash",
    "account": "closed, debits, credits, held, expected, version",
    "hold": "state",
    "lot": "remaining",
}
_DELETING = "webhook, webhook_dead"
"""Neither is a record of anything: webhooks are settings and cursors."""
_KNOWN = "SELECT rolsuper FROM pg_roles WHERE rolname = $1"
_OWNS = """
SELECT EXISTS (SELECT FROM pg_tables
               WHERE schemaname = current_schema() AND pg_has_role($1::name, tableowner, 'USAGE'))"""


class RoleError(ValueError):
    """The role cannot be the service's; the message says why."""


async def grant(connection: Connection, role: str) -> None:
    """Give a role what the service needs, and take away all else on the tables. Safe to run again.

    Raises:
        RoleError: there is no such role, or it is a superuser, or owns the tables.

    """
    superuser = await connection.fetchval(_KNOWN, role)
    if superuser is None:
        raise RoleError(f'there is no role "{role}": CREATE ROLE "{role}" LOGIN first')
    if superuser or await connection.fetchval(_OWNS, role):
        raise RoleError(f'"{role}" is a superuser or owns the tables: nothing could be kept from it; use another role')
    name, schema = (
        await connection.fetchval("SELECT quote_ident($1)", role),
        await connection.fetchval("SELECT quote_ident(current_schema())"),
    )
    async with connection.transaction():
        await connection.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {name}")
        await connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {name}")
        await connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {name}")
        await connection.execute(f"GRANT INSERT ON {_TABLES} TO {name}")
        await connection.execute(f"GRANT UPDATE, DELETE ON {_DELETING} TO {name}")
        for table, columns in _CHANGING.items():
            await connection.execute(f"GRANT UPDATE ({columns}) ON {table} TO {name}")
