"""Read the body of an answer only as far as it may go: what is larger is refused before it is held."""

import aiohttp

_CHUNK = 64 * 1024


async def bounded(response: aiohttp.ClientResponse, most: int, too_large: Exception) -> bytes:
    """Return the body; raise `too_large` as soon as it has more than `most` bytes."""
    raw = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        raw += chunk
        if len(raw) > most:
            raise too_large
    return bytes(raw)
