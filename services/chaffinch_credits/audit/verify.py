"""Check a ledger's history without trusting who kept it. Pure: rows in, findings out.

What is checked, entry by entry: gapless sequence, one entry per id, the leaf over every field, the sums of each account
as they follow from the entries before, no balance below zero, and that it is what was asked for, by the names of its
accounts and its metadata; that accounts, open holds and lots stand now as the entries say; block by block: order,
extent, and the hash chain; and of every checkpoint: its signature, and that the tree over the leaves has its root.
Checkpoints kept elsewhere (anchors) show a history that was cut, replaced or restored from an older backup, whose own
chain is whole.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from chaffinch_credits.audit import canonical
from chaffinch_credits.audit.asked import Standing, what_is_wrong
from chaffinch_credits.audit.canonical import Block
from chaffinch_credits.audit.fold import Folded, LotLine, OpenHold
from chaffinch_credits.audit.merkle import Frontier
from chaffinch_credits.audit.note import BadNoteError, Checkpoint, Verifier, opened
from chaffinch_credits.ledger.entries import Entry
from chaffinch_credits.ledger.words import Outcome

MOST_FINDINGS = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be. seq: of the entry where it shows first, 0 where it is no entry's."""

    seq: int
    what: str


@dataclass(slots=True)
class Report:
    """What a check found.

    Attributes:
        entries: entries checked.
        blocks: blocks checked.
        checkpoints: checkpoints whose signature and root hold.
        root: of the tree over all leaves.
        findings: in the order in which they were found, at most MOST_FINDINGS.

    """

    entries: int = 0
    blocks: int = 0
    checkpoints: int = 0
    root: bytes = b""
    findings: list[Finding] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def first_bad(self) -> int | None:
        """The lowest sequence at which something is wrong: of the entry, or of the block it is in; else None."""
        return min((f.seq for f in self.findings if f.seq), default=None)

    def add(self, seq: int, what: str) -> None:
        """Note a finding, unless there are enough."""
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(Finding(seq, what))


def verify(
    ledger: UUID,
    rows: Iterable[tuple[Entry, bytes]],
    blocks: Iterable[Block],
    notes: Sequence[str],
    key: Verifier,
    anchors: Sequence[str] = (),
    standing: Mapping[int, Standing] | None = None,
    metadata: Mapping[int, bytes] | None = None,
    holds: Mapping[UUID, OpenHold] | None = None,
    lots: Mapping[int, LotLine] | None = None,
) -> Report:
    """Check all of a ledger, from its first entry on.

    Args:
        ledger: its id.
        rows: entries with the leaf stored beside each, by sequence.
        blocks: by number.
        notes: signed checkpoints as the ledger keeps them.
        key: that they must be signed with.
        anchors: signed checkpoints that were kept elsewhere.
        standing: accounts, by number, as the service goes on from them; None: neither they nor metadata are checked.
        metadata: what clients said beside their requests, by sequence.
        holds: that are open, by id, as the service goes on from them; None: not checked.
        lots: what is left of grants, by their sequence, as the service goes on from them; None: not checked.

    """
    report, beside = Report(), dict(metadata or {})
    wanted = _checkpoints(report, notes, key, "checkpoint") + _checkpoints(report, anchors, key, "anchor")
    leaves, folded = _check_entries(report, ledger, rows, standing, beside)
    _check_blocks(report, ledger, leaves, blocks)
    _check_roots(report, leaves, wanted)
    if standing is not None:
        _check_standing(report, folded, standing)
        for seq in sorted(beside):
            report.add(seq, f"there is metadata of entry {seq}, which does not exist")
    if holds is not None:
        for hold in sorted(folded.holds.keys() | holds.keys()):
            said, kept = folded.holds.get(hold), holds.get(hold)
            if said != kept:
                report.add(0, f"hold {hold} is kept as {kept or 'ended'}, not as {said or 'ended'}")
    if lots is not None:
        _check_lots(report, folded.lots, lots)
    return report


def _check_lots(report: Report, said: Mapping[int, LotLine], kept: Mapping[int, LotLine]) -> None:
    """What is drawn next, and what expires, is decided on these."""
    for seq in sorted(said.keys() | kept.keys()):
        if said.get(seq) != kept.get(seq):
            report.add(
                0, f"the lot of entry {seq} is kept as {kept.get(seq) or 'gone'}, not as {said.get(seq) or 'none'}"
            )


def _checkpoints(report: Report, notes: Sequence[str], key: Verifier, what: str) -> list[tuple[Checkpoint, str]]:
    found = []
    for note in notes:
        try:
            found.append((Checkpoint.parse(opened(note, key)), what))
        except BadNoteError as problem:
            report.add(0, f"{what}: {problem}")
    return found


def _check_entries(
    report: Report,
    ledger: UUID,
    rows: Iterable[tuple[Entry, bytes]],
    standing: Mapping[int, Standing] | None,
    metadata: dict[int, bytes],
) -> tuple[list[bytes], Folded]:
    """Every entry by itself and after those before it; takes its metadata out."""
    leaves: list[bytes] = []
    folded, seen = Folded(), set[UUID]()
    for place, (entry, stored) in enumerate(rows, start=1):
        leaf = canonical.leaf_hash(ledger, entry)
        leaves.append(leaf)
        if entry.seq != place:
            report.add(min(entry.seq, place), f"entry {place} has sequence {entry.seq}")
        if leaf != stored:
            report.add(entry.seq, f"entry {entry.seq} is not what its leaf says")
        if entry.id in seen:
            report.add(entry.seq, f"entry {entry.seq} has the id of an earlier one")
        seen.add(entry.id)
        if entry.outcome is Outcome.OK and (problem := folded.apply(entry)):
            report.add(entry.seq, f"entry {entry.seq}: {problem}")
        if standing is not None and (problem := what_is_wrong(entry, standing, metadata.pop(entry.seq, b""))):
            report.add(entry.seq, f"entry {entry.seq}: {problem}")
    report.entries = len(leaves)
    return leaves, folded


def _check_blocks(report: Report, ledger: UUID, leaves: Sequence[bytes], blocks: Iterable[Block]) -> None:
    """A block that breaks says which entries it covers, unless one of them was found to be wrong by itself."""
    known = {finding.seq for finding in report.findings}
    previous, done, number = canonical.GENESIS, 0, 0
    for block in blocks:
        number += 1
        within = leaves[done : block.last]
        if block.number != number or block.first != done + 1 or not within or block.last > len(leaves):
            report.add(done + 1, f"block {block.number} covers {block.first} to {block.last}, after {done}")
        elif canonical.seal(ledger, number, block.first, within, previous) != block and known.isdisjoint(
            range(block.first, block.last + 1)
        ):
            report.add(block.first, f"block {number} (entries {block.first} to {block.last}) breaks the chain")
        previous, done = block.hash, max(done, block.last)
    report.blocks = number
    if done < len(leaves):
        report.add(done + 1, f"entries {done + 1} to {len(leaves)} are in no block")


def _check_standing(report: Report, folded: Folded, standing: Mapping[int, Standing]) -> None:
    """Accounts are kept beside the entries, where no proof covers them: what is spent next is decided on them."""
    for number in sorted((folded.accounts.keys() | standing.keys()) - {0}):
        sums, stands = folded.accounts.get(number), standing.get(number)
        if sums is None:
            report.add(0, f"account {number} was opened by no entry")
        elif stands is None:
            report.add(0, f"account {number} is gone")
        elif (sums.balance, sums.held) != (stands.balance, stands.held):
            said = f"account {number} stands at {stands.balance} with {stands.held} held"
            report.add(0, f"{said}, not {sums.balance}, {sums.held}")
        elif (sums.closed, sums.allow_negative) != (stands.closed, stands.allow_negative):
            report.add(0, f"account {number} is closed, or may be negative, otherwise than its entries say")


def _check_roots(report: Report, leaves: Sequence[bytes], wanted: list[tuple[Checkpoint, str]]) -> None:
    tree = Frontier()
    for checkpoint, what in sorted(wanted, key=lambda each: each[0].size):
        if checkpoint.size > len(leaves):
            report.add(
                len(leaves) + 1, f"{what} of {checkpoint.size} entries, but there are {len(leaves)}: some are gone"
            )
            continue
        tree = tree.extended(leaves[tree.size : checkpoint.size])
        if tree.root == checkpoint.root:
            report.checkpoints += 1
        else:
            report.add(0, f"{what} of {checkpoint.size} entries has another root: the history was replaced")
    report.root = tree.extended(leaves[tree.size :]).root
