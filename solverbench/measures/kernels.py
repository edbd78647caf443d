"""Kernel distances of samples: KID between two sets, MMD and energy distance to a law whose expectations are known.

All are E k(X, X') - 2 E k(X, Y) + E k(Y, Y') for some kernel, estimated without bias, so they may come out negative:
zero is then as good an answer. MMD is of Gretton et al. (2012, JMLR 13, equation 3), KID of Binkowski et al. (2018,
arXiv 1801.01401, section 4), the energy distance of Szekely & Rizzo (2013, J. Stat. Plan. Inference 143, equation 5).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from scipy.special import stdtrit

from solverbench.errors import UsageError
from solverbench.measures.estimate import Estimate, standard_error
from solverbench.measures.moments import Array, flat
from solverbench.measures.squares import score

if TYPE_CHECKING:
    from solverbench.fields.mixture import Mixture

Kernel: TypeAlias = Callable[[Array, Array], Array]
_ROWS = 1000


def polynomial(x: Array, y: Array) -> Array:
    """KID's kernel (x.y/d + 1)^3, (n, m)."""
    found: Array = (x @ y.T / x.shape[1] + 1) ** 3
    return found


def distances(x: Array, y: Array) -> Array:
    """|x - y|, (n, m)."""
    squares = np.sum(x * x, 1)[:, None] + np.sum(y * y, 1) - 2 * (x @ y.T)
    found: Array = np.sqrt(np.maximum(squares, 0))
    return found


def kid(x: Any, y: Any, block: int | None = None, seed: int = 0, kernel: Kernel = polynomial) -> Estimate:
    """Unbiased kernel distance of features x (n, d) and y (m, d): the mean over disjoint blocks of both.

    block: samples of each set per block, by default the most that leaves ten blocks, 1000 at most. The standard error
    is of independent blocks, so it is right at every distance. Raises UsageError for fewer than two blocks of two.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise UsageError(f"features of shapes {x.shape} and {y.shape} cannot be compared")
    n = min(len(x), len(y))
    block = min(1000, max(2, n // 10)) if block is None else block
    count = n // block if block > 1 else 0
    if count < 2:
        raise UsageError(f"KID needs two blocks of two samples or more, got {n} samples in blocks of {block}")
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(x)), rng.permutation(len(y))
    values = []
    for i in range(count):
        a, b = (z[order[i * block : (i + 1) * block]] for z, order in zip((x, y), rows, strict=True))
        values.append(_off_diagonal(kernel(a, a)) + _off_diagonal(kernel(b, b)) - 2 * float(kernel(a, b).mean()))
    mean, se = float(np.mean(values)), standard_error(values)
    return Estimate(mean, count * block, se, f"unbiased, {count} blocks of {block}", count - 1)


def mmd(x: Any, field: Mixture, h: float | None = None) -> Estimate:
    """Squared MMD of samples x (n, *shape) to a mixture, Gaussian kernel of width h, the mixture's side exact.

    h: root mean square spread of the data by default, sqrt(tr C), the same for all samples of one field.
    """
    from solverbench.measures.expectations import with_data, within_data

    width = math.sqrt(field.moments()[1].sum()) if h is None else h
    z = _samples(x)
    return _to_law(
        lambda rows: np.exp(-(distances(z[rows], z) ** 2) / (2 * width**2)),
        with_data(field, x, width),
        within_data(field, width),
    )


def energy(x: Any, field: Mixture) -> Estimate:
    """Energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'| of samples x (n, *shape) to a mixture, whose side is exact."""
    from solverbench.measures.expectations import distance_to_data, distance_within_data

    z = _samples(x)
    return _to_law(lambda rows: -distances(z[rows], z), -distance_to_data(field, x), -distance_within_data(field))


def _samples(x: Any) -> Array:
    if len(x) < 4:
        raise UsageError(f"a kernel distance with a standard error needs four samples or more, got {len(x)}")
    return flat(x)


def _off_diagonal(K: Array) -> float:
    n = len(K)
    return float((K.sum() - np.trace(K)) / (n * (n - 1)))


def _to_law(kernel: Callable[[slice], Array], cross: Array, within: float) -> Estimate:
    """The U-statistic of h(x, x') = k(x, x') - E k(x, Y) - E k(x', Y) + E k(Y, Y').

    kernel(rows) is k of these samples and all (m, n), a block at a time. The distance is the square of the difference
    delta of the laws' mean embeddings, and with C the covariance of one sample's the estimate's variance is
    4 delta.C delta/n + 2 tr C^2/n(n-1), of which the first part grows with the distance (Hoeffding 1948, section 5).
    delta.C delta/|delta|^2 is found at the samples' own mean embedding, noise included, so that it is never that of a
    difference which came out small by chance; tr C^2 is of h less its means over rows and columns.
    """
    n, means, own, squares = len(cross), [], [], 0.0
    for start in range(0, n, _ROWS):
        rows = slice(start, start + _ROWS)
        h = kernel(rows) - cross[rows, None] - cross + within
        means.append(h.mean(1))
        own.append(np.diagonal(h[:, start:]))
        squares += float((h * h).sum())
    mean, diagonal = np.concatenate(means), np.concatenate(own)
    size = float(mean.mean())  # of the samples' own mean embedding less the law's
    value = (n * size - float(diagonal.mean())) / (n - 1)
    along = 4 * float(mean.var()) / (n * size) if size > 0 else 0.0
    centred = squares - 2 * n * float((mean * mean).sum()) + (n * size) ** 2
    off_diagonal = centred - float(((diagonal - 2 * mean + size) ** 2).sum())
    trace = max(0.0, off_diagonal) / (n * (n - 1))  # of samples that are all one point what is left is rounding
    rest = 2 * trace / (n * (n - 1))
    se = math.sqrt(rest + along * max(value, 0.0))
    bounds = partial(_bounds, value, rest, along, n - 1)
    return Estimate(value, n, se, "U-statistic, exact target", n - 1, bounds=bounds)


def _bounds(value: float, rest: float, along: float, degrees: int, level: float) -> tuple[float, float]:
    return score(value, rest, along, float(stdtrit(degrees, (1 + level) / 2)))
