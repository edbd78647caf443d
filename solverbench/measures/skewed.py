"""Student's t of a mean whose terms are skewed: Johnson's, where it is the more careful.

Of terms with a long tail a sample seldom has the worst. Its mean is then too small and so is its standard error, so
that t is far below zero too often. With skewness g (>= 0; for negative ones all signs turn) and b = g/(3 sqrt n),
Johnson (1978, JASA 73, 536) takes

    J(t) = t + b t^2 + b/2,

which is nearer to Student's law. It turns back at t = -1/2b, where less and less would be made of a mean that is
farther away; so beyond that the parabola goes on upside down, as its point reflection. On the side of the tail, t > 0,
|J| is above |t|; but the skewness of a sample from a symmetric law with long tails is chance, and t is kept. On the
other side the smaller of both counts, which is t again from b |t| = 1 + 1/sqrt 2 or so.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from solverbench.measures.moments import Array


def skewness(terms: Any) -> Any:
    """Third central moment of terms (n, ...) by the second's power of 3/2, of shape (...); 0 where nothing varies."""
    values = np.asarray(terms, np.float64)
    centred = values - values.mean(axis=0)
    scale = np.abs(centred).max(axis=0)
    centred /= np.where(scale > 0, scale, 1.0)  # no power below leaves float64
    squares = centred * centred
    variance = squares.mean(axis=0)
    return (squares * centred).mean(axis=0) / np.where(variance > 0, variance, 1.0) ** 1.5


def evidence(t: Any, g: Any, n: int) -> Array:
    """How far t of means of n terms is from zero, to be looked up in Student's law; t and skewness g of one shape."""
    x, b = np.abs(t), np.abs(g) / (3 * math.sqrt(n))
    u = 1 - 2 * b * x
    beyond = (1 + u * u) / (4 * np.where(u < 0, b, 1.0))
    johnson = np.maximum(np.where(u < 0, beyond, x - b * x * x) - b / 2, 0.0)
    return np.asarray(np.where(np.multiply(t, g) < 0, np.minimum(johnson, x), x))


def reach(q: float, g: float, n: int) -> tuple[float, float]:
    """(below, above) a mean of n terms with skewness g, in standard errors: where `evidence` against it comes to q."""
    b = abs(g) / (3 * math.sqrt(n))
    w = 1 - 4 * b * (q + b / 2)  # u |u| at that place
    far = (1 + math.sqrt(-w)) / (2 * b) if w < 0 else (2 * q + b) / (1 + math.sqrt(w))
    return (q, max(q, far)) if g >= 0 else (max(q, far), q)
