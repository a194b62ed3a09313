"""Documents point at things that exist, and every word of the API that a person may meet is explained."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest

from chaffinch_operator.canary.reasons import STALLED, Reason
from support.repository import checkout

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
DECISION = re.compile(r"docs/decisions/(\d{4})-[a-z0-9-]+\.md")
ALERT = re.compile(r"^\s*-?\s*alert: *(\w+)", re.MULTILINE)
SECTIONS = ("Problem", "Choice", "Rejected", "Revisit when")


def documents() -> list[str]:
    """The Markdown files of the repository."""
    return [name for name in checkout.files() if name.endswith(".md")]


def anchors(name: str) -> set[str]:
    """The anchors of a document's headings, as a forge makes them."""
    headings = (found[1].lower() for found in HEADING.finditer(checkout.text(name)))
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in headings}


def broken_links(name: str) -> list[str]:
    """Links of a document to files or headings that are not there."""
    found = []
    for link in LINK.findall(checkout.text(name)):
        if ":" in link:
            continue
        path, _, anchor = link.partition("#")
        target = PurePosixPath(name) if not path else PurePosixPath(name).parent / path
        place = (checkout.ROOT / target).resolve()
        inside = str(place.relative_to(checkout.ROOT)) if place.is_relative_to(checkout.ROOT) else ""
        if not place.exists() or (anchor and anchor not in anchors(inside)):
            found.append(link)
    return found


def test_links_lead_somewhere() -> None:
    """Every relative link names a file, and every anchor a heading, of the repository."""
    assert {name: links for name in documents() if (links := broken_links(name))} == {}


def test_every_document_can_be_reached_from_the_readme() -> None:
    """No page is written for nobody: following links from README.md leads to all of them."""
    seen: set[str] = set()
    ahead = ["README.md"]
    while ahead:
        name = ahead.pop()
        if name in seen or not name.endswith(".md"):
            continue
        seen.add(name)
        for link in LINK.findall(checkout.text(name)):
            path = link.partition("#")[0]
            place = (checkout.ROOT / PurePosixPath(name).parent / path).resolve()
            if ":" not in link and place.is_file():
                ahead.append(str(place.relative_to(checkout.ROOT)))
            elif ":" not in link and place.is_dir():
                below = str(place.relative_to(checkout.ROOT))
                ahead += [page for page in documents() if page.startswith(f"{below}/")]
    assert sorted(set(documents()) - seen) == []


def test_every_reason_is_on_the_reference_page() -> None:
    """A reason that stands in a condition can be looked up."""
    page = checkout.text("docs/reference/reasons.md")
    assert [reason.value for reason in Reason if f"| `{reason.value}` |" not in page] == []


@pytest.mark.parametrize("reason", sorted(STALLED))
def test_every_stalled_reason_says_what_to_do(reason: Reason) -> None:
    """What waits for a person has an entry in the troubleshooting of docs/operations.md."""
    assert f"| `{reason.value}` |" in checkout.text("docs/operations.md")


def test_decisions_have_their_four_sections() -> None:
    """A decision says the problem, the choice, what was rejected, and when to look again."""
    decisions = [name for name in checkout.files() if DECISION.fullmatch(name)]
    lacking = {name: [s for s in SECTIONS if f"## {s}" not in checkout.text(name)] for name in decisions}
    assert decisions
    assert {name: sections for name, sections in lacking.items() if sections} == {}


def test_decisions_are_numbered_without_gaps() -> None:
    """Numbers are handed out once, in order."""
    numbers = [int(found[1]) for name in checkout.files() if (found := DECISION.fullmatch(name))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_changelog_keeps_its_form() -> None:
    """Keep a Changelog: an Unreleased section first, known groups, entries as a list."""
    lines = checkout.text("CHANGELOG.md").splitlines()
    sections = [line for line in lines if line.startswith("## ")]
    groups = {line for line in lines if line.startswith("### ")}
    assert sections[0] == "## [Unreleased]"
    assert groups <= {f"### {group}" for group in ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")}


def test_every_alert_has_a_runbook() -> None:
    """Each alert that we ship has a page of its name, and each page an alert."""
    folders = ("manifests/components/monitoring/", "manifests/components/ledgers/")
    rules = [name for name in checkout.files() if name.startswith(folders)]
    alerts = {found for name in rules for found in ALERT.findall(checkout.text(name))}
    pages = {
        PurePosixPath(name).stem
        for name in checkout.files()
        if name.startswith("docs/runbooks/") and not name.endswith("README.md")
    }
    assert pages == alerts
