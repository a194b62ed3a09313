"""The contracts on imports fail when they are broken: violations are planted in a copy of the sources, all at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.repository import checkout

OPERATOR = "operator/chaffinch_operator"
STATS = "services/chaffinch_stats"
CREDITS = "services/chaffinch_credits"
SHADOW = "services/chaffinch_shadow"
VIOLATIONS = {
    # what is planted where, and how the tool says so
    "statistics import the operator": (
        f"{STATS}/checks.py",
        "chaffinch_operator.names",
        "chaffinch_stats is not allowed to import chaffinch_operator",
    ),
    "a slice imports an entry point": (
        f"{OPERATOR}/canary/plan.py",
        "chaffinch_operator.cli.words",
        "chaffinch_operator.canary is not allowed to import chaffinch_operator.cli",
    ),
    "what runs the loops knows a slice": (
        f"{OPERATOR}/runtime.py",
        "chaffinch_operator.canary.reasons",
        "chaffinch_operator.runtime is not allowed to import chaffinch_operator.canary",
    ),
    "a decision imports its reconciler": (
        f"{OPERATOR}/canary/decide.py",
        "chaffinch_operator.canary.reconcile",
        "chaffinch_operator.canary.decide is not allowed to import chaffinch_operator.canary.reconcile",
    ),
    "observe and apply know each other": (
        f"{OPERATOR}/canary/observe.py",
        "chaffinch_operator.canary.apply",
        "chaffinch_operator.canary.observe is not allowed to import chaffinch_operator.canary.apply",
    ),
    "what is to be done for a ledger depends on how it is written": (
        f"{OPERATOR}/credits/decide.py",
        "chaffinch_operator.credits.plan",
        "chaffinch_operator.credits.decide is not allowed to import chaffinch_operator.credits.plan",
    ),
    "what is to be done for an evaluation depends on how it is written": (
        f"{OPERATOR}/shadow/decide.py",
        "chaffinch_operator.shadow.plan",
        "chaffinch_operator.shadow.decide is not allowed to import chaffinch_operator.shadow.plan",
    ),
    "one slice knows another": (
        f"{OPERATOR}/credits/plan.py",
        "chaffinch_operator.canary.reasons",
        "chaffinch_operator.credits is not allowed to import chaffinch_operator.canary",
    ),
    "a decision reads the clock": (
        f"{OPERATOR}/canary/flow.py",
        "time",
        "chaffinch_operator.canary.flow is not allowed to import time",
    ),
    "a pure module reaches the network through another module": (
        f"{OPERATOR}/canary/sizing.py",
        "chaffinch_operator.ports.prometheus",
        "chaffinch_operator.canary.sizing is not allowed to import aiohttp",
    ),
    "statistics start tasks": (f"{STATS}/counts.py", "asyncio", "chaffinch_stats is not allowed to import asyncio"),
    "a second door to Kubernetes": (
        f"{OPERATOR}/canary/apply.py",
        "kubernetes.aio",
        "chaffinch_operator.canary.apply -> kubernetes",
    ),
    "kopf inside the slice": (f"{OPERATOR}/canary/reconcile.py", "kopf", "chaffinch_operator.canary.reconcile -> kopf"),
    "the slice speaks HTTP itself": (
        f"{OPERATOR}/canary/observe.py",
        "aiohttp",
        "chaffinch_operator.canary.observe -> aiohttp",
    ),
    "the operator uses the credits service's code": (
        f"{OPERATOR}/canary/observe.py",
        "chaffinch_credits.cli",
        "chaffinch_operator is not allowed to import chaffinch_credits",
    ),
    "the credits service talks to Kubernetes": (
        f"{CREDITS}/store/engine.py",
        "kubernetes",
        "chaffinch_credits is not allowed to import kubernetes",
    ),
    "the ledger's store knows HTTP": (
        f"{CREDITS}/store/reads.py",
        "chaffinch_credits.api.views",
        "chaffinch_credits.store is not allowed to import chaffinch_credits.api",
    ),
    "a rule of the ledger reads the clock": (
        f"{CREDITS}/ledger/holds.py",
        "time",
        "chaffinch_credits.ledger is not allowed to import time",
    ),
    "the operator uses the shadow service's code": (
        f"{OPERATOR}/canary/observe.py",
        "chaffinch_shadow.collect.words",
        "chaffinch_operator is not allowed to import chaffinch_shadow",
    ),
    "the shadow service uses the ledger's code": (
        f"{SHADOW}/collect/words.py",
        "chaffinch_credits.cli",
        "chaffinch_shadow is not allowed to import chaffinch_credits",
    ),
    "what a copy becomes depends on the clock": (
        f"{SHADOW}/collect/latency.py",
        "time",
        "chaffinch_shadow.collect is not allowed to import time",
    ),
    "the database of samples knows HTTP": (
        f"{SHADOW}/store/reads.py",
        "chaffinch_shadow.api.views",
        "chaffinch_shadow.store is not allowed to import chaffinch_shadow.api",
    ),
    "the shadow service reads what it shows": (
        f"{SHADOW}/render.py",
        "chaffinch_shadow.readers.tables",
        "chaffinch_shadow.render is not allowed to import chaffinch_shadow.readers",
    ),
    "what is counted knows the verdict": (
        f"{SHADOW}/analysis/rows.py",
        "chaffinch_shadow.analysis.verdict",
        "chaffinch_shadow.analysis.rows is not allowed to import chaffinch_shadow.analysis.verdict",
    ),
    "the analysis reads files": (
        f"{SHADOW}/analysis/delong.py",
        "pathlib",
        "chaffinch_shadow.analysis is not allowed to import pathlib",
    ),
    "numerics at run time": (f"{STATS}/counts.py", "numpy", "chaffinch_stats.counts -> numpy"),
}


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources and the contracts."""
    root = tmp_path_factory.mktemp("copy")
    for folder in checkout.SOURCE:
        shutil.copytree(checkout.ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(checkout.ROOT / "pyproject.toml", root)
    return root


@pytest.fixture(scope="module")
def broken(intact: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the tool says of a copy with every violation, and a module that no contract places."""
    root = tmp_path_factory.mktemp("broken") / "copy"
    shutil.copytree(intact, root)
    lines: Mapping[str, list[str]] = {f"{OPERATOR}/canary/newcomer.py": []}
    for name, module, _ in VIOLATIONS.values():
        lines = {**lines, name: [*lines.get(name, []), f"import {module}"]}
    for name, imports in lines.items():
        with (root / name).open("a", encoding="utf-8") as file:
            file.write("\n" + "\n".join(imports) + "\n")
    done = lint(root)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    """Run the contracts on a copy."""
    program = "from importlinter.cli import lint_imports_command as run; run()"
    paths = os.pathsep.join(str(root / folder) for folder in checkout.SOURCE)
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=root,
        check=False,
        text=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": paths, "COLUMNS": "300"},
    )


def test_the_copy_keeps_all_contracts(intact: Path) -> None:
    """Without a violation every contract is kept, so what fails below fails by the violation."""
    done = lint(intact)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("message", [message for *_, message in VIOLATIONS.values()], ids=VIOLATIONS.keys())
def test_a_violation_is_seen(broken: str, message: str) -> None:
    """The tool names the import that a contract forbids."""
    assert message in broken


def test_every_contract_can_break(broken: str) -> None:
    """There is no contract without a violation that it finds."""
    kept = [line for line in broken.splitlines() if " KEPT" in line]
    assert kept == []


def test_a_module_without_a_place_is_seen(broken: str) -> None:
    """A new module of the slice must be given a layer."""
    assert "chaffinch_operator.canary.newcomer" in broken
