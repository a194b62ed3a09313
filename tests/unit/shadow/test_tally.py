"""Counts of shards add up to the same, whatever happened to the shards."""

import random
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_shadow.collect.tally import ContradictionError, Key, ShardKey, ShardState, Tally, merge, one, total

STRATA = st.sampled_from(["all", "login", "other"])
KEYS: st.SearchStrategy[Key] = st.one_of(
    st.tuples(st.just("cell"), STRATA, st.integers(0, 7).map(str)),
    st.tuples(st.just("unlabelled"), STRATA, st.integers(0, 3).map(str)),
    st.tuples(st.just("dropped"), st.sampled_from(["TooLarge", "QueueFull"]), st.sampled_from(["none", "1Ki"])),
)
TALLIES = st.dictionaries(KEYS, st.integers(1, 2**80), max_size=6).map(Tally)
RECORDS = st.lists(KEYS, max_size=150)


def sharded(records: list[Key], shards: int) -> list[tuple[ShardKey, ShardState]]:
    """Every state that the shards write, after each of their records."""
    written = []
    for shard in range(shards):
        key, mine = ShardKey("e", 1, f"{shard}/{shards}"), records[shard::shards]
        sums = Tally()
        for progress, record in enumerate(mine, start=1):
            sums += one(*record)
            written.append((key, ShardState(progress, progress == len(mine), sums)))
    return written


@given(TALLIES, TALLIES, TALLIES)
def test_sums_are_a_commutative_monoid(a: Tally, b: Tally, c: Tally) -> None:
    """Neither order nor grouping matters, and nothing is added by nothing."""
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a + Tally() == a


@given(TALLIES)
def test_a_tally_survives_being_written(tally: Tally) -> None:
    """Counts far above 2^53 are read back exactly, and the text is the same for equal counts."""
    text = tally.to_json()
    assert Tally.from_json(text) == tally
    assert Tally(dict(reversed(list(tally.counts.items())))).to_json() == text


@pytest.mark.parametrize("shards", [1, 2, 7, 64])
@given(records=RECORDS, seed=st.integers(0, 2**32))
def test_shards_may_be_any_number_late_repeated_and_out_of_order(shards: int, records: list[Key], seed: int) -> None:
    """The merged text is, byte for byte, that of a plain count of the records."""
    states = sharded(records, shards)
    shuffled = states + [state for state in states if random.Random(seed).random() < 0.5]
    random.Random(seed).shuffle(shuffled)
    assert merge(shuffled, "e", 1).to_json() == total(one(*record) for record in records).to_json()


def test_other_evaluations_and_generations_do_not_count() -> None:
    """A change of the specification starts anew."""
    state = ShardState(1, True, one("cell", "all", "7"))
    states = [(ShardKey(*key), state) for key in (("e", 1, "0/1"), ("e", 2, "0/1"), ("f", 1, "0/1"))]
    assert merge(states, "e", 2).cells == (0, 0, 0, 0, 0, 0, 0, 1)


def test_two_truths_of_one_shard_are_refused() -> None:
    """Equal progress with different counts means that somebody else wrote: it is never summed or chosen from."""
    first, second = (ShardState(1, True, one("cell", "all", cell)) for cell in "07")
    with pytest.raises(ContradictionError):
        first.joined(second)


@pytest.mark.parametrize("text", ['{"a":1}', '[["cell","all","0"]]', '[["cell","0"],["cell","0"]]', "[[]]", "no"])
def test_damaged_counts_are_refused(text: str) -> None:
    """What is not what was written is an error, not a smaller count."""
    with pytest.raises(ValueError, match="damaged"):
        Tally.from_json(text)


def test_sums_over_strata_are_exact() -> None:
    """Cells of all strata add up, above 2^53 as well."""
    big = 2**60 + 1
    tally = Tally({("cell", "a", "5"): big, ("cell", "b", "5"): big, ("unlabelled", "b", "3"): 1})
    assert (tally.cells[5], tally.unlabelled, tally.strata) == (2 * big, (0, 0, 0, 1), ("a", "b"))
    assert [stratum for stratum, _ in groupby(tally.under("cell"), key=lambda key: key[0])] == ["a", "b"]
