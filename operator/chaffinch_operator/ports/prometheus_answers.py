"""What Prometheus answers, read with suspicion: HTTP status and bytes to samples, or one clear error. Pure."""

import json
from array import array
from typing import Any

from chaffinch_operator.ports.queries import Histogram, Sample, Stream, Track


class ProviderError(Exception):
    """Root of what can go wrong; `message` is for the condition."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ProviderUnreachable(ProviderError):  # noqa: N818 - the reason's name
    """No answer, or one that says nothing about the query: hold and ask again."""


class BadQuery(ProviderError):  # noqa: N818 - the reason's name
    """Prometheus refused the query, or its result is not of the kind asked for."""


def read(address: str, status: int, raw: bytes, credentials: bool) -> object:
    """The `data` of a successful answer. credentials: whether the request had any, for the message of a refusal."""
    if status in {401, 403}:
        raise ProviderUnreachable(f"{address} {_REFUSED[credentials].format(status=status)}")
    strange = f"{address} answered HTTP {status}, not as Prometheus does: check the address"
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ProviderUnreachable(strange) from error
    if not isinstance(body, dict) or body.get("status") not in {"success", "error"}:
        raise ProviderUnreachable(strange)
    if body["status"] == "error":
        text = f"{body.get('errorType', 'error')}: {body.get('error', '')}"
        raise BadQuery(text) if status in {400, 422} else ProviderUnreachable(f"{address}: {text}")
    if body.get("warnings"):
        raise ProviderUnreachable(f"{address} says that its answer may be incomplete: {_first(body['warnings'])}")
    return body.get("data")


def vector(data: object) -> list[Sample]:
    """The `data` of an answer; BadQuery unless it is an instant vector of plain samples."""
    try:
        return [Sample(_labels(one), _number(one["value"][1])) for one in _result(data, "vector", _NO_VECTOR)]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BadQuery(f"the result has series without a plain value: {_NATIVE}") from error


def matrix(data: object) -> list[Track]:
    """The `data` of an answer; BadQuery unless it is a range vector. Series that change their type become two."""
    try:
        return [track for one in _result(data, "matrix", _NO_MATRIX) for track in _tracks(one)]
    except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        raise BadQuery("the result has series without plain values or histograms") from error


def streams(data: object) -> list[Stream]:
    """The `data` of an answer to a range; BadQuery unless it is a matrix of plain samples."""
    tracks = matrix(data)
    if any(track.histograms for track in tracks):
        raise BadQuery(f"the result has series without plain values: {_NATIVE}")
    return [
        Stream(track.labels, tuple((at / 1000, value) for at, value in zip(track.times, track.values, strict=True)))
        for track in tracks
    ]


_REFUSED = {
    False: "wants credentials (HTTP {status}): name a Secret in provider.prometheus.authSecretRef",
    True: "refuses the credentials that it was given (HTTP {status}): renew them in the Secret",
}
_NATIVE = "native histograms are read by latency.format: Native only"
_NO_VECTOR = "not an instant vector: select raw counters, without a range or a scalar"
_NO_MATRIX = "not raw samples: select raw counters"


def _first(warnings: object) -> str:
    return str(warnings[0] if isinstance(warnings, list) and warnings else warnings)[:300]


def _result(data: object, kind: str, otherwise: str) -> list[Any]:
    found = data.get("resultType") if isinstance(data, dict) else None
    if not isinstance(data, dict) or found != kind:
        raise BadQuery(f"the result is a {found or 'nothing known'}, {otherwise}")
    if not isinstance(data.get("result"), list):
        raise TypeError("no list of series")
    return list(data["result"])


def _tracks(one: dict[str, Any]) -> list[Track]:
    labels, found = _labels(one), []
    if "values" not in one and "histograms" not in one:
        raise TypeError("no samples")
    for key in ("values", "histograms"):
        pairs = one.get(key, [])
        if not isinstance(pairs, list):
            raise TypeError("samples are a list")
        times = array("q", [round(float(pair[0]) * 1000) for pair in pairs])
        if pairs and key == "values":
            found.append(Track(labels, times, array("d", [_number(pair[1]) for pair in pairs])))
        elif pairs:
            found.append(Track(labels, times, (), tuple(_histogram(pair[1]) for pair in pairs)))
    return found


def _histogram(one: object) -> Histogram:
    """Buckets that are closed on the left only, for negative observations, are not told from others."""
    if not isinstance(one, dict):
        raise TypeError("no histogram")
    buckets = tuple((_number(left), _number(right), _number(count)) for _, left, right, count in one.get("buckets", []))
    return Histogram(_number(one["count"]), buckets)


def _labels(one: dict[str, Any]) -> dict[str, str]:
    labels = dict(one["metric"])
    if not all(isinstance(value, str) for value in labels.values()):
        raise TypeError("labels are texts")
    return labels


def _number(text: object) -> float:
    if not isinstance(text, str):
        raise TypeError("values are texts")
    return float(text)
