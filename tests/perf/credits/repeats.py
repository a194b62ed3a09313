"""Requests of which many are repetitions, some of them with another body, all at once; and what must hold of them."""

import asyncio
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from perf.credits.load import Book, Connection, uuid7

REPEATED, CHANGED = 0.3, 0.3
"""Share of requests that repeat an id, and of those the share with another body."""
_RECENT = 5_000
_HEAD = "Host: localhost\r\nContent-Type: application/json\r\nContent-Length: "


@dataclass(slots=True)
class Answers:
    """By id: what each body was answered."""

    by_id: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    """(amount, status)."""

    def wrong(self) -> list[str]:
        """Ids of which more than one request was done, or whose repetitions were answered otherwise than the first."""
        return [each for each, said in self.by_id.items() if not _right(said)]

    def summary(self) -> dict[str, Any]:
        """Counts."""
        statuses = Counter(status for said in self.by_id.values() for _, status in said)
        return {
            "requests": sum(statuses.values()),
            "ids": len(self.by_id),
            "statuses": {str(status): count for status, count in sorted(statuses.items())},
            "idsSentWithTwoBodies": sum(len({amount for amount, _ in said}) > 1 for said in self.by_id.values()),
        }


def _right(said: list[tuple[int, int]]) -> bool:
    """One body won: done once (201), repeated ever after (200); every other body was refused (409)."""
    won = {amount for amount, status in said if status in {200, 201}}
    done = sum(status == 201 for _, status in said)
    return len(won) == 1 and done == 1 and all(status == 409 for amount, status in said if amount not in won)


@dataclass(slots=True)
class Sender:
    """Sends so many requests over the connections that come free, and keeps each answer."""

    left: int
    accounts: int
    draw: random.Random = field(default_factory=lambda: random.Random(7))
    answers: Answers = field(default_factory=Answers)
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    _sent: list[tuple[str, int]] = field(default_factory=list)
    _under_way: dict[Connection, tuple[str, int]] = field(default_factory=dict)

    def free(self, connection: Connection) -> None:
        """Keep what it was answered, and send the next."""
        if (before := self._under_way.pop(connection, None)) is not None:
            self.answers.by_id[before[0]].append((before[1], connection.status))
        if self.left:
            self.left -= 1
            self._under_way[connection] = own, amount = self._next()
            connection.send(_post(own, amount, self.accounts), 0.0)
        elif not self._under_way:
            self.finished.set()

    def _next(self) -> tuple[str, int]:
        if self._sent and self.draw.random() < REPEATED:
            own, amount = self._sent[-1 - int(self.draw.random() * min(len(self._sent), _RECENT))]
            return own, amount + (self.draw.random() < CHANGED)
        self._sent.append((uuid7(), 1 + int(self.draw.random() * 3)))
        return self._sent[-1]


async def send(port: int, count: int, connections: int, accounts: int) -> Answers:
    """Send so many requests over so many connections."""
    loop, book, sender = asyncio.get_running_loop(), Book(until=float("inf")), Sender(count, accounts)
    made = [
        await loop.create_connection(lambda: Connection(book, sender.free), "127.0.0.1", port)
        for _ in range(connections)
    ]
    for _, connection in made:
        sender.free(connection)
    await sender.finished.wait()
    for transport, _ in made:
        transport.close()
    return sender.answers


def _post(own: str, amount: int, accounts: int) -> bytes:
    """The accounts follow from the id, so that a repetition has the same ones."""
    debit = int(own[-8:], 16) % accounts
    body = f'{{"id":"{own}","debit":"a{debit + 1}","credit":"a{(debit + 1) % accounts + 1}","amount":"{amount}"}}'
    return f"POST /v1/ledgers/shop/transfers HTTP/1.1\r\n{_HEAD}{len(body)}\r\n\r\n{body}".encode()
