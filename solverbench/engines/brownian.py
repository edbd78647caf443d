"""One Brownian path for all steps: increments and areas of any interval, in any order, at O(log) cost.

The path beta_u runs in u = sigma~^2, the time in which the noise of the reverse process of any Gaussian path is a
Brownian motion (`methods.stochastic`). Its values are never kept. An interval of length h carries a pair

    W = beta_hi - beta_lo ~ N(0, h),        H = 1/h int (beta_u - beta_lo - (u - lo)/h W) du ~ N(0, h/12),

independent of each other; H is the space-time Levy area and int (beta_u - beta_lo) du = h (W/2 + H) (Foster, Lyons &
Oberhauser 2020). The pairs of its two halves follow from the pair and two standard normal numbers z, y:

    W_1, W_2 = W/2 +- (3/2 H + sqrt(h)/4 z),        H_1, H_2 = H/4 - sqrt(h)/8 z +- sqrt(h/12)/2 y.

(Given W and H the midpoint is Gaussian with that mean and variance h/16; H_1 + H_2 follows from W, H and the midpoint.)
So the numbers belong to the nodes of a tree of dyadic intervals, the key of a node is its place, and an interval is
the union of the nodes that cover it: Philox keys in place of the split seeds of the virtual Brownian tree (Li et al.
2020). There is one root per octave [2^e, 2^{e+1}) of u, so that small noise levels are
resolved as finely as large ones.

End points are rounded to DEPTH + 1 binary digits, 3e-8 of u or 1.5e-8 of sigma~, and an increment is divided by the
root of its rounded length: every draw is exactly standard normal, draws of intervals that do not overlap are
independent, and those of intervals that share end points add up. An interval that rounding makes empty is refused.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from solverbench.engines.noise import independent, normals
from solverbench.errors import UsageError

if TYPE_CHECKING:
    from solverbench.paths import Path
    from solverbench.plans import Noise

Array: TypeAlias = np.ndarray[Any, Any]
Pair: TypeAlias = tuple[Array, Array]

CITE = "foster2020brownian; li2020scalable"
"""Keys of references.bib."""
DEPTH = 24
"""Halvings of an octave."""
BOTTOM, TOP = -64, 64
"""[0, 2^BOTTOM) is one root; noise levels beyond 2^(TOP/2) = 4e9, and infinite ones, count as that one."""
TREE = 1 << 63
"""Streams of the tree, apart from those of starts and of independent draws, which are counted from zero."""


@dataclass(frozen=True)
class Brownian:
    """Draws of one Brownian path: the source of noise for strong comparisons.

    A draw of [s, t] is the normalised increment of the path over it, in the direction of the sampler, from s down to t;
    its `area` is sqrt(12/h) H in that direction. Draws that raise the noise level (churn, restarts) and later visits
    to an interval belong to no reverse process and are independent, as `independent` draws them.
    """

    path: Path

    def __call__(self, draw: Noise, seed: int, first: int, n: int, d: int, dtype: Any) -> Array:
        """(n, d) numbers of samples first .. first + n - 1."""
        high, low = (self._level(t) ** 2 for t in (draw.s, draw.t))
        if high <= low or draw.visit:
            return independent(draw, seed, first, n, d, dtype)
        a, b = rounded(low), rounded(high)
        return normalised(pair(seed, a, b, first, n, d, dtype), b - a, draw.area)

    def _level(self, t: Any) -> float:
        return math.inf if self.path.is_noise(t) else float(self.path.sigma_tilde(t))


def normalised(pair: Pair, h: float, area: bool) -> Array:
    """A draw over an interval of length h from the pair of the path over it, in the direction of the sampler."""
    W, H = pair
    # seen from above the area changes its sign: int (beta_hi - beta_u) du = h (W/2 - H)
    return -H * math.sqrt(12 / h) if area else W / math.sqrt(h)


def pair(seed: int, lo: float, hi: float, first: int, n: int, d: int, dtype: Any = np.float64) -> Pair:
    """(W, H), each (n, d), of the path over [lo, hi], u = sigma~^2 rounded; float32 or float64.

    Raises UsageError unless lo < hi after rounding.
    """
    return pairs(seed, (lo, hi), first, n, d, dtype)[0]


def pairs(seed: int, ends: Sequence[float], first: int, n: int, d: int, dtype: Any = np.float64) -> list[Pair]:
    """The same for every interval between increasing end points, at the cost of one walk through the tree.

    Raises UsageError where two of them are one after rounding.
    """
    ends = [rounded(u) for u in ends]
    for lo, hi in pairwise(ends):
        if not lo < hi:
            raise UsageError(
                f"a Brownian path resolves sigma~^2 to {2.0**-DEPTH:.1g} of itself, which a step at sigma~ = "
                f"{math.sqrt(hi):.6g} falls below: take fewer steps there, or independent noise"
            )
    zero = np.zeros((n, d), dtype)
    W, integral = [zero] * (len(ends) - 1), [zero] * (len(ends) - 1)
    for i, w, h, length in _cover(_Tree(seed, first, n, d, np.dtype(dtype)), ends):
        integral[i] = integral[i] + length * W[i] + length * (w / 2 + h)
        W[i] = W[i] + w
    return [(w, v / (hi - lo) - w / 2) for w, v, (lo, hi) in zip(W, integral, pairwise(ends), strict=True)]


def rounded(u: float) -> float:
    """u to the resolution of the tree."""
    if u >= 2.0**TOP:
        return 2.0**TOP
    unit = 2.0 ** ((math.frexp(u)[1] - 1 if u >= 2.0**BOTTOM else BOTTOM) - DEPTH)
    return round(u / unit) * unit


@dataclass(frozen=True)
class _Tree:
    seed: int
    first: int
    n: int
    d: int
    dtype: np.dtype[Any]

    def numbers(self, root: int, node: int) -> Pair:
        """Two standard normal arrays of a node: 0 the pair of a root itself, k >= 1 its halvings in heap order."""
        stream = TREE | root << 32 | node
        z = normals(self.seed, stream, self.first, self.n, 2 * self.d, self.dtype)
        return z[:, : self.d], z[:, self.d :]

    def halves(self, root: int, node: int, W: Array, H: Array, h: float) -> tuple[Pair, Pair]:
        """The pairs of the two halves of an interval of length h."""
        z, y = self.numbers(root, node)
        odd, even, spread = 1.5 * H + math.sqrt(h) / 4 * z, H / 4 - math.sqrt(h) / 8 * z, math.sqrt(h / 48) * y
        return (W / 2 + odd, even + spread), (W / 2 - odd, even - spread)


def _cover(tree: _Tree, ends: Sequence[float]) -> Iterator[tuple[int, Array, Array, float]]:
    """(i, W, H, length) of the fewest nodes that make up every interval ends[i] to ends[i + 1], from below."""

    def inside(
        root: int, node: int, W: Array, H: Array, a: float, b: float
    ) -> Iterator[tuple[int, Array, Array, float]]:
        i = bisect_right(ends, a)
        if 0 < i < len(ends) and b <= ends[i]:
            yield i - 1, W, H, b - a
            return
        middle = (a + b) / 2
        below, above = tree.halves(root, node, W, H, b - a)
        if ends[0] < middle:
            yield from inside(root, 2 * node, *below, a, middle)
        if middle < ends[-1]:
            yield from inside(root, 2 * node + 1, *above, middle, b)

    start = math.frexp(ends[0])[1] - 1 if ends[0] >= 2.0**BOTTOM else BOTTOM - 1
    for e in range(start, TOP):
        a, b = 2.0**e if e >= BOTTOM else 0.0, 2.0 ** (e + 1)
        if a >= ends[-1]:
            return
        z, y = tree.numbers(e + 1 - BOTTOM, 0)
        yield from inside(e + 1 - BOTTOM, 1, math.sqrt(b - a) * z, math.sqrt((b - a) / 12) * y, a, b)
