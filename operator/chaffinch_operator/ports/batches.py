"""Questions of many callers at one moment, asked together and remembered for a while. Knows no HTTP and no PromQL.

A question has rows. Callers that want different rows of one question share requests of up to MOST_ROWS rows, and each
gets its own rows back. Whoever asks first at a new moment also asks for the rows that were wanted at the last moments:
callers that come later, however slowly one after another, find their answer there.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from chaffinch_operator.ports.queries import Row, Selector

T = TypeVar("T")
GATHER_SECONDS = 0.05
"""How long the first caller of a question waits for others."""
MOST_ROWS = 500
"""Rows of one request."""
REMEMBERED_SECONDS = 90.0
"""Longer than a thousand rollouts take for one interval, one after another."""
_REMEMBERED = 20_000
_MOMENTS = 3


class TooLarge(Exception):  # noqa: N818 - what it is, not that it is an error
    """An answer that was not read to its end: ask for fewer rows."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, but for the rows: PromQL around a selector, and a moment in milliseconds since the epoch."""

    selector: Selector
    """Without rows."""
    at: int
    before: str = ""
    after: str = ""
    family: str = ""
    """Questions of one family and selector are asked by the same callers."""
    settled: float | None = None
    """Seconds after the moment from which callers trust an answer: shared only by callers that waited alike. None: a
    question that nobody else is expected to ask."""

    def text(self, rows: Sequence[Row]) -> str:
        """PromQL for some rows."""
        return f"{self.before}{self.selector.covering(rows)}{self.after}"

    @property
    def callers(self) -> tuple[Selector, str, float | None]:
        """What tells those who ask it, at any moment."""
        return self.selector, self.family, self.settled


@dataclass(slots=True)
class Wanted:
    """Rows that callers wanted, at their latest moments."""

    rows: dict[int, set[Row]] = field(default_factory=dict)

    def note(self, at: int, row: Row) -> None:
        """Remember what a caller wants."""
        self.rows.setdefault(at, set()).add(row)
        while len(self.rows) > _MOMENTS:
            del self.rows[min(self.rows)]

    def expected(self, at: int) -> set[Row]:
        """Rows that others will want at a moment later than all before; none at an older one."""
        if any(moment > at for moment in self.rows):
            return set()
        return set().union(*(rows for moment, rows in self.rows.items() if moment < at))


Callers = OrderedDict[tuple[Selector, str, float | None], Wanted]
"""What is wanted by those who ask the same."""


class Batches(Generic[T]):
    """The rows of one store's answers."""

    def __init__(
        self,
        ask: Callable[[Question, Sequence[Row]], Awaitable[list[T]]],
        row_of: Callable[[Question, T], Row],
        callers: Callers | None = None,
    ) -> None:
        """Take `ask`, one request: it raises TooLarge or what its callers shall see. `row_of` tells results apart.

        callers: those of other batches, who are expected here, too.
        """
        self._ask = ask
        self._row_of = row_of
        self._answers: OrderedDict[tuple[Question, Row], asyncio.Future[list[T]]] = OrderedDict()
        self._ages: deque[tuple[float, tuple[Question, Row]]] = deque()
        self._pending: dict[Question, list[Row]] = {}
        self.callers: Callers = OrderedDict() if callers is None else callers
        self._follows = callers is not None
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, question: Question, rows: Sequence[Row]) -> list[T]:
        """What belongs to these rows. Failures reach all who wait for them, and are asked again by who comes next."""
        waiting = [asyncio.shield(self._answer(question, row)) for row in dict.fromkeys(rows)]
        return [one for answer in await asyncio.gather(*waiting) for one in answer]

    def _answer(self, question: Question, row: Row) -> "asyncio.Future[list[T]]":
        if question.settled is not None and not self._follows:
            self.callers.setdefault(question.callers, Wanted()).note(question.at, row)
            while len(self.callers) > _REMEMBERED:
                self.callers.popitem(last=False)
        known = self._answers.get((question, row))
        if known is not None:
            return known
        if question not in self._pending:
            self._pending[question] = []
            task = asyncio.get_running_loop().create_task(self._gather(question))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._pending[question].append(row)
        return self._remember(question, row)

    def _remember(self, question: Question, row: Row) -> "asyncio.Future[list[T]]":
        loop = asyncio.get_running_loop()
        key, now = (question, row), loop.time()
        future = self._answers[key] = loop.create_future()
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._ages.append((now, key))
        while self._ages and (self._ages[0][0] < now - REMEMBERED_SECONDS or len(self._ages) > _REMEMBERED):
            _, old = self._ages[0]
            if (stale := self._answers.get(old)) is not None and not stale.done():
                break
            self._ages.popleft()
            self._answers.pop(old, None)
        return future

    async def _gather(self, question: Question) -> None:
        if question.selector.labels:
            await asyncio.sleep(GATHER_SECONDS)
        rows = self._pending.pop(question)
        if question.settled is not None and (wanted := self.callers.get(question.callers)) is not None:
            for row in sorted(wanted.expected(question.at)):
                if (question, row) not in self._answers:
                    self._remember(question, row)
                    rows.append(row)
        rows.sort()
        parts = [rows[i : i + MOST_ROWS] for i in range(0, len(rows), MOST_ROWS)]
        await asyncio.gather(*(self._settle(question, part) for part in parts))

    async def _settle(self, question: Question, rows: Sequence[Row]) -> None:
        try:
            found = await self._ask(question, rows)
        except TooLarge as problem:
            if len(rows) == 1:
                return self._fail(question, rows, problem)
            half = len(rows) // 2
            await self._settle(question, rows[:half])
            return await self._settle(question, rows[half:])
        except asyncio.CancelledError:
            self._fail(question, rows, None)
            raise
        except Exception as problem:  # noqa: BLE001 - whatever it is, it belongs to those who wait
            return self._fail(question, rows, problem)
        answers: dict[Row, list[T]] = {row: [] for row in rows}
        for one in found:
            row = self._row_of(question, one)
            if row in answers:
                answers[row].append(one)
        for row, answer in answers.items():
            self._answers[question, row].set_result(answer)
        return None

    def _fail(self, question: Question, rows: Sequence[Row], problem: Exception | None) -> None:
        for row in rows:
            future = self._answers.pop((question, row))
            if problem is None:
                future.cancel()
            else:
                future.set_exception(problem)
