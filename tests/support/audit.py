"""What the API server itself says was written, by whom: its audit log. Independent of any client's own counters."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

READS = frozenset({"get", "list", "watch"})
_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted, Panic]
rules:
- {level: None, nonResourceURLs: ["*"]}
- {level: Metadata}
"""


@dataclass(frozen=True, slots=True)
class Request:
    """One request that was answered."""

    at: float
    """When it came, in seconds since the epoch."""
    user: str
    verb: str
    resource: str
    """Plural, with its subresource: canaryrollouts/status."""
    namespace: str
    name: str
    code: int

    @property
    def writes(self) -> bool:
        """Whether it may change something."""
        return self.verb not in READS


class AuditLog:
    """Give `flags` to an ApiServer, then ask."""

    def __init__(self, folder: Path) -> None:
        self._policy, self._log = folder / "audit-policy.yaml", folder / "audit.log"
        self._policy.write_text(_POLICY)

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags of kube-apiserver."""
        return (
            f"--audit-policy-file={self._policy}",
            f"--audit-log-path={self._log}",
            "--audit-log-mode=blocking",
            "--audit-log-maxsize=20000",
        )

    def position(self) -> int:
        """The end of the log as it is now."""
        return self._log.stat().st_size if self._log.exists() else 0

    def requests(self, user: str, since: int = 0) -> list[Request]:
        """Requests of a user, logged from a position on. RuntimeError when that is past the end: it was rotated."""
        if self._log.stat().st_size < since:
            raise RuntimeError(f"{self._log} was rotated: what was asked before cannot be told any more")
        with self._log.open("rb") as file:
            file.seek(since)
            lines = file.read().splitlines(keepends=True)
        found = [_request(json.loads(line)) for line in lines if line.endswith(b"\n")]
        return [r for r in found if r.user == user]

    def writes(self, user: str, since: int = 0, *, of: Callable[[Request], bool] = lambda _: True) -> Counter[str]:
        """Writes of a user but for those of Leases, as "verb resource namespace/name"."""
        return Counter(
            f"{r.verb} {r.resource} {r.namespace}/{r.name}"
            for r in self.requests(user, since)
            if r.writes and r.resource != "leases" and of(r)
        )


def _request(line: dict[str, Any]) -> Request:
    ref = line.get("objectRef") or {}
    resource = "/".join(part for part in (ref.get("resource", ""), ref.get("subresource", "")) if part)
    return Request(
        at=datetime.fromisoformat(line["requestReceivedTimestamp"]).timestamp(),
        user=line["user"]["username"],
        verb=line["verb"],
        resource=resource,
        namespace=ref.get("namespace", ""),
        name=ref.get("name", ""),
        code=int((line.get("responseStatus") or {}).get("code", 0)),
    )
