"""Labels that come later, by request id."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chaffinch_runtime.migrations import Connection

_INSERT = """
INSERT INTO sample_label (evaluation, request_id, label, labelled_at, source)
SELECT $1, u.request_id, u.label, u.labelled_at, $5
FROM unnest($2::text[], $3::boolean[], $4::timestamptz[]) AS u (request_id, label, labelled_at)
ON CONFLICT DO NOTHING"""


@dataclass(frozen=True, slots=True)
class Label:
    """What somebody says of a request."""

    request_id: str
    label: bool
    labelled_at: datetime


async def add(connection: Connection, evaluation: int, labels: Sequence[Label], source: str) -> int:
    """Write labels down; returns how many are new. Saying the same twice changes nothing."""
    done = await connection.execute(
        _INSERT,
        evaluation,
        [one.request_id for one in labels],
        [one.label for one in labels],
        [one.labelled_at for one in labels],
        source,
    )
    return int(done.rpartition(" ")[2])
