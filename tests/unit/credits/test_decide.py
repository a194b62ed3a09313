"""The rules of the ledger, one by one."""

from typing import Any

import pytest

from chaffinch_credits.ledger.words import MAX_AMOUNT, Kind, Outcome
from unit.credits.builders import request, shop, uuid


def test_a_transfer_moves_its_amount() -> None:
    """Out of one account, into the other, and it says what both have after it."""
    world = shop(alice=100, bob=0)
    assert world.ask("transfer", debit="alice", credit="bob", amount=30).outcome is Outcome.OK
    assert world.balances() == {"source": (-100, 0), "alice": (70, 0), "bob": (30, 0)}
    last = world.entries[-1]
    assert (last.debit_balance, last.credit_balance, last.amount) == (70, 30, 30)


def test_no_account_goes_below_zero() -> None:
    """Refused with what is available; nothing moves."""
    world = shop(alice=100, bob=0)
    reply = world.ask("transfer", debit="alice", credit="bob", amount=101)
    assert (reply.outcome, reply.available) == (Outcome.INSUFFICIENT_FUNDS, 100)
    assert world.balances()["alice"] == (100, 0)


def test_a_refusal_is_for_ever() -> None:
    """The same request is refused again when there would be funds; under another id it is done."""
    world = shop(alice=0, bob=0)
    asked = {"debit": "alice", "credit": "bob", "amount": 5}
    assert world.ask("transfer", number=50, **asked).outcome is Outcome.INSUFFICIENT_FUNDS
    world.ask("transfer", debit="source", credit="alice", amount=5)
    again = world.ask("transfer", number=50, **asked)
    assert (again.outcome, again.replayed) == (Outcome.INSUFFICIENT_FUNDS, True)
    assert world.ask("transfer", number=51, **asked).outcome is Outcome.OK


def test_a_repetition_is_answered_and_not_done() -> None:
    """Same id, same body: the first outcome and its sequence."""
    world = shop(alice=100, bob=0)
    first = world.ask("transfer", number=50, debit="alice", credit="bob", amount=30)
    again = world.ask("transfer", number=50, debit="alice", credit="bob", amount=30)
    assert (again.outcome, again.seq, again.replayed) == (Outcome.OK, first.seq, True)
    assert world.balances()["alice"] == (70, 0)


def test_another_body_under_a_used_id_is_a_mismatch() -> None:
    """Nothing is recorded; the first use stands."""
    world = shop(alice=100, bob=0)
    world.ask("transfer", number=50, debit="alice", credit="bob", amount=30)
    written = len(world.entries)
    reply = world.ask("transfer", number=50, debit="alice", credit="bob", amount=31)
    assert (reply.outcome, reply.seq) == (Outcome.IDEMPOTENCY_MISMATCH, 0)
    assert len(world.entries) == written


@pytest.mark.parametrize(
    ("asked", "outcome"),
    [
        ({"debit": "nobody", "credit": "bob", "amount": 1}, Outcome.ACCOUNT_NOT_FOUND),
        ({"debit": "alice", "credit": "nobody", "amount": 1}, Outcome.ACCOUNT_NOT_FOUND),
        ({"debit": "alice", "credit": "alice", "amount": 1}, Outcome.ACCOUNTS_MUST_DIFFER),
        ({"debit": "alice", "credit": "closed", "amount": 1}, Outcome.ACCOUNT_CLOSED),
        ({"debit": "alice", "credit": "euros", "amount": 1}, Outcome.ASSET_MISMATCH),
        ({"debit": "alice", "credit": "euros", "amount": 10**9}, Outcome.ASSET_MISMATCH),
        ({"debit": "closed", "credit": "euros", "amount": 1}, Outcome.ACCOUNT_CLOSED),
        ({"debit": "alice", "credit": "bob", "amount": 10**9}, Outcome.INSUFFICIENT_FUNDS),
    ],
)
def test_the_first_failing_check_is_said(asked: dict[str, Any], outcome: Outcome) -> None:
    """In the order of Outcome."""
    world = shop(alice=100, bob=0, closed=0)
    world.ask("open", account="euros", asset="EUR")
    world.ask("close", account="closed")
    assert world.ask("transfer", **asked).outcome is outcome


def test_sums_stay_within_63_bits() -> None:
    """Even between accounts that may be negative."""
    world = shop(alice=0)
    world.ask("open", account="sink", asset="CREDIT", allow_negative=True)
    assert world.ask("transfer", debit="source", credit="sink", amount=MAX_AMOUNT).outcome is Outcome.OK
    assert world.ask("transfer", debit="source", credit="sink", amount=1).outcome is Outcome.LIMIT_EXCEEDED


def test_a_hold_reserves() -> None:
    """What is held cannot be spent, and is not gone."""
    world = shop(alice=100, bob=0)
    assert world.ask("hold", debit="alice", credit="bob", amount=60).outcome is Outcome.OK
    assert world.balances()["alice"] == (100, 60)
    assert world.ask("transfer", debit="alice", credit="bob", amount=41).outcome is Outcome.INSUFFICIENT_FUNDS


@pytest.mark.parametrize(("posted", "left"), [(None, 40), (60, 40), (25, 75)])
def test_a_hold_is_posted_in_full_or_in_part(posted: int | None, left: int) -> None:
    """What is not posted is free again."""
    world = shop(alice=100, bob=0)
    world.ask("hold", number=50, debit="alice", credit="bob", amount=60)
    assert world.ask("post", hold=uuid(50), amount=posted).outcome is Outcome.OK
    assert world.balances()["alice"] == (left, 0)
    assert world.balances()["bob"] == (100 - left, 0)


def test_no_more_than_the_hold_is_posted() -> None:
    """And the hold stays as it was."""
    world = shop(alice=100, bob=0)
    world.ask("hold", number=50, debit="alice", credit="bob", amount=60)
    assert world.ask("post", hold=uuid(50), amount=61).outcome is Outcome.EXCEEDS_PENDING_AMOUNT
    assert world.balances()["alice"] == (100, 60)


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        ("post", "post", Outcome.ALREADY_POSTED),
        ("post", "void", Outcome.ALREADY_POSTED),
        ("void", "post", Outcome.ALREADY_VOIDED),
        ("void", "void", Outcome.ALREADY_VOIDED),
    ],
)
def test_a_hold_ends_once(first: str, second: str, outcome: Outcome) -> None:
    """The second end is refused with what the first was."""
    world = shop(alice=100, bob=0)
    world.ask("hold", number=50, debit="alice", credit="bob", amount=60)
    assert world.ask(first, hold=uuid(50)).outcome is Outcome.OK
    assert world.ask(second, hold=uuid(50)).outcome is outcome


def test_a_hold_ends_by_itself() -> None:
    """At its time, not before: found when it is posted, and when the account is debited."""
    for ask in (
        {"what": "post", "hold": uuid(50)},
        {"what": "transfer", "debit": "alice", "credit": "bob", "amount": 90},
    ):
        world = shop(alice=100, bob=0)
        world.ask("hold", number=50, debit="alice", credit="bob", amount=60, expires_at=2_000)
        world.now = 2_000
        reply = world.ask(**ask)  # type: ignore[arg-type]
        assert reply.outcome is (Outcome.HOLD_EXPIRED if ask["what"] == "post" else Outcome.OK)
        assert Kind.HOLD_EXPIRED in {e.kind for e in world.entries}
        assert world.account("alice").held == 0


def test_a_hold_that_is_not_there_is_not_found() -> None:
    """Nor is one that was refused."""
    world = shop(alice=0, bob=0)
    world.ask("hold", number=50, debit="alice", credit="bob", amount=1)
    assert world.ask("post", hold=uuid(50)).outcome is Outcome.TRANSFER_NOT_FOUND
    assert world.ask("void", hold=uuid(51)).outcome is Outcome.TRANSFER_NOT_FOUND


def test_lots_are_drawn_by_priority_then_expiry_then_age() -> None:
    """Plain credits come last."""
    world = shop(alice=5, bob=0)
    for number, (priority, expires_at) in enumerate([(1, 3_000), (0, None), (0, 9_000), (0, 9_000)], start=50):
        world.ask(
            "grant",
            number=number,
            source="source",
            account="alice",
            amount=10,
            priority=priority,
            expires_at=expires_at,
        )
    world.ask("transfer", debit="alice", credit="bob", amount=34)
    assert {lot.id.int: lot.left for lot in world.book.lots.values()} == {50: 6, 51: 0, 52: 0, 53: 0}
    world.ask("transfer", debit="alice", credit="bob", amount=10)
    assert world.balances()["alice"] == (1, 0)


def test_a_lot_expires_to_where_it_came_from() -> None:
    """What is left of it; the rest was spent."""
    world = shop(alice=0, bob=0)
    world.ask("grant", source="source", account="alice", amount=10, expires_at=2_000)
    world.ask("transfer", debit="alice", credit="bob", amount=4)
    world.now = 2_000
    world.sweep()
    assert world.balances() == {"source": (-4, 0), "alice": (0, 0), "bob": (4, 0)}


def test_what_is_held_does_not_expire_with_its_lot() -> None:
    """It can be posted after the lot's time; what is given back then expires at once."""
    world = shop(alice=0, bob=0)
    world.ask("grant", source="source", account="alice", amount=10, expires_at=2_000)
    world.ask("hold", number=50, debit="alice", credit="bob", amount=8)
    world.now = 2_000
    world.sweep()
    assert world.balances()["alice"] == (8, 8)
    assert world.ask("post", hold=uuid(50), amount=3).outcome is Outcome.OK
    world.sweep()
    assert world.balances() == {"source": (-3, 0), "alice": (0, 0), "bob": (3, 0)}


def test_a_transfer_is_reversed_once() -> None:
    """By its opposite."""
    world = shop(alice=100, bob=0)
    world.ask("transfer", number=50, debit="alice", credit="bob", amount=30)
    assert world.ask("reverse", transfer=uuid(50)).outcome is Outcome.OK
    assert world.balances()["alice"] == (100, 0)
    assert world.ask("reverse", transfer=uuid(50)).outcome is Outcome.ALREADY_REVERSED


def test_a_reversal_needs_funds_like_any_transfer() -> None:
    """What was spent since cannot be taken back."""
    world = shop(alice=100, bob=0)
    world.ask("transfer", number=50, debit="alice", credit="bob", amount=30)
    world.ask("transfer", debit="bob", credit="alice", amount=10)
    assert world.ask("reverse", transfer=uuid(50)).outcome is Outcome.INSUFFICIENT_FUNDS


def test_a_posted_hold_is_reversed_by_the_posting() -> None:
    """A hold itself is voided, not reversed."""
    world = shop(alice=100, bob=0)
    world.ask("hold", number=50, debit="alice", credit="bob", amount=30)
    assert world.ask("reverse", transfer=uuid(50)).outcome is Outcome.NOT_REVERSIBLE
    world.ask("post", number=51, hold=uuid(50), amount=20)
    assert world.ask("reverse", transfer=uuid(51)).outcome is Outcome.OK
    assert world.balances()["alice"] == (100, 0)


def test_an_atomic_batch_happens_or_does_not() -> None:
    """One failure, and every request of it is refused, each with its reason, for ever."""
    world = shop(alice=100, bob=0)
    asked = [
        request("transfer", 50, debit="alice", credit="bob", amount=60),
        request("transfer", 51, debit="alice", credit="bob", amount=60),
    ]
    outcomes = [r.outcome for r in world.batch(*asked, atomic=True)]
    assert outcomes == [Outcome.BATCH_FAILED, Outcome.INSUFFICIENT_FUNDS]
    assert world.balances()["alice"] == (100, 0)
    assert [r.replayed for r in world.batch(*asked, atomic=True)] == [True, True]


def test_an_atomic_batch_sees_its_own_requests() -> None:
    """What the first brings the second can spend."""
    world = shop(alice=0, bob=0)
    replies = world.batch(
        request("transfer", 50, debit="source", credit="alice", amount=60),
        request("transfer", 51, debit="alice", credit="bob", amount=60),
        atomic=True,
    )
    assert {r.outcome for r in replies} == {Outcome.OK}
    assert world.balances()["bob"] == (60, 0)


def test_the_same_request_twice_in_a_batch_is_done_once() -> None:
    """The second is the first's repetition."""
    world = shop(alice=100, bob=0)
    asked = request("transfer", 50, debit="alice", credit="bob", amount=60)
    assert [r.replayed for r in world.batch(asked, asked)] == [False, True]
    assert world.balances()["bob"] == (60, 0)


def test_only_an_empty_account_is_closed() -> None:
    """And then it is closed for good."""
    world = shop(alice=1, bob=0)
    assert world.ask("close", account="alice").outcome is Outcome.ACCOUNT_NOT_EMPTY
    assert world.ask("close", account="bob").outcome is Outcome.OK
    assert world.ask("close", account="bob").outcome is Outcome.ACCOUNT_CLOSED
    assert world.ask("open", account="bob", asset="CREDIT").outcome is Outcome.ACCOUNT_EXISTS


def test_what_expired_before_it_began_is_refused() -> None:
    """Holds and grants alike."""
    world = shop(alice=10, bob=0)
    hold = world.ask("hold", debit="alice", credit="bob", amount=1, expires_at=1_000)
    grant = world.ask("grant", source="source", account="alice", amount=1, expires_at=999)
    assert (hold.outcome, grant.outcome) == (Outcome.EXPIRES_IN_THE_PAST, Outcome.EXPIRES_IN_THE_PAST)
