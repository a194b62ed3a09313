"""Records of a replay: read in order, numbered, and divided so that equal ids meet."""

import json
from pathlib import Path

import pytest

from chaffinch_shadow.collect.copies import Copy
from chaffinch_shadow.replay.records import ReplayError, Unreadable, read


def written(folder: Path, name: str, *lines: object) -> Path:
    """A file of JSON Lines."""
    (folder / name).write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return folder


@pytest.mark.parametrize("shards", [1, 2, 7, 64])
def test_every_record_is_in_one_shard_and_equal_ids_in_the_same(tmp_path: Path, shards: int) -> None:
    """Whatever the number of shards; bad lines have a shard as well."""
    lines = [{"id": f"r-{n % 40}", "target": f"/{n}"} for n in range(100)]
    written(tmp_path, "a.jsonl", *lines, "{")
    parts = [list(read(tmp_path, shard, shards)) for shard in range(shards)]
    assert sorted(record.ordinal for part in parts for record in part) == list(range(101))
    ids = [{record.request_id for record in part if isinstance(record, Copy)} for part in parts]
    assert sum(len(part) for part in ids) == 40
    for part in parts:
        assert [record.ordinal for record in part] == sorted(record.ordinal for record in part)


def test_json_lines_say_all_of_a_request(tmp_path: Path) -> None:
    """Names of headers in lower case, the id as its header, bodies as text or base64."""
    line = {
        "id": "a",
        "method": "post",
        "url": "http://x/p?q=1",
        "headers": {"X-A": "1"},
        "bodyBase64": "AAE=",
        "label": 1,
    }
    (found,) = read(written(tmp_path, "a.jsonl", line), 0, 1)
    assert found == Copy("POST", "/p?q=1", (("x-request-id", "a"), ("x-a", "1")), b"\0\1", 0, True)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("[]", "AttributeError"),
        ('{"method": "GET"}', "url"),
        ('{"target": "x"}', "must begin with"),
        ('{"target": "/", "label": "yes"}', "label is 'yes'"),
        ('{"target": "/", "bodyBase64": "?"}', "Error"),
        ('{"target": "/", "headers": {"a": "1\\r\\nb: 2"}}', "more than one line"),
        ("{", "is no JSON"),
    ],
)
def test_a_record_that_is_none_says_where_and_why(tmp_path: Path, line: str, why: str) -> None:
    """It is counted, and the others are read."""
    first, second = read(written(tmp_path, "a.jsonl", line, {"target": "/"}), 0, 1)
    assert isinstance(first, Unreadable)
    assert (first.place, why in first.why) == ("a.jsonl:1", True)
    assert isinstance(second, Copy)


def test_files_that_are_no_recordings_are_refused(tmp_path: Path) -> None:
    """An empty folder, and a HAR that is none."""
    with pytest.raises(ReplayError, match="has no file"):
        list(read(tmp_path, 0, 1))
    (tmp_path / "a.har").write_text("{}")
    with pytest.raises(ReplayError, match="is no HAR"):
        list(read(tmp_path, 0, 1))
