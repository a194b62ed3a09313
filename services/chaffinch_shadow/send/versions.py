"""Send one copy to control, candidate and second control, and take what comes back within its bounds.

Nothing that a version does gets further than this module: it can hang, flood, break off, be away or answer nonsense,
and is then a Failure. Redirects are not followed and cookies not kept: an answer is data.
"""

import asyncio
import time
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from chaffinch_shadow.collect.copies import Answer, Copy, forwarded
from chaffinch_shadow.collect.evaluation import Evaluation
from chaffinch_shadow.collect.pairing import Answers
from chaffinch_shadow.collect.words import Failure

_CHUNK = 64 << 10


class Versions:
    """Clients of the versions. Use as an async context manager."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        limits = self._evaluation.limits
        timeout = aiohttp.ClientTimeout(total=limits.timeout_ms / 1000)
        for version in ("control", "candidate", "noise"):
            self._sessions[version] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=limits.concurrency, keepalive_timeout=15),
                timeout=timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                max_line_size=16 << 10,
                max_field_size=16 << 10,
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in self._sessions.values():
            await session.close()

    async def ask(self, copy: Copy) -> Answers:
        """What every version says to one copy, asked at the same time."""
        of = self._evaluation
        control, candidate = self._one("control", of.control, copy), self._one("candidate", of.candidate, copy)
        if of.noise_control is None:
            return Answers(*await asyncio.gather(control, candidate))
        return Answers(*await asyncio.gather(control, candidate, self._one("noise", of.noise_control, copy)))

    async def _one(self, version: str, address: str, copy: Copy) -> Answer | Failure:
        started = time.perf_counter_ns()
        try:
            async with self._sessions[version].request(
                copy.method,
                URL(f"{address}{copy.target}", encoded=True),
                headers=forwarded(copy, version),
                data=copy.body or None,
                allow_redirects=False,
            ) as response:
                body = await self._body(response)
                if body is None:
                    return Failure.ANSWER_TOO_LARGE
                headers = tuple((name.lower(), value) for name, value in response.headers.items())
                return Answer(response.status, headers, body, (time.perf_counter_ns() - started) // 1000)
        except TimeoutError:
            return Failure.TIMED_OUT
        except (aiohttp.ClientConnectorError, aiohttp.ClientConnectorDNSError):
            return Failure.AWAY
        except (aiohttp.ClientError, OSError, ValueError):
            return Failure.BROKE_OFF

    async def _body(self, response: aiohttp.ClientResponse) -> bytes | None:
        """The body, or None when it is larger than allowed: the connection is closed, the rest never read."""
        most, parts, size = self._evaluation.limits.answer_bytes, [], 0
        async for part in response.content.iter_chunked(_CHUNK):
            size += len(part)
            if size > most:
                response.close()
                return None
            parts.append(part)
        return b"".join(parts)
