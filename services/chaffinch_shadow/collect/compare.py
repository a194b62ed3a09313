"""Do two answers say the same? Status, headers and body, without what rules tell to ignore."""

from hashlib import blake2b

import orjson

from chaffinch_shadow.collect import paths
from chaffinch_shadow.collect.copies import Answer, first
from chaffinch_shadow.collect.rules import Rules

_NOISY = frozenset(
    [
        "age",
        "connection",
        "content-length",
        "date",
        "etag",
        "keep-alive",
        "last-modified",
        "server",
        "transfer-encoding",
        "via",
        "x-envoy-upstream-service-time",
        "x-request-id",
    ]
)


def fingerprint(answer: Answer, ignore: Rules) -> bytes:
    """Return a digest that is equal for answers that say the same; JSON is compared as values, not as text."""
    headers = sorted((k, v) for k, v in answer.headers if k not in _NOISY and k not in ignore.headers)
    parts = orjson.dumps([answer.status, headers])
    return blake2b(parts + b"\n" + _body(answer, ignore), digest_size=16).digest()


def _body(answer: Answer, ignore: Rules) -> bytes:
    if "json" not in (first(answer.headers, "content-type") or ""):
        return answer.body
    try:
        document = orjson.loads(answer.body)
        if paths.too_deep(document):
            return answer.body
        for path in ignore.paths:
            document = paths.replace(document, path, paths.GONE)
        return orjson.dumps(None if document is paths.GONE else document, option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return answer.body
