"""Routes that only look: accounts, entries, checkpoints and proofs."""

import math
import time
from collections.abc import Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from chaffinch_credits.api import bodies, cache, views, web
from chaffinch_credits.api.problems import Problem, invalid, title_of
from chaffinch_credits.audit.merkle import consistency_proof, inclusion_proof
from chaffinch_credits.audit.tiles import Tile
from chaffinch_credits.ledger.words import Outcome
from chaffinch_credits.store import reads
from chaffinch_credits.store.ledgers import LedgerView

_FOR_EVER = "private, max-age=31536000, immutable"


async def account(request: Request) -> Response:
    """Now, after an entry, or at a time."""
    service, name = web.service(request), bodies.account_name(request.path_params["account"])
    desk = await service.desk(request.path_params["ledger"])
    at_seq, as_of = request.query_params.get("at_seq"), request.query_params.get("as_of")
    if at_seq is not None and as_of is not None:
        raise invalid("as_of", "give at_seq or as_of, not both")
    if name is None:
        raise _no_account()
    if (max_age := request.query_params.get("max_age")) is not None:
        return await _cached(request, desk.view, name, max_age)
    async with service.reading() as connection:
        if at_seq is not None:
            view = await reads.account_at(connection, desk.view.key, name, web.number("at_seq", at_seq))
        elif as_of is not None:
            seq = await reads.seq_at(connection, desk.view.key, bodies.parse_time("as_of", as_of))
            view = await reads.account_at(connection, desk.view.key, name, seq)
        else:
            view = await reads.account(connection, desk.view.key, name)
    if view is None:
        raise _no_account()
    return web.json(views.account(view))


async def _cached(request: Request, ledger: LedgerView, name: str, max_age: str) -> Response:
    """As it is, or was at most so many seconds ago."""
    service, most = web.service(request), web.number("max_age", max_age, most=cache.MOST_SECONDS)
    if request.query_params.keys() & {"at_seq", "as_of"}:
        raise invalid("max_age", "max_age is for an account as it is: leave out at_seq and as_of")
    if service.cache is not None and (found := await service.cache.get(ledger, name, most)) is not None:
        return web.json(found.body, headers={"Age": str(math.ceil(found.age))})
    read_at = time.monotonic()
    async with service.reading() as connection:
        view = await reads.account(connection, ledger.key, name)
    if view is None:
        raise _no_account()
    shown = views.account(view)
    if service.cache is not None:
        await service.cache.put(ledger, view.number, dict(shown), read_at)
    return web.json(shown, headers={"Age": "0"})


async def entries(request: Request) -> Response:
    """An account's, newest first."""
    service = web.service(request)
    desk = await service.desk(request.path_params["ledger"])
    before = web.number("before", request.query_params.get("before", str(web.NEWEST)))
    limit = web.number("limit", request.query_params.get("limit", "100"), most=reads.MOST_ENTRIES)
    async with service.reading() as connection:
        name = bodies.account_name(request.path_params["account"])
        number = await reads.number(connection, desk.view.key, name) if name else None
        if number is None:
            raise _no_account()
        found = await reads.entries(connection, desk.view.key, number, before, limit)
        names = await reads.names(connection, desk.view.key, {n for e in found for n in (e.debit, e.credit)})
    next_before = found[-1].seq if len(found) == limit else None
    return web.json({"entries": [views.entry(e, names) for e in found], "next_before": next_before})


async def entry(request: Request) -> Response:
    """The entry of an id."""
    service, wanted = web.service(request), web.uuid("id", request.path_params["id"])
    desk = await service.desk(request.path_params["ledger"])
    async with service.reading() as connection:
        found = await reads.entry(connection, desk.view.key, wanted)
        if found is None:
            raise Problem(404, "transfer_not_found", title_of(Outcome.TRANSFER_NOT_FOUND))
        names = await reads.names(connection, desk.view.key, {found.debit, found.credit})
        said = await reads.metadata_of(connection, desk.view.key, found.seq)
    shown = views.entry(found, names)
    if said:
        plain = desk.sealing.opened(found.id, said)
        shown |= {"metadata": orjson.loads(plain)} if plain else {"metadata_sealed": True}
    return web.json(shown)


async def checkpoint(request: Request) -> Response:
    """The newest signed checkpoint."""
    service = web.service(request)
    desk = await service.desk(request.path_params["ledger"])
    async with service.reading() as connection:
        note = await reads.newest_note(connection, desk.view.key)
    if note is None:
        raise Problem(404, "no_checkpoint", "nothing is written yet")
    return Response(note, media_type="text/plain; charset=utf-8")


async def tile(request: Request) -> Response:
    """Hashes of the Merkle tree, as C2SP tlog-tiles has them."""
    service, path = web.service(request), "{level}/{index}".format(**request.path_params)
    desk = await service.desk(request.path_params["ledger"])
    try:
        wanted = Tile.parse(path)
    except ValueError as problem:
        raise invalid("index", str(problem)) from problem
    async with service.reading() as connection:
        try:
            hashes = await reads.tile(connection, desk.view.key, wanted)
        except LookupError as problem:
            raise Problem(404, "no_tile", str(problem)) from problem
    return Response(hashes, media_type="application/octet-stream", headers={"Cache-Control": _FOR_EVER})


async def inclusion(request: Request) -> Response:
    """That an entry is in a tree."""
    seq, size = (web.number(name, request.query_params.get(name, "")) for name in ("seq", "size"))
    return await _proof(request, size, lambda subtree: inclusion_proof(seq - 1, size, subtree))


async def consistency(request: Request) -> Response:
    """That a tree continues an older one."""
    old, size = (web.number(name, request.query_params.get(name, "")) for name in ("from", "size"))
    return await _proof(request, size, lambda subtree: consistency_proof(old, size, subtree))


async def _proof(request: Request, size: int, make: Callable[[Any], list[bytes]]) -> Response:
    service = web.service(request)
    desk = await service.desk(request.path_params["ledger"])
    asked: list[tuple[int, int]] = []

    def remember(first: int, last: int) -> bytes:
        asked.append((first, last))
        return b""

    try:
        make(remember)
    except ValueError as problem:
        raise invalid("size", str(problem)) from problem
    async with service.reading() as connection:
        try:
            hashes = await reads.subtrees(connection, desk.view.key, size, asked)
        except LookupError as problem:
            raise Problem(404, "no_checkpoint", str(problem)) from problem
    return web.json(views.proof(size, list(reversed(hashes))))


def _no_account() -> Problem:
    return Problem(404, "account_not_found", title_of(Outcome.ACCOUNT_NOT_FOUND))
