"""Our solvers beside every library's that should equal them: the table of docs/parity.md, row by row."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

from solverbench.errors import UsageError
from solverbench.methods.registry import SOLVERS
from solverbench.peers import LIBRARIES, aliases, library, parity

INSTALLED, MISSING = parity.installed()
PAIRS = list(parity.pairs(INSTALLED))


@pytest.mark.parametrize("peer", PAIRS, ids=[f"{p.library}: {p.name}" for p in PAIRS])
def test_equal(peer):
    found = parity.compare(peer)
    assert found.equal, f"{found.solver}: {found.error or found.difference}"


@pytest.mark.parametrize("name", LIBRARIES)
def test_every_library_has_its_rows(name):
    if name in MISSING:
        pytest.skip(MISSING[name])
    rows = [p for p in PAIRS if p.library == name]
    assert rows or name == "scipy"  # whose pairs no solver of ours is
    assert all(p.tolerance == 1e-10 or "float32" in p.setting for p in rows)


def test_the_committed_page_lists_the_same_rows():
    """docs/parity.md is what `solverbench parity --markdown` prints, differences aside."""
    if MISSING:
        pytest.skip("; ".join(MISSING.values()))
    page = (Path(__file__).parents[2] / "docs" / "parity.md").read_text()
    listed = {tuple(re.findall(r"`([^`]+)`", line)) for line in page.splitlines() if line.startswith("| `")}
    assert listed == {(str(SOLVERS[p.ours]), p.name) for p in PAIRS}
    assert "differs" not in page


def test_the_committed_aliases_are_those_measured():
    """solverbench/peers/aliases.json is what `solverbench parity --aliases` prints."""
    if MISSING:
        pytest.skip("; ".join(MISSING.values()))
    listed = json.loads((files("solverbench.peers") / "aliases.json").read_text())
    measured = {(str(SOLVERS[p.ours]), p.library, p.name) for p in PAIRS}
    assert {(solver, *alias) for solver, names in listed.items() for alias in names} == measured
    assert "k-diffusion sample_dpmpp_2m" in aliases("dpmpp-2m")


def test_a_wrong_coefficient_is_seen():
    """The sampler itself with one step of the wrong length: the comparison must not be blind."""
    from dataclasses import replace

    try:
        peer = next(p for p in library("azula").peers if p.name == "HeunSampler")
    except UsageError as missing:
        pytest.skip(str(missing))

    def short(denoise, x, sigmas, noise):
        return peer.run(denoise, x, (*sigmas[:3], sigmas[3] * (1 + 1e-7), *sigmas[4:]), noise)

    assert not parity.compare(replace(peer, run=short)).equal
