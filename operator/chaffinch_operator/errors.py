"""Exceptions of the operator. Expected states (an object is absent, data is missing) are values, not exceptions.

    ChaffinchError
    ├── Retryable            trying again later may help; the loop does, with back-off
    │   ├── Unavailable      the API server does not answer, or answers 5xx
    │   ├── Conflict         somebody wrote in between (resourceVersion, field manager, JSON-patch test): read again
    │   └── Throttled        the API server asks us to slow down
    └── Terminal             the same request will fail again until a person changes something
        ├── Refused          RBAC, an admission policy or a quota says no
        │   └── NotFound     a write to an object, or in a namespace, that is not there
        ├── KindMissing      the API server does not serve the kind
        └── InvalidObject    the API server finds the object malformed

Every one carries `key` (what it was about, "Deployment shop/web") and a message that names the way out.
"""


class ChaffinchError(Exception):
    """Root of the tree."""

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(f"{key}: {message}" if key else message)
        self.message = message
        self.key = key


class Retryable(ChaffinchError):  # noqa: N818 - the tree's branches are adjectives, as in the contract between slices
    """Trying again later may help."""


class Unavailable(Retryable):
    """No usable answer from the API server after a few attempts."""


class Conflict(Retryable):
    """The object changed in between, or another field manager owns the field. Read again, decide again."""


class Throttled(Retryable):
    """Still 429 after a few attempts."""


class Terminal(ChaffinchError):  # noqa: N818 - see Retryable
    """Trying again does not help until a person changes something."""


class Refused(Terminal):
    """The API server understood and said no."""

    def __init__(self, status: int, reason: str, message: str, key: str = "") -> None:
        super().__init__(message, key)
        self.status = status
        self.reason = reason


class NotFound(Refused):
    """A write met no object (or no namespace) of that name."""


class KindMissing(Terminal):
    """The API server does not serve the resource, such as "httproutes.gateway.networking.k8s.io"."""

    def __init__(self, resource: str, key: str = "") -> None:
        super().__init__(f"the API server does not serve {resource}: install its CRD, or a newer Kubernetes", key)
        self.resource = resource


class InvalidObject(Terminal):
    """The API server finds the object malformed (400, 413, 422)."""
