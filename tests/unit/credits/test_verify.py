"""Whoever changes the history is found out, and the first changed entry is named."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_credits.audit import canonical
from chaffinch_credits.audit.asked import Standing
from chaffinch_credits.audit.canonical import Block
from chaffinch_credits.audit.fold import Folded, LotLine, OpenHold
from chaffinch_credits.audit.merkle import Frontier
from chaffinch_credits.audit.note import Checkpoint, Signer
from chaffinch_credits.audit.verify import Report, verify
from chaffinch_credits.ledger.body import hashed
from chaffinch_credits.ledger.book import Book
from chaffinch_credits.ledger.entries import Entry
from chaffinch_credits.ledger.words import Kind, Outcome
from unit.credits.builders import World, request, uuid
from unit.credits.strategies import Batches, batches
from unit.credits.test_decide_properties import run

LEDGER = UUID(int=77)
KEY = Signer("ledger.example/shop", Ed25519PrivateKey.from_private_bytes(b"k" * 32))
FORGER = Signer("ledger.example/shop", Ed25519PrivateKey.from_private_bytes(b"f" * 32))
PER_BLOCK = 4
MUTATIONS_OF_A_CLASS = 30
ALL_OF_A_CLASS = 700
"""Of seventeen classes: more than ten thousand."""
SOUND = 200
"""Histories, each another, in which nothing is to be found."""
REPORT = Path("build/bench/credits_tamper.json")


@dataclass
class History:
    """What a ledger keeps, and one checkpoint that was kept elsewhere."""

    rows: list[tuple[Entry, bytes]]
    blocks: list[Block]
    notes: list[str]
    anchor: str
    standing: dict[int, Standing]
    metadata: dict[int, bytes]
    holds: dict[UUID, OpenHold]
    lots: dict[int, LotLine]

    def check(self) -> Report:
        """As an auditor would."""
        kept = self.rows, self.blocks, self.notes
        return verify(LEDGER, *kept, KEY.verifier, [self.anchor], self.standing, self.metadata, self.holds, self.lots)


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


def busy(seed: int = 3) -> tuple[World, dict[int, bytes]]:
    """Some of everything, with refusals, metadata and times of the client's own."""
    world, beside, chance = World(), dict[int, bytes](), Random(seed)
    names = ["source", "alice", "bob", "carol"]

    def ask(what: str, number: int, **fields: Any) -> None:
        metadata = b'{"order":%d}' % number if chance.random() < 0.4 else b""
        when = chance.choice([None, None, 77])
        made = request(what, number, **fields, effective_at=when)
        reply = world.batch(hashed(made, metadata))[0]
        if metadata and reply.outcome is Outcome.OK:
            beside[reply.seq] = metadata

    for number, name in enumerate(names, start=1):
        ask("open", number, account=name, asset="CREDIT", allow_negative=name == "source")
    ask("transfer", 8, debit="source", credit="alice", amount=500)
    ask("close", 9, account="carol")
    for number in range(100, 160):
        world.now += chance.randint(0, 40)
        what, fields = anything(number, world.now, chance)
        ask(what, number, **fields)
    return world, beside


def anything(number: int, now: int, chance: Random) -> tuple[str, dict[str, Any]]:
    """What is asked for next."""
    one, other = chance.sample(["source", "alice", "bob"], 2)
    between = {"debit": one, "credit": other}
    match number % 5:
        case 0:
            return "hold", {**between, "amount": chance.randint(1, 90)}
        case 1:
            return "post", {"hold": uuid(number - 1), "amount": chance.choice([None, 7])}
        case 2:
            return "grant", {"source": "source", "account": "alice", "amount": 5, "expires_at": now + 90, "priority": 2}
        case 3:
            return "reverse", {"transfer": uuid(number - 4)}
        case _:
            return "transfer", {**between, "amount": chance.randint(1, 200), "code": number}


def made(seed: int) -> History:
    """A sound one."""
    world, beside = busy(seed)
    rows, blocks, notes = sealed(world.entries)
    standing = {
        a.number: Standing(a.name, a.asset, a.allow_negative, a.closed, a.balance, a.held)
        for a in world.book.accounts.values()
    }
    return History(rows, blocks, notes, notes[-1], standing, beside, open_holds(world.book), lots(world.book))


def open_holds(book: Book) -> dict[UUID, OpenHold]:
    """As the service keeps them."""
    number = {name: account.number for name, account in book.accounts.items()}
    return {
        h.id: OpenHold(number[h.debit], number[h.credit], h.amount, h.expires_at, h.draws)
        for h in book.holds.values()
        if h.state is Kind.HOLD
    }


def lots(book: Book) -> dict[int, LotLine]:
    """As the service keeps them."""
    number = {name: account.number for name, account in book.accounts.items()}
    return {
        lot.seq: LotLine(
            lot.id, number[lot.account], number[lot.source], lot.amount, lot.left, lot.priority, lot.expires_at
        )
        for lot in book.lots.values()
    }


@cache
def original() -> History:
    """A sound one, made once."""
    return made(3)


def history() -> History:
    """A sound one of the caller's own."""
    made = original()
    return replace(
        made,
        rows=list(made.rows),
        blocks=list(made.blocks),
        notes=list(made.notes),
        standing=dict(made.standing),
        metadata=dict(made.metadata),
        holds=dict(made.holds),
        lots=dict(made.lots),
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


def edit_and_chain(h: History, r: Random) -> int:
    """One field, with its leaf and all blocks made anew: whoever has the whole database but not the key."""
    place, notes = r.randrange(len(h.rows)), h.notes
    entries = [e for e, _ in h.rows]
    entries[place] = bent(entries[place], r)
    h.rows, h.blocks, _ = sealed(entries)
    h.notes = notes
    return 0


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
    kept = r.randrange(5, len(h.rows) - 1)
    past = [e for e, _ in h.rows[:kept]]
    more = next(e for e in past if e.outcome is Outcome.OK and e.debit)
    fill = [replace(more, seq=n, id=UUID(int=r.getrandbits(128))) for n in range(kept + 1, len(h.rows) + 1)]
    h.rows, h.blocks, h.notes = sealed([*past, *fill])
    return 0


def rollback(h: History, r: Random) -> int:
    """An older backup as a whole: everything in it fits together, and only the anchor knows better."""
    world, beside = busy()
    kept = PER_BLOCK * r.randrange(1, len(h.blocks) - 1)
    h.rows, h.blocks, h.notes = sealed(world.entries[:kept])
    h.metadata = {seq: body for seq, body in beside.items() if seq <= kept}
    h.standing = folded(h)
    state = Folded()
    for entry, _ in h.rows:
        if entry.outcome is Outcome.OK:
            state.apply(entry)
    h.holds, h.lots = state.holds, state.lots
    return kept + 1


def folded(h: History) -> dict[int, Standing]:
    """The accounts as the entries of a shorter history leave them."""
    found = dict[int, Standing]()
    for entry, _ in h.rows:
        if entry.outcome is Outcome.OK:
            closed = entry.kind is Kind.CLOSE
            for number, balance, held in (
                (entry.debit, entry.debit_balance, entry.debit_held),
                (entry.credit, entry.credit_balance, entry.credit_held),
            ):
                if number:
                    before = h.standing[number]
                    found[number] = replace(before, balance=balance, held=held, closed=closed and number == entry.debit)
    return found


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


def metadata(h: History, r: Random) -> int:
    """What a client said: something else, nothing, something where there was nothing, or that of another."""
    seqs = sorted(h.metadata)
    seq = r.choice(seqs)
    match r.randrange(4):
        case 0:
            h.metadata[seq] = h.metadata[seq][:-1] + b"%d}" % r.randint(0, 9)
        case 1:
            del h.metadata[seq]
        case 2:
            seq = r.choice([n for n in range(1, len(h.rows) + 9) if n not in h.metadata])
            h.metadata[seq] = b'{"a":1}'
        case _:
            other = r.choice([n for n in seqs if n != seq])
            h.metadata[seq], h.metadata[other] = h.metadata[other], h.metadata[seq]
            return min(seq, other)
    return seq


def account(h: History, r: Random) -> int:
    """An account: another name, balance or permission, gone, or one more."""
    number = r.choice(list(h.standing))
    before, some = h.standing[number], r.randint(1, 9)
    changed: list[Standing] = [
        replace(before, balance=before.balance + some),
        replace(before, held=before.held + some),
        replace(before, name=f"{before.name}{some}"),
        replace(before, asset="USD"),
        replace(before, allow_negative=not before.allow_negative),
        replace(before, closed=not before.closed),
    ]
    match r.randrange(8):
        case 0:
            del h.standing[number]
        case 1:
            h.standing[max(h.standing) + some] = replace(before, name="new")
        case _:
            h.standing[number] = r.choice(changed)
    return 0


def hold(h: History, r: Random) -> int:
    """A hold: another amount, end or creditor, ended, or one that nobody asked for."""
    one = r.choice(sorted(h.holds))
    before, some = h.holds[one], r.randint(1, 9)
    match r.randrange(5):
        case 0:
            h.holds[one] = replace(before, amount=before.amount + some)
        case 1:
            del h.holds[one]
        case 2:
            h.holds[one] = replace(before, expires_at=(before.expires_at or 0) + some)
        case 3:
            h.holds[one] = replace(before, credit=before.credit + some, draws=())
        case _:
            h.holds[UUID(int=r.getrandbits(128))] = before
    return 0


def lot(h: History, r: Random) -> int:
    """A lot: more or less left of it, a later end, another place in the order, gone, or one that nobody granted."""
    seq = r.choice(sorted(h.lots))
    before, some = h.lots[seq], r.randint(1, 9)
    match r.randrange(6):
        case 0:
            h.lots[seq] = replace(before, remaining=before.remaining + some)
        case 1:
            h.lots[seq] = replace(before, remaining=before.remaining - some)
        case 2:
            h.lots[seq] = replace(before, expires_at=r.choice([None, (before.expires_at or 0) + some]))
        case 3:
            h.lots[seq] = replace(before, priority=before.priority - some)
        case 4:
            del h.lots[seq]
        case _:
            h.lots[max(h.lots) + some] = before
    return 0


CLASSES = [
    edit,
    edit_and_reseal,
    edit_and_chain,
    delete,
    insert,
    reorder,
    swap_ids,
    cut,
    rollback,
    older_backup,
    fork,
    metadata,
    checkpoint,
    block,
    account,
    hold,
    lot,
]


def test_sound_histories_are_sound() -> None:
    """No false alarm, whatever happened."""
    for seed in range(20):
        report = made(seed).check()
        assert report.findings == [], seed
    assert (report.entries, report.checkpoints) == (len(made(seed).rows), len(made(seed).notes) + 1)


@given(batches(st.one_of(st.none(), st.integers(900, 1_400))))
def test_open_holds_and_lots_follow_from_the_entries(given_batches: Batches) -> None:
    """Whatever is asked, in whatever order: folding the entries gives what the rules keep."""
    world, folded = run(given_batches), Folded()
    problems = [folded.apply(entry) for entry in world.entries if entry.outcome is Outcome.OK]
    assert problems == [""] * len(problems)
    assert (folded.holds, folded.lots) == (open_holds(world.book), lots(world.book))


@pytest.mark.parametrize("how", CLASSES, ids=lambda how: str(how.__name__))
def test_a_changed_history_is_found_out(how: Callable[[History, Random], int]) -> None:
    """Every mutation of every class; the first changed entry is named, or its block if its leaf was changed too."""
    for seed in range(MUTATIONS_OF_A_CLASS):
        find_out(how, seed)


@pytest.mark.long
def test_ten_thousand_changes_are_found_out() -> None:
    """All of them, and nothing in what was not changed; the counts are written down."""
    for seed in range(SOUND):
        assert made(seed).check().sound, seed
    for how in CLASSES:
        for seed in range(ALL_OF_A_CLASS):
            find_out(how, seed)
    counts = {"found": ALL_OF_A_CLASS * len(CLASSES), "missed": 0, "sound": SOUND, "falseAlarms": 0}
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps({**counts, "perClass": {how.__name__: ALL_OF_A_CLASS for how in CLASSES}}, indent=2))


def find_out(how: Callable[[History, Random], int], seed: int) -> None:
    """Change a history, and see that it is found and where."""
    changed = history()
    first = how(changed, Random(seed))
    report = changed.check()
    assert not report.sound, f"{how.__name__}, seed {seed}"
    if first and how is not edit_and_reseal:
        assert report.first_bad == first, f"{how.__name__}, seed {seed}: {report.findings[:3]}"
    elif first:
        assert report.first_bad is not None
        assert (report.first_bad - 1) // PER_BLOCK == (first - 1) // PER_BLOCK
