"""Anything that can be asked of a ledger, in any order and batches."""

from typing import Any

from hypothesis import strategies as st

from chaffinch_credits.ledger.requests import AnyRequest
from unit.credits.builders import request, uuid

NAMES = st.sampled_from(["source", "alice", "bob", "carol", "nobody"])
AMOUNTS = st.integers(1, 60)
IDS = st.integers(1, 25)
EARLIER = IDS.map(uuid)


def fields(times: st.SearchStrategy[int | None]) -> dict[str, st.SearchStrategy[dict[str, Any]]]:
    """What each kind of request may say; `times` are those at which holds and grants expire."""
    return {
        "transfer": st.fixed_dictionaries({"debit": NAMES, "credit": NAMES, "amount": AMOUNTS}),
        "hold": st.fixed_dictionaries({"debit": NAMES, "credit": NAMES, "amount": AMOUNTS, "expires_at": times}),
        "grant": st.fixed_dictionaries(
            {"source": NAMES, "account": NAMES, "amount": AMOUNTS, "priority": st.integers(0, 2), "expires_at": times}
        ),
        "post": st.fixed_dictionaries({"hold": EARLIER, "amount": st.one_of(st.none(), AMOUNTS)}),
        "void": st.fixed_dictionaries({"hold": EARLIER}),
        "reverse": st.fixed_dictionaries({"transfer": EARLIER}),
        "close": st.fixed_dictionaries({"account": NAMES}),
        "open": st.fixed_dictionaries({"account": NAMES, "asset": st.sampled_from(["CREDIT", "EUR"])}),
    }


Batches = list[tuple[list[AnyRequest], bool, int]]
"""Requests, whether they are atomic, and the time that passes before them."""


def batches(times: st.SearchStrategy[int | None], most: int = 25) -> st.SearchStrategy[Batches]:
    """Batches under few ids, so that repetitions and mismatches happen."""
    kinds = fields(times)

    @st.composite
    def requests(draw: st.DrawFn) -> AnyRequest:
        what = draw(st.sampled_from(sorted(kinds)))
        return request(what, draw(IDS), **draw(kinds[what]))

    one = st.tuples(st.lists(requests(), min_size=1, max_size=5), st.booleans(), st.integers(0, 60))
    return st.lists(one, max_size=most)
