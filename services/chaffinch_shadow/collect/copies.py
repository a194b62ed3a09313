"""A copy of a request, and what a version answered to it."""

from dataclasses import dataclass

Headers = tuple[tuple[str, str], ...]
"""Names in lower case, in the order of the wire."""

REQUEST_ID = "x-request-id"
_HOP_BY_HOP = frozenset(
    [
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)
_SUFFIX = "-shadow"


def first(headers: Headers, name: str) -> str | None:
    """Return the first value of a header."""
    return next((value for key, value in headers if key == name), None)


@dataclass(frozen=True, slots=True)
class Copy:
    """A request as the gateway copied it, or as a file holds it.

    Attributes:
        method: in upper case.
        target: path and query, as sent.
        headers: all of them.
        body: whole.
        ordinal: place in time: microseconds since 1970, or the record's number in a replay.
        label: what the file says, True for an attack.

    """

    method: str
    target: str
    headers: Headers
    body: bytes = b""
    ordinal: int = 0
    label: bool | None = None

    @property
    def request_id(self) -> str | None:
        """The id by which answers, samples and labels are joined."""
        return first(self.headers, REQUEST_ID) or None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a version answered, and after how many microseconds."""

    status: int
    headers: Headers
    body: bytes
    micros: int


def forwarded(copy: Copy, version: str) -> list[tuple[str, str]]:
    """Return the headers for a version: those of the copy without what belongs to a connection, and a mark.

    The mark tells a service that nobody waits for this answer, and that nobody is to pay for it.
    """
    listed = {name.strip().lower() for name in (first(copy.headers, "connection") or "").split(",")}
    kept = [(name, value) for name, value in copy.headers if name not in _HOP_BY_HOP and name not in listed]
    host = first(copy.headers, "host")
    return [*([("host", _without_suffix(host))] if host else []), *kept, ("x-chaffinch-shadow", version)]


def _without_suffix(host: str) -> str:
    """Return the host that the client asked for: Envoy appends -shadow to that of a copy."""
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdigit():
        name, colon, port = host, "", ""
    return f"{name.removesuffix(_SUFFIX)}{colon}{port}"
