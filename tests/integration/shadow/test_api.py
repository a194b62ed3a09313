"""The API as its clients see it: lists, labels, the document, and clear refusals."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from integration.shadow.process import Collector, collecting, settings_file
from integration.shadow.versions import Version

AT = "2026-01-31T12:00:00Z"


@pytest_asyncio.fixture
async def collector(tmp_path: Path, dsn: str, control: Version, candidate: Version) -> AsyncIterator[Collector]:
    """A collector with a token, and six pairs: two that only the candidate blocks, one only the control, one both."""
    control.words, candidate.words = ("old", "both"), ("new", "both")
    token = tmp_path / "token"
    token.write_text("sesame\n")
    file = settings_file(tmp_path, control=control.address, candidate=candidate.address, labels={"auditRate": "1"})
    async with collecting(tmp_path, dsn, file, TOKEN_FILE=str(token)) as found:
        found.token = "sesame"
        for target in ("/new/1", "/new/2", "/old", "/both", "/", "/?x"):
            await found.copy(target)
        await found.settled(6)
        yield found


def labels(**by_id: bool) -> dict[str, Any]:
    """A body with labels; underscores are hyphens."""
    listed = [{"requestId": name.replace("_", "-"), "label": label, "labelledAt": AT} for name, label in by_id.items()]
    return {"source": "analyst", "labels": listed}


async def targets(collector: Collector, listing: str) -> list[str]:
    """Targets of the samples of a list."""
    return [one["target"] for one in (await collector.api(f"/v1/samples/{listing}")).body["samples"]]


async def test_lost_and_gained_detections_are_lists_of_their_own(collector: Collector) -> None:
    """Gains never hide losses, and false alarms are told from detections."""
    assert len(await targets(collector, "to-label")) == 6
    sent = await collector.api("/v1/labels", "POST", labels(r_1=True, r_2=False, r_3=True))
    assert (sent.status, sent.body) == (200, {"received": 3, "new": 3})
    lists = {name: await targets(collector, name) for name in ("discordant", "lost", "gained", "new-false-alarms")}
    assert lists == {
        "discordant": ["/new/1", "/new/2", "/old"],
        "lost": ["/old"],
        "gained": ["/new/1"],
        "new-false-alarms": ["/new/2"],
    }
    assert await targets(collector, "to-label") == ["/both", "/", "/?x"]
    assert (await collector.api("/v1/cells")).body["cells"] == ["0", "1", "0", "0", "0", "1", "1", "0"]


async def test_labels_may_come_many_at_a_time_and_together(collector: Collector) -> None:
    """Clients that send the same labels at the same time do no harm; one that contradicts takes the label away."""
    answers = await asyncio.gather(*(collector.api("/v1/labels", "POST", labels(r_1=True, r_4=True)) for _ in range(8)))
    assert sum(answer.body["new"] for answer in answers) == 2
    await collector.api("/v1/labels", "POST", labels(r_1=False))
    cells = (await collector.api("/v1/cells")).body
    assert (cells["labels"]["contradictory"], cells["labels"]["positive"]) == ("1", "1")
    assert cells["weighted"] == ["0", "0", "0", "0", "0", "0", "0", "1"]


async def test_pages_have_every_sample_once(collector: Collector) -> None:
    """`next` leads through the whole list."""
    seen, path = list[str](), "/v1/samples/to-label?limit=4"
    while path:
        page = (await collector.api(path)).body
        seen += [one["requestId"] for one in page["samples"]]
        path = f"/v1/samples/to-label?limit=4&after={page['next']}" if page["next"] else ""
    assert seen == [f"r-{n}" for n in range(1, 7)]


async def test_too_few_copies_for_the_requests_are_damage(collector: Collector) -> None:
    """The gateway's count of requests and the share that it copies are held against what arrived."""
    good = (await collector.api("/v1/coverage?requests=6&percent=100")).body
    assert good["damage"] == []
    for query in ("requests=7&percent=100", "requests=5&percent=100", "requests=1000&percent=20"):
        body = (await collector.api(f"/v1/coverage?{query}")).body
        assert [one["reason"] for one in body["damage"]] == ["MirrorRatio"]
    fair = (await collector.api("/v1/coverage?requests=28&percent=20")).body
    assert (fair["damage"], float(fair["ratioP"]) > 0.5) == ([], True)


REFUSALS: list[tuple[str, str, Any, int, str]] = [
    ("GET", "/v1/samples/other", None, 404, "listing_not_found"),
    ("GET", "/v1/samples/lost?limit=0", None, 400, "invalid_request"),
    ("GET", "/v1/samples/lost?limit=501", None, 400, "invalid_request"),
    ("GET", "/v1/samples/lost?after=x", None, 400, "invalid_request"),
    ("GET", "/v1/coverage?requests=-1", None, 400, "invalid_request"),
    ("GET", "/v1/nothing", None, 404, "not_found"),
    ("DELETE", "/v1/cells", None, 405, "method_not_allowed"),
    ("POST", "/v1/labels", {"source": "x", "labels": []}, 400, "invalid_request"),
    ("POST", "/v1/labels", {**labels(r_1=True), "mode": 1}, 400, "invalid_request"),
    ("POST", "/v1/labels", labels(**{f"r{n}": True for n in range(1001)}), 400, "invalid_request"),
    ("POST", "/v1/labels", {"source": "x" * 2**20, "labels": []}, 413, "body_too_large"),
]


async def test_refusals_say_what_is_wrong(collector: Collector) -> None:
    """Each with its status, a stable code, and the field."""
    for method, path, body, status, code in REFUSALS:
        answer = await collector.api(path, method, body)
        assert (answer.status, answer.body["code"]) == (status, code), (path, answer.body)
        assert answer.headers["Content-Type"] == "application/problem+json"
    wrong = {"source": "x", "labels": [{"requestId": "r", "label": 1, "labelledAt": AT}]}
    assert (await collector.api("/v1/labels", "POST", wrong)).body["field"] == "labels[0].label"
    assert (await collector.api("/v1/labels", "POST", None, **{"Content-Type": "text/plain"})).status == 415


async def test_nothing_is_told_without_the_token(collector: Collector) -> None:
    """Samples are of users; the document that describes the API is not."""
    for token in ("", "sesam", "sesame2"):
        collector.token = token
        answer = await collector.api("/v1/samples/discordant")
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert (await collector.api("/openapi.json")).status == 200


async def test_the_document_describes_what_is_answered(collector: Collector) -> None:
    """Every operation answers with exactly the fields of its schema."""
    document = (await collector.api("/openapi.json")).body
    schemas = document["components"]["schemas"]
    asked = {path.replace("{listing}", "lost") for path, item in document["paths"].items() if "get" in item}
    assert len(asked) == 6
    for path in asked - {"/v1/rows.csv"}:
        operation = document["paths"][path.replace("/lost", "/{listing}")]["get"]
        (content,) = operation["responses"]["200"]["content"].values()
        schema = schemas[content["schema"]["$ref"].rpartition("/")[2]]
        assert set((await collector.api(path)).body) == set(schema["properties"]), path


async def test_an_evaluation_that_is_over_says_so(collector: Collector) -> None:
    """Concluding twice is once."""
    for _ in range(2):
        assert (await collector.api("/v1/conclude", "POST")).body["running"] is False
    assert (await collector.api("/v1/evaluation")).body["running"] is False
