"""Names are deterministic, valid and different for different things."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_operator import names

BASES = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", fullmatch=True)
VALID = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


def test_short_names_stay_readable() -> None:
    """A child of a short base is called base-suffix."""
    assert names.child_name("checkout", "canary") == "checkout-canary"


@given(BASES)
def test_children_have_valid_names_of_at_most_63_characters(base: str) -> None:
    """Whatever the base, the child's name is one that the API server takes."""
    name = names.canary_name(base)
    assert len(name) <= 63
    assert VALID.fullmatch(name)


@given(BASES, BASES)
def test_different_bases_have_different_children(one: str, other: str) -> None:
    """Two bases that are cut at the same place are told apart."""
    assert (names.canary_name(one) == names.canary_name(other)) == (one == other)


def test_long_bases_that_differ_at_the_end_have_different_children() -> None:
    """The hash is of the whole base."""
    base = "a" * 80
    assert names.canary_name(base + "x") != names.canary_name(base + "y")


def test_a_suffix_without_room_for_a_name_is_refused() -> None:
    """A suffix that fills the name is a mistake of ours, found at once."""
    with pytest.raises(ValueError, match="leaves no room"):
        names.child_name("a" * 80, "s" * 60)


def test_canary_and_baseline_differ() -> None:
    """The two arms of one target are two Deployments."""
    assert names.canary_name("web") != names.baseline_name("web")


@given(BASES)
def test_labels_of_children_are_valid_values(name: str) -> None:
    """Label values have at most 63 characters, however long the names are."""
    for value in names.child_labels(name, name).values():
        assert re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", value)


def test_labels_say_whose_the_child_is() -> None:
    """A child carries who made it, its name and its rollout."""
    assert names.child_labels("checkout", "checkout-canary") == {
        "app.kubernetes.io/managed-by": "chaffinch",
        "app.kubernetes.io/name": "checkout-canary",
        "chaffinch.dev/rollout": "checkout",
    }


def test_long_labels_that_differ_at_the_end_are_different() -> None:
    """A label value that had to be cut still tells two rollouts apart."""
    one, other = names.label_value("r" * 80 + "x"), names.label_value("r" * 80 + "y")
    assert len(one) == len(other) == 63
    assert one != other
