"""What goes wrong, as RFC 9457 problems with stable codes."""


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it a problem
    """What a client is told. code: stable; field: what is wrong, where it is one field."""

    def __init__(self, status: int, code: str, title: str, field: str = "") -> None:
        super().__init__(title)
        self.status, self.code, self.title, self.field = status, code, title, field

    def body(self) -> dict[str, object]:
        """The application/problem+json object."""
        found = {"type": "about:blank", "status": self.status, "code": self.code, "title": self.title}
        return {**found, "field": self.field} if self.field else dict(found)
