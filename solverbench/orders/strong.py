"""Strong order on a nonlinear field, by sampling: distances to a fine solution on the same Brownian paths.

The reverse SDE of the mixture has no solution in closed form, but one on cells of the Brownian tree by a method of
strong order 3/2 is exact next to what is measured. Starts and paths are the same for every sampler and on every grid,
so the ratio of two errors hardly varies; the interval of an order is over batches of paths, each with its own order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from solverbench.engines.brownian import Pair, normalised, pairs
from solverbench.methods.registry import SOLVERS
from solverbench.orders.grids import ENDS, smooth
from solverbench.orders.laws import whole
from solverbench.orders.problems import NONLINEAR, line, start
from solverbench.orders.ruler import Slope, slope
from solverbench.orders.subjects import Array, Denoise, Subject, subject
from solverbench.plans import Noise

SIZES = (48, 96, 192)
"""Steps of a run."""
SEED, CHUNKS, PATHS, BATCHES = 0, 2, 256, 8
"""Of the paths; chunks of them held at a time, paths from every start in a chunk, and batches in it."""
FINE, CELLS = "shark", 8
"""The method of the fine solution, and the depth of its steps, the cells of the tree: 2^8 in an octave of sigma~^2."""
LEVELS = CELLS + 2
"""The depth to which the levels of grids are rounded, so that their paths cost little."""
Numbers: TypeAlias = Callable[[Noise], Array]
"""numbers(draw) -> standard normal numbers (paths, columns) of the draw's interval."""
Exact: TypeAlias = Callable[[Array, int], Array]
"""exact(x, chunk) -> where the starts x (paths, columns) end on the paths of that chunk."""


def nonlinear(subject: Subject) -> dict[str, Slope]:
    """On the mixture, from its start points: see `sampled`."""
    eta = subject.eta
    if not eta:
        return {}
    return sampled(subject, line, lambda _, chunk: _fine(eta, chunk), start(ENDS[0])[0, NONLINEAR])


def sampled(subject: Subject, denoise: Denoise, exact: Exact, start: Array) -> dict[str, Slope]:
    """Slopes of the mean and of the root mean square distance to the solution on the same path.

    start: (columns,) at the first of ENDS. Nothing is found for a sampler whose draws do not make up a Brownian path.
    """
    grids = [_grid(N) for N in SIZES]
    if subject.draws is None or not all(whole(subject.draws(sigmas), sigmas) for sigmas in grids):
        return {}
    x = np.tile(start, (PATHS, 1))
    off = [[run(subject, denoise, x, sigmas, chunk) - exact(x, chunk) for chunk in range(CHUNKS)] for sigmas in grids]
    batches: Array = np.reshape(off, (len(SIZES), CHUNKS * BATCHES, -1))
    mean, root = np.abs(batches).mean(-1), np.sqrt(np.square(batches).mean(-1))
    return {"mean": slope(mean, SIZES, sampled=True), "mean square": slope(root, SIZES, sampled=True)}


def run(subject: Subject, denoise: Denoise, x: Array, sigmas: tuple[float, ...], chunk: int) -> Array:
    """The sampler's end on the paths of a chunk."""
    assert subject.draws is not None
    draws = subject.draws(sigmas)
    numbers = numbers_of(draws, chunk, x.shape[1])
    return subject.run(denoise, x, sigmas, lambda k: numbers(draws[k]))


def numbers_of(draws: Sequence[Noise], chunk: int, columns: int) -> Numbers:
    """What the paths of a chunk make of draws that do not overlap."""
    u = tuple(sorted({level**2 for i in draws for level in (i.s, i.t)}))
    found = dict(zip(pairwise(u), _pairs(u, chunk, columns), strict=True))
    return lambda i: normalised(found[i.t**2, i.s**2], i.s**2 - i.t**2, i.area)


@lru_cache(len(SIZES) * CHUNKS)  # most solvers draw over the same intervals
def _pairs(u: tuple[float, ...], chunk: int, columns: int) -> list[Pair]:
    return pairs(SEED, u, chunk * PATHS, PATHS, columns)


@cache
def _fine(eta: float, chunk: int) -> Array:
    """Where the start points on the mixture end, by cells of the tree."""
    first, last = (sigma**2 for sigma in ENDS)
    cells = {math.ldexp(1 + k / 2**CELLS, e) for e in range(-64, 64) for k in range(2**CELLS)}
    u = sorted({first, last, *(c for c in cells if last < c < first)}, reverse=True)
    x = np.tile(start(ENDS[0])[0, NONLINEAR], (PATHS, 1))
    return run(subject(SOLVERS[FINE][{"eta": eta}]), line, x, tuple(map(math.sqrt, u)), chunk)


def _grid(N: int) -> tuple[float, ...]:
    """The smooth grid with levels at ends of cells."""

    def at_cell(sigma: float) -> float:
        mantissa, e = math.frexp(sigma**2)
        return math.sqrt(math.ldexp(round(mantissa * 2 ** (LEVELS + 1)), e - LEVELS - 1))

    sigmas = smooth(N)
    return sigmas[0], *map(at_cell, sigmas[1:-1]), sigmas[-1]
