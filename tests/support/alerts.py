"""Posts as Alertmanager sends them."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

TOKEN = "a-token-for-tests-only"


def alert(labels: Mapping[str, str], *, ago: float = 0.0, number: int = 1, status: str = "firing") -> dict[str, Any]:
    """An alert that began so many seconds ago."""
    began = datetime.now(UTC) - timedelta(seconds=ago)
    return {
        "status": status,
        "labels": {"alertname": "CheckoutErrors", "severity": "critical", **labels},
        "annotations": {"summary": "too many errors"},
        "startsAt": began.isoformat().replace("+00:00", "Z"),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": f"{number:016x}",
    }


def post(*alerts: Mapping[str, Any], **fields: Any) -> bytes:
    """The body of a post."""
    return json.dumps(
        {
            "version": "4",
            "groupKey": "{}:{}",
            "truncatedAlerts": 0,
            "status": "firing",
            "receiver": "chaffinch",
            "groupLabels": {},
            "commonLabels": {},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager",
            "alerts": list(alerts),
            **fields,
        }
    ).encode()


@dataclass(frozen=True, slots=True)
class Sender:
    """Somebody who posts to an operator."""

    port: int
    token: str = TOKEN

    async def send(self, body: bytes, **headers: str) -> tuple[int, str]:
        """Status and text of the answer."""
        given = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **headers}
        url = f"http://127.0.0.1:{self.port}/alerts"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=io.BytesIO(body), headers=given) as answer,
        ):
            return answer.status, await answer.text()
