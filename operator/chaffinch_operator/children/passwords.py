"""What is made at random for a managed database, and what an address of PostgreSQL names. Reads no clock."""

import secrets
from urllib.parse import urlsplit

from chaffinch_operator.children.postgres import PORT


def password(host: str, role: str) -> dict[str, str]:
    """The database's password, and the address that has it; role: name of its role and its database."""
    word = secrets.token_urlsafe(32)
    return {"password": word, "dsn": f"postgresql://{role}:{word}@{host}:{PORT}/{role}"}


def ports(dsn: str) -> tuple[int, ...]:
    """Ports that an address of PostgreSQL names, which may list several hosts; its default where it names none."""
    hosts = urlsplit(dsn.strip()).netloc.rpartition("@")[2].split(",")
    named = [host.rpartition("]")[2].rpartition(":")[2] for host in hosts]
    return tuple(sorted({int(port) if port.isdigit() else PORT for port in named}))
