"""The HTTP API. Routes only: reading is in `reading`, what is said in `views`, the document in `openapi`."""

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import UTC, datetime
from fractions import Fraction

import asyncpg
import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from chaffinch_shadow.api import openapi, reading, views
from chaffinch_shadow.api.judging import Judge
from chaffinch_shadow.api.models import (
    CellsView,
    CoverageView,
    EvaluationView,
    GuardrailsView,
    LabelBatch,
    Model,
    SamplePage,
    Taken,
)
from chaffinch_shadow.api.openapi import Operation
from chaffinch_shadow.api.problems import Problem
from chaffinch_shadow.api.service import Service
from chaffinch_shadow.collect.coverage import Coverage, Damage, damage, ratio_damage, ratio_p
from chaffinch_shadow.collect.evaluation import Evaluation
from chaffinch_shadow.collect.labels import LabelReport, report
from chaffinch_shadow.store import labels, reads
from chaffinch_shadow.store.write import conclude

_OUTAGE = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError)
_MOST_REQUESTS = 2**62
_VERDICTS, _SCORES = ("label", "control", "candidate"), ("control_score", "candidate_score")
_LABELS = {"positive": "1", "negative": "0"}
Handler = Callable[[Request], Awaitable[Response]]


def create(service: Service) -> Starlette:
    """The application over a service that is open."""
    document = orjson.dumps(openapi.document(OPERATIONS))

    async def described(_: Request) -> Response:
        return Response(document, media_type="application/json")

    routes = [Route(one.path, _guarded(service, HANDLERS[one.name]), methods=[one.method]) for one in OPERATIONS]
    app = Starlette(
        routes=[*routes, Route("/openapi.json", described)], exception_handlers={HTTPException: _not_routed}
    )
    app.state.service = service
    app.state.judge = Judge(service)
    return app


def _guarded(service: Service, handler: Handler) -> Handler:
    async def guarded(request: Request) -> Response:
        try:
            reading.require_token(request, service.token)
            return await handler(request)
        except Problem as problem:
            return _problem(problem)
        except _OUTAGE as problem:
            why = f"the database cannot be reached ({type(problem).__name__}); ask again later"
            return _problem(Problem(503, "database_unavailable", why))
        except ValueError as problem:
            return _problem(Problem(500, "state_damaged", f"{problem}; no verdict can rest on these counts"))

    return guarded


async def _not_routed(_: Request, problem: Exception) -> Response:
    status = problem.status_code if isinstance(problem, HTTPException) else 500
    titles = {404: "there is nothing here; see /openapi.json", 405: "this method is not for this path"}
    codes = {404: "not_found", 405: "method_not_allowed"}
    return _problem(Problem(status, codes.get(status, "http_error"), titles.get(status, str(problem))))


async def _evaluation(request: Request) -> Response:
    return _json(await _judge(request).now())


async def _known(service: Service) -> tuple[Coverage, LabelReport]:
    """Coverage and labels as of one moment."""
    async with service.view() as connection:
        tally = await reads.tally(connection, service.registered.key)
        groups = await reads.groups(connection, service.registered.key, datetime.now(UTC))
    return Coverage.of(tally), report(groups, service.evaluation.audit_rate)


async def _cells(request: Request) -> Response:
    service = _service(request)
    coverage, known = await _known(service)
    return _json(views.cells(service.evaluation.generation, known, damage(coverage, known)))


async def _coverage(request: Request) -> Response:
    coverage, known = await _known(_service(request))
    found = damage(coverage, known)
    p, more = _ratio(request, coverage)
    return _json(views.coverage(coverage, p, (*found, *more)))


def _ratio(request: Request, coverage: Coverage) -> tuple[float | None, tuple[Damage, ...]]:
    """The sample-ratio test, where the client says how many requests there were and which percentage was copied."""
    if "requests" not in request.query_params:
        return None, ()
    requests = reading.read_number(request, "requests", 0, 1, _MOST_REQUESTS)
    share = Fraction(reading.read_number(request, "percent", 100, 1, 100), 100)
    return ratio_p(coverage, requests, share), ratio_damage(coverage, requests, share)


async def _guardrails(request: Request) -> Response:
    service = _service(request)
    async with service.view() as connection:
        tally = await reads.tally(connection, service.registered.key)
    return _json(views.guardrails(tally))


async def _samples(request: Request) -> Response:
    service, listing = _service(request), reading.read_listing(request)
    limit, place = reading.read_limit(request), reading.read_place(request)
    async with service.view() as connection:
        found = await reads.listed(connection, service.registered.key, listing, datetime.now(UTC), place, limit)
    after = f"{found[-1]['ordinal']}.{found[-1]['request_id']}" if len(found) == limit else None
    return _json(SamplePage(samples=[views.sample(row) for row in found], next=after))


async def _rows(request: Request) -> Response:
    service = _service(request)
    async with service.connection() as connection:
        partial = await reads.summed_days(connection, service.registered.key)
    headers = {"Chaffinch-Partial": "true"} if partial else {}
    return StreamingResponse(_lines(service), media_type="text/csv; charset=utf-8", headers=headers)


async def _lines(service: Service) -> AsyncIterator[str]:
    columns = _columns(service.evaluation)
    yield _line("time" if name == "ordinal" else name for name in columns)
    async with service.view() as connection:
        async for row in reads.rows(connection, service.registered.key, datetime.now(UTC)):
            found = {**row, "label": _LABELS.get(row["state"], "")}
            yield _line(found[name] for name in columns)


def _columns(of: Evaluation) -> tuple[str, ...]:
    """What `analyze` is to take into account, which is what this evaluation does."""
    compare = of.compare
    parts = (("cluster", compare.cluster_by), ("stratum", compare.strata))
    scores = _SCORES if compare.score is not None else ()
    return (*_VERDICTS, *scores, *(name for name, asked in parts if asked is not None), "ordinal", "request_id")


def _line(values: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(values)
    return text.getvalue()


async def _labels(request: Request) -> Response:
    service = _service(request)
    sent = await reading.read_body(request, LabelBatch)
    found = [labels.Label(one.request_id, one.label, one.labelled_at) for one in sent.labels]
    async with service.connection() as connection:
        new = await labels.add(connection, service.registered.key, found, sent.source)
    return _json(Taken(received=len(found), new=new))


async def _conclude(request: Request) -> Response:
    service = _service(request)
    async with service.connection() as connection:
        await conclude(connection, service.registered.key)
    return _json(await _judge(request).now(fresh=True))


OPERATIONS = (
    Operation("GET", "/v1/evaluation", "evaluation", "What is counted, and the verdict", EvaluationView),
    Operation("GET", "/v1/cells", "cells", "The counts by label and verdicts, by stratum", CellsView),
    Operation("GET", "/v1/coverage", "coverage", "What became of copies", CoverageView, query=("requests", "percent")),
    Operation("GET", "/v1/guardrails", "guardrails", "Errors, noise and latency, which need no label", GuardrailsView),
    Operation("GET", "/v1/samples/{listing}", "samples", "Pairs of a kind", SamplePage, query=("after", "limit")),
    Operation("GET", "/v1/rows.csv", "rows", "Every stored pair, for chaffinch-shadow analyze --rows", None),
    Operation("POST", "/v1/labels", "labels", "Say what requests really were", Taken, takes=LabelBatch),
    Operation("POST", "/v1/conclude", "conclude", "Mark the evaluation as over", EvaluationView),
)
HANDLERS: dict[str, Handler] = {
    "evaluation": _evaluation,
    "cells": _cells,
    "coverage": _coverage,
    "guardrails": _guardrails,
    "samples": _samples,
    "rows": _rows,
    "labels": _labels,
    "conclude": _conclude,
}


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _judge(request: Request) -> Judge:
    judge: Judge = request.app.state.judge
    return judge


def _json(shown: Model) -> Response:
    return Response(shown.model_dump_json(by_alias=True), media_type="application/json")


def _problem(problem: Problem) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else {}
    return Response(orjson.dumps(problem.body()), problem.status, headers, "application/problem+json")
