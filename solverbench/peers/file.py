"""A user's own file: a function `sample(denoise, x, sigmas, noise)`, or a solver registered with solverbench.solver.

The function is called as our own machinery calls samplers, with float64 arrays in canonical coordinates:

    denoise(x (n, d), sigma) -> E[x_0 | x] (n, d)        noise(k) -> (n, d), the k-th draw of standard normal numbers
    sigmas: decreasing, sigmas[0] that of x; the last may be 0

Attributes of the function say what is claimed: `order`, `stochastic`, `eta`, `evaluations`, `corrects`, `ours`, `zero`,
and `strong` if it makes one draw for each step, see `Peer`. A function `sigmas(steps)` of the file, if there is one, is
audited as its own choice of noise levels.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from solverbench.errors import UsageError, nearest
from solverbench.methods.registry import SOLVERS
from solverbench.orders import subject
from solverbench.orders.subjects import Array, Denoise, Draw
from solverbench.peers.base import Library, Owned, Peer, along
from solverbench.programs import run_file

PARAMETERS = ("denoise", "x", "sigmas", "noise")


def library(spec: str) -> Library:
    """The samplers of FILE.py, or the one of FILE.py:name. Raises UsageError if there are none or the file fails."""
    name, _, wanted = spec.partition(".py:")
    path = Path(name if name.endswith(".py") else f"{name}.py").resolve()
    if not path.is_file():
        raise UsageError(f"no such file: {path}")
    before = set(SOLVERS)
    module = run_file(path, f"solverbench_audit_{path.stem}")
    solvers = {n: _solver(path.name, n) for n in SOLVERS if n not in before}
    functions = {n: f for n, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__}
    samplers = {n: of_function(f, path.name) for n, f in functions.items() if is_sampler(f)}
    found = {**solvers, **samplers}
    if not found:
        raise UsageError(f"{path.name} has no sampler: define sample({', '.join(PARAMETERS)}), or register a solver")
    if wanted and wanted not in found:
        raise UsageError(f"{path.name} has no sampler {wanted!r}{nearest(wanted, found)}")
    chosen = {wanted: found[wanted]} if wanted else found
    own = {}
    if "sigmas" in functions:
        own = {f"{n}, sigmas": partial(_own, p, functions["sigmas"]) for n, p in chosen.items()}
    return Library(path.name, "", tuple(chosen.values()), own)


def is_sampler(function: Any) -> bool:
    """Whether it is a function of (denoise, x, sigmas, noise)."""
    return inspect.isfunction(function) and tuple(inspect.signature(function).parameters)[:4] == PARAMETERS


def of_function(function: Callable[..., Any], file: str) -> Peer:
    """Such a function of a file, with what its attributes claim."""
    told = vars(function)
    return Peer(
        file, function.__name__, partial(_call, function), told.get("order"), told.get("stochastic", False),
        told.get("eta", 1.0 if told.get("stochastic") else 0.0), told.get("evaluations"),
        told.get("corrects", False), told.get("ours"),
        strong=told.get("strong"), draws=along if "strong" in told else None, zero=told.get("zero", True),
    )  # fmt: skip


def _call(function: Callable[..., Any], denoise: Denoise, x: Array, sigmas: Any, noise: Draw | None) -> Array:
    return np.asarray(function(denoise, np.array(x), tuple(float(s) for s in sigmas), noise))


def _solver(file: str, name: str) -> Peer:
    found = subject(SOLVERS[name])
    return Peer(
        file,
        name,
        partial(_call, found.run),
        found.order,
        found.stochastic,
        found.eta,
        found.evaluations,
        found.corrects,
        strong=found.strong,
        draws=found.draws,
    )


def _own(peer: Peer, sigmas: Callable[[int], Any], denoise: Denoise, steps: int) -> Owned:
    grid = np.asarray(sigmas(steps), float)
    return Owned.of(lambda D, x, noise: peer.run(D, x, tuple(grid), noise), denoise, grid[0], grid)
