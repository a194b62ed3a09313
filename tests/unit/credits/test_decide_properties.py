"""What holds in a ledger whatever is asked of it, in whatever order and batches."""

from hypothesis import given
from hypothesis import strategies as st

from chaffinch_credits.ledger.words import Kind, Outcome
from unit.credits.builders import World, shop
from unit.credits.strategies import Batches, batches

anything = batches(st.one_of(st.none(), st.integers(900, 1_400)))


def run(given_batches: Batches) -> World:
    """All batches, with the clock going on between them."""
    world = shop(alice=100, bob=20, carol=0)
    for asked, atomic, pause in given_batches:
        world.now += pause
        world.batch(*asked, atomic=atomic)
    return world


@given(anything)
def test_nothing_is_made_and_nothing_is_lost(given_batches: Batches) -> None:
    """The balances of each asset add up to zero; debits and credits alike."""
    world = run(given_batches)
    accounts = world.book.accounts.values()
    for asset in {a.asset for a in accounts}:
        assert sum(a.balance for a in accounts if a.asset == asset) == 0


@given(anything)
def test_no_account_is_ever_below_zero(given_batches: Batches) -> None:
    """But those that may be. What is held is covered."""
    world = run(given_batches)
    assert all(a.available >= 0 for a in world.book.accounts.values() if not a.allow_negative)


@given(anything)
def test_what_is_held_is_the_sum_of_the_open_holds(given_batches: Batches) -> None:
    """On both sides."""
    world = run(given_batches)
    for name, account in world.book.accounts.items():
        open_holds = [h for h in world.book.holds.values() if h.state is Kind.HOLD]
        assert account.held == sum(h.amount for h in open_holds if h.debit == name)
        assert account.expected == sum(h.amount for h in open_holds if h.credit == name)


@given(anything)
def test_lots_are_covered(given_batches: Batches) -> None:
    """What is left of an account's lots is available on it, unless it may be negative."""
    world = run(given_batches)
    for name, account in world.book.accounts.items():
        lots = [lot for lot in world.book.lots.values() if lot.account == name]
        assert all(0 <= lot.left <= lot.amount for lot in lots)
        if not account.allow_negative:
            assert sum(lot.left for lot in lots) <= account.available


@given(anything)
def test_the_sequence_has_no_gap(given_batches: Batches) -> None:
    """And an id is recorded once."""
    world = run(given_batches)
    assert [e.seq for e in world.entries] == list(range(1, len(world.entries) + 1))
    assert len({e.id for e in world.entries}) == len(world.entries)


@given(anything)
def test_balances_follow_from_the_entries(given_batches: Batches) -> None:
    """The last entry of an account says its balance; adding up what was posted gives the same."""
    world = run(given_batches)
    posted = {Kind.TRANSFER, Kind.POST, Kind.GRANT, Kind.GRANT_EXPIRED, Kind.REVERSAL}
    for account in world.book.accounts.values():
        done = [e for e in world.entries if e.outcome is Outcome.OK and account.number in (e.debit, e.credit)]
        folded = sum(e.amount if e.credit == account.number else -e.amount for e in done if e.kind in posted)
        assert account.balance == folded
        last = done[-1]
        said = (
            (last.debit_balance, last.debit_held)
            if last.debit == account.number
            else (last.credit_balance, last.credit_held)
        )
        assert said == (account.balance, account.held)
        assert account.version == last.seq


@given(anything)
def test_asking_all_again_changes_nothing(given_batches: Batches) -> None:
    """Every request is answered as before, or is a mismatch as before."""
    world = run(given_batches)
    balances, written = world.balances(), len(world.entries)
    for asked, atomic, _ in given_batches:
        for reply in world.batch(*asked, atomic=atomic):
            assert reply.replayed or reply.outcome is Outcome.IDEMPOTENCY_MISMATCH
    assert (world.balances(), len(world.entries)) == (balances, written)


@given(anything)
def test_batches_of_single_requests_decide_the_same(given_batches: Batches) -> None:
    """How requests that stand alone are batched makes no difference."""
    alone: Batches = []
    for asked, _, pause in given_batches:
        alone += [([one], False, 0 if n else pause) for n, one in enumerate(asked)]
    together: Batches = [(asked, False, pause) for asked, _, pause in given_batches]
    assert run(alone).entries == run(together).entries
