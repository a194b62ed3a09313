"""Whoever changes the history is found out, and the first changed entry is named."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chaffinch_credits.audit import canonical
from chaffinch_credits.audit.canonical import Block
from chaffinch_credits.audit.merkle import Frontier
from chaffinch_credits.audit.note import Checkpoint, Signer
from chaffinch_credits.audit.verify import Report, verify
from chaffinch_credits.ledger.entries import Entry
from chaffinch_credits.ledger.words import Outcome
from unit.credits.builders import World, request, shop, uuid

LEDGER = UUID(int=77)
KEY = Signer("ledger.example/shop", Ed25519PrivateKey.from_private_bytes(b"k" * 32))
FORGER = Signer("ledger.example/shop", Ed25519PrivateKey.from_private_bytes(b"f" * 32))
PER_BLOCK = 4
MUTATIONS_OF_A_CLASS = 60


@dataclass
class History:
    """What a ledger keeps, and one checkpoint that was kept elsewhere."""

    rows: list[tuple[Entry, bytes]]
    blocks: list[Block]
    notes: list[str]
    anchor: str
    standing: dict[int, tuple[int, int]]

    def check(self) -> Report:
        """As an auditor would."""
        return verify(LEDGER, self.rows, self.blocks, self.notes, KEY.verifier, [self.anchor], self.standing)


def sealed(entries: list[Entry], signer: Signer = KEY) -> tuple[list[tuple[Entry, bytes]], list[Block], list[str]]:
    """Rows, blocks and checkpoints for entries, made as the service makes them."""
    leaves = [canonical.leaf_hash(LEDGER, e) for e in entries]
    blocks, previous, notes = list[Block](), canonical.GENESIS, list[str]()
    for first in range(0, len(leaves), PER_BLOCK):
        block = canonical.seal(LEDGER, len(blocks) + 1, first + 1, leaves[first : first + PER_BLOCK], previous)
        blocks.append(block)
        previous = block.hash
        notes.append(note(leaves[: block.last], signer))
    return list(zip(entries, leaves, strict=True)), blocks, notes


def note(leaves: list[bytes], signer: Signer = KEY) -> str:
    """A signed checkpoint."""
    return signer.sign(Checkpoint(signer.name, len(leaves), Frontier().extended(leaves).root).text)


def busy() -> World:
    """Some of everything, with refusals."""
    world, chance = shop(alice=500, bob=100), Random(3)
    for number in range(100, 160):
        one, other = chance.sample(["source", "alice", "bob"], 2)
        match number % 5:
            case 0:
                world.ask("hold", number=number, debit=one, credit=other, amount=chance.randint(1, 90))
            case 1:
                world.ask("post", number=number, hold=uuid(number - 1), amount=chance.randint(1, 40))
            case 2:
                world.ask("grant", number=number, source="source", account="alice", amount=5, expires_at=10**9)
            case _:
                world.ask("transfer", number=number, debit=one, credit=other, amount=chance.randint(1, 200))
    world.batch(request("transfer", 200, debit="bob", credit="alice", amount=1))
    return world


@cache
def original() -> History:
    """A sound one, made once."""
    world = busy()
    rows, blocks, notes = sealed(world.entries)
    standing = {a.number: (a.balance, a.held) for a in world.book.accounts.values()}
    return History(rows, blocks, notes, notes[-1], standing)


def history() -> History:
    """A sound one of the caller's own."""
    made = original()
    return replace(
        made, rows=list(made.rows), blocks=list(made.blocks), notes=list(made.notes), standing=dict(made.standing)
    )


def bent(e: Entry, r: Random) -> Entry:
    """The entry with another value in one field."""
    some = r.randint(1, 9)
    return r.choice(
        [
            replace(e, amount=e.amount + some),
            replace(e, debit=e.debit + some),
            replace(e, credit=e.credit + some),
            replace(e, created_at=e.created_at + some),
            replace(e, effective_at=e.effective_at - some),
            replace(e, debit_balance=e.debit_balance + some),
            replace(e, outcome=Outcome.LIMIT_EXCEEDED if e.outcome is Outcome.OK else Outcome.OK),
            replace(e, body_hash=r.randbytes(32)),
            replace(e, id=UUID(int=r.getrandbits(128))),
            replace(e, code=e.code + some),
        ]
    )


def edit(h: History, r: Random) -> int:
    """One field of one entry."""
    place = r.randrange(len(h.rows))
    entry, leaf = h.rows[place]
    h.rows[place] = (bent(entry, r), leaf)
    return place + 1


def edit_and_reseal(h: History, r: Random) -> int:
    """One field, with the leaf made anew."""
    place = r.randrange(len(h.rows))
    entry = bent(h.rows[place][0], r)
    h.rows[place] = (entry, canonical.leaf_hash(LEDGER, entry))
    return place + 1


def delete(h: History, r: Random) -> int:
    """One entry from the middle."""
    place = r.randrange(len(h.rows) - 1)
    del h.rows[place]
    return place + 1


def insert(h: History, r: Random) -> int:
    """An entry that nobody asked for."""
    place = r.randrange(len(h.rows))
    entry = replace(h.rows[place][0], id=UUID(int=r.getrandbits(128)))
    h.rows.insert(place, (entry, canonical.leaf_hash(LEDGER, entry)))
    return place + 1


def reorder(h: History, r: Random) -> int:
    """Two neighbours change places, sequences and all."""
    place = r.randrange(len(h.rows) - 1)
    h.rows[place], h.rows[place + 1] = h.rows[place + 1], h.rows[place]
    return place + 1


def swap_ids(h: History, r: Random) -> int:
    """Two entries change their ids."""
    one, other = sorted(r.sample(range(len(h.rows)), 2))
    (a, x), (b, y) = h.rows[one], h.rows[other]
    h.rows[one], h.rows[other] = (replace(a, id=b.id), x), (replace(b, id=a.id), y)
    return one + 1


def cut(h: History, r: Random) -> int:
    """The newest blocks, with their entries and checkpoints."""
    kept = r.randrange(len(h.blocks))
    del h.blocks[kept:], h.notes[kept:], h.rows[kept * PER_BLOCK :]
    return len(h.rows) + 1


def older_backup(h: History, r: Random) -> int:
    """An older state, on which other things happened since, all of it properly sealed and signed."""
    kept = r.randrange(1, len(h.rows) - 1)
    world = shop(alice=500, bob=100)
    past = [e for e, _ in h.rows[:kept]]
    more = replace(world.entries[-1], seq=kept + 1, id=UUID(int=r.getrandbits(128)))
    fill = [replace(more, seq=n, id=UUID(int=r.getrandbits(128))) for n in range(kept + 1, len(h.rows) + 1)]
    h.rows, h.blocks, h.notes = sealed([*past, *fill])
    return 0


def fork(h: History, r: Random) -> int:
    """Another history, sealed by somebody else's key."""
    h.rows, h.blocks, h.notes = sealed([e for e, _ in h.rows], FORGER)
    return 0


def checkpoint(h: History, r: Random) -> int:
    """A root, a size, or a signature."""
    place = r.randrange(len(h.notes))
    how = r.choice(["root", "size", "signature"])
    leaves = [leaf for _, leaf in h.rows]
    if how == "root":
        h.notes[place] = note(leaves[1:])
    elif how == "size":
        h.notes[place] = note([*leaves, b"\0" * 32])
    else:
        h.notes[place] = h.notes[place][:-6] + ("AAAA=\n" if not h.notes[place].endswith("AAAA=\n") else "BBBB=\n")
    return 0


def block(h: History, r: Random) -> int:
    """A block's hash, extent or place."""
    place = r.randrange(len(h.blocks))
    one = h.blocks[place]
    h.blocks[place] = r.choice(
        [replace(one, hash=r.randbytes(32)), replace(one, last=one.last - 1), replace(one, number=one.number + 1)]
    )
    return 0


def account(h: History, r: Random) -> int:
    """What an account stands at: another balance, other holds, gone, or one more."""
    number = r.choice(list(h.standing))
    balance, held = h.standing[number]
    some = r.randint(1, 9)
    match r.randrange(4):
        case 0:
            h.standing[number] = (balance + some, held)
        case 1:
            h.standing[number] = (balance, held + some)
        case 2:
            del h.standing[number]
        case _:
            h.standing[max(h.standing) + some] = (0, 0)
    return 0


def test_a_sound_history_is_sound() -> None:
    """No false alarm."""
    report = history().check()
    assert report.findings == []
    assert (report.entries, report.checkpoints) == (len(history().rows), len(history().notes) + 1)


@pytest.mark.parametrize(
    "how",
    [edit, edit_and_reseal, delete, insert, reorder, swap_ids, cut, older_backup, fork, checkpoint, block, account],
    ids=lambda how: str(how.__name__),
)
def test_a_changed_history_is_found_out(how: Callable[[History, Random], int]) -> None:
    """Every mutation of every class; the first changed entry is named, or its block if its leaf was changed too."""
    for seed in range(MUTATIONS_OF_A_CLASS):
        changed = history()
        first = how(changed, Random(seed))
        report = changed.check()
        assert not report.sound, f"{how.__name__}, seed {seed}"
        if first and how is not edit_and_reseal:
            assert report.first_bad == first, f"{how.__name__}, seed {seed}: {report.findings[:3]}"
        elif first:
            assert report.first_bad is not None
            assert (report.first_bad - 1) // PER_BLOCK == (first - 1) // PER_BLOCK
