"""Evaluations, copies and answers, with only what a test is about spelled out."""

from typing import Any
from uuid import UUID

import orjson

from chaffinch_shadow.collect.copies import Answer, Copy
from chaffinch_shadow.collect.evaluation import Evaluation, load
from chaffinch_shadow.collect.pairing import Answers, Made, pair

UID = UUID("6f0f5b5e-0000-4000-8000-000000000001")


def evaluation_file(**parts: Any) -> dict[str, Any]:
    """The settings that every evaluation has, and these."""
    return {
        "uid": str(UID),
        "generation": 1,
        "namespace": "shop",
        "name": "waf-rules",
        "control": "http://waf:80",
        "candidate": "http://waf-next:80",
        **parts,
    }


def evaluation(**parts: Any) -> Evaluation:
    """An evaluation."""
    return load(orjson.dumps(evaluation_file(**parts)))


def copy(request_id: str = "r-1", method: str = "GET", target: str = "/", body: bytes = b"", **headers: str) -> Copy:
    """A copy; underscores in names of headers are hyphens."""
    listed = [("x-request-id", request_id)] if request_id else []
    listed += [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Copy(method, target, tuple(listed), body)


def answer(status: int = 200, body: bytes = b"", micros: int = 1000, **headers: str) -> Answer:
    """An answer."""
    return Answer(status, tuple((name.replace("_", "-"), value) for name, value in headers.items()), body, micros)


BLOCK, PASS = answer(403), answer(200)


def paired(of: Evaluation, request: Copy, control: Any = PASS, candidate: Any = PASS, noise: Any = None) -> Made:
    """What comes of a copy with these answers."""
    return pair(of, request, Answers(control, candidate, noise))
