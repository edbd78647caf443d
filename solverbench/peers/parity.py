"""Parity: our solver and another library's, step for step on the same field, noise levels, start and draws.

The field is nonlinear (a mixture on the line in some columns) and Gaussian in the others, in float64; the levels are
uneven, so that a wrong ratio of steps shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from solverbench import peers
from solverbench.errors import UsageError, in_words
from solverbench.methods.registry import SOLVERS
from solverbench.orders import subject
from solverbench.orders.problems import mixed
from solverbench.orders.ruler import apart
from solverbench.peers.base import Peer
from solverbench.peers.checks import SIGMAS, draws, start

ROWS = 6
COMMAND = "solverbench parity --markdown"


@dataclass(frozen=True)
class Comparison:
    """One solver of ours beside one of theirs."""

    solver: str
    library: str
    peer: str
    setting: str
    difference: float
    """Largest difference of the end states, relative to the largest of them; inf if either failed."""
    tolerance: float
    error: str = ""

    @property
    def equal(self) -> bool:
        """Whether they agree within the tolerance."""
        return self.difference <= self.tolerance


def compare(peer: Peer) -> Comparison:
    """Run both. Raises UsageError if `ours` is not a solver of ours."""
    assert peer.ours is not None
    ours = subject(SOLVERS[peer.ours], peer.path)
    x = start(ROWS)
    z = draws(*x.shape)
    difference, error = float("inf"), ""
    try:
        difference = apart(ours.run(mixed, x, SIGMAS, z), peer.run(mixed, x, SIGMAS, z))
    except Exception as raised:
        error = in_words(raised)
    return Comparison(str(SOLVERS[peer.ours]), peer.library, peer.name, peer.setting, difference, peer.tolerance, error)


def pairs(names: Sequence[str] = tuple(peers.LIBRARIES)) -> Iterator[Peer]:
    """Every peer that should equal a solver of ours, of the libraries named. Raises UsageError as `library` does."""
    for name in names:
        yield from (p for p in peers.library(name).peers if p.ours is not None)


def installed() -> tuple[list[str], dict[str, str]]:
    """Names of the libraries that can be imported, and why not for the others."""
    found, missing = [], {}
    for name in peers.LIBRARIES:
        try:
            peers.library(name)
        except UsageError as error:
            missing[name] = str(error)
        else:
            found.append(name)
    return found, missing


def rows(found: Sequence[Comparison]) -> list[dict[str, Any]]:
    """As plain data, with the outcome."""
    return [{**asdict(c), "equal": c.equal} for c in found]


def alias_file(found: Sequence[Comparison]) -> str:
    """What other libraries call our solvers: of the comparisons that are equal, {solver: [[library, name], ...]}."""
    aliases: dict[str, list[list[str]]] = {}
    for c in found:
        if c.equal:
            aliases.setdefault(c.solver, []).append([c.library, c.peer])
    lines = (f" {json.dumps(solver)}: {json.dumps(names)}" for solver, names in sorted(aliases.items()))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def markdown(found: Sequence[Comparison], versions: Sequence[str]) -> str:
    """docs/parity.md."""
    from tabulate import tabulate

    ordered = sorted(found, key=lambda c: list(SOLVERS).index(c.solver.partition("[")[0]))
    table = [
        {
            "solver": f"`{c.solver}`",
            "library": c.library,
            "class or function": f"`{c.peer}`",
            "setting": c.setting or "-",
            "difference": c.error or f"{c.difference:.0e}",
            "": "equal" if c.equal else "**differs**",
        }
        for c in ordered
    ]
    head = f"""# Parity with other libraries

Written by `{COMMAND}`; do not edit. {", ".join(versions)}.

Our solver and theirs from the same start with the same draws of noise, on a field that is a mixture in some columns and
Gaussian in the others, in float64, over the uneven noise levels
{", ".join(f"{s:g}" for s in SIGMAS)}. The difference is that of the end states, relative to the largest.
*Setting* says what was set for the comparison; their casts to float32 are read as float64 (their own arithmetic is
judged by `solverbench audit`).

"""
    return head + tabulate(table, headers="keys", tablefmt="pipe") + "\n"
