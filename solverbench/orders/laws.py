"""Weak and strong orders without a single sample: the exact law of a run on a Gaussian."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from solverbench.orders.grids import smooth
from solverbench.orders.impulse import Responses, respond
from solverbench.orders.problems import Directions, gaussian
from solverbench.orders.ruler import Slope, slope
from solverbench.orders.subjects import Array, Subject


def laws(subject: Subject, sizes: Sequence[int]) -> tuple[dict[str, Slope], Slope | None]:
    """Weak orders of mean and variance, and the strong order, from answers to impulses on the Gaussian."""
    variance, mean, strong = [], [], []
    for N in sizes:
        sigmas = smooth(N)
        first, last = gaussian.marginal(sigmas[0]), gaussian.marginal(sigmas[-1])
        intervals = None if subject.intervals is None else subject.intervals(sigmas)
        draws = 8 * N if intervals is None else len(intervals)
        found = respond(subject.run, gaussian, sigmas, first.size, draws)
        variance.append(found.kernel.push(np.zeros_like(first), first)[1] - last)
        if subject.eta is not None:
            mean.append(found.A - gaussian.jump(np.ones((1, first.size)), sigmas[0], sigmas[-1], subject.eta)[0])
        if subject.eta and intervals is not None:
            strong.append(_pathwise(found, intervals, sigmas, subject.eta, gaussian))
    weak = {"variance": slope(np.array(variance), sizes)}
    if mean:
        weak["mean"] = slope(np.array(mean), sizes)
    pathwise = [e for e in strong if e is not None]
    return weak, slope(np.array(pathwise), sizes) if len(pathwise) == len(sizes) else None


def _pathwise(
    found: Responses, intervals: list[tuple[float, float]], sigmas: tuple[float, ...], eta: float, field: Directions
) -> Array | None:
    """Root mean square distance per direction to the exact solution driven by the same Brownian path B_u, u = sigma~^2.

    x_t = Phi x_s + eta int_{u_t}^{u_s} ((v + u_t)/(v + u))^{(1 + eta^2)/2} dB_u, and draw k is the normalised increment
    of B over its interval: the squared distance is an integral over u, of what each draw weighs against what it
    should. None unless the intervals of the draws make up the whole run.
    """
    if not intervals or any(a <= b for a, b in intervals):
        return None
    if not math.isclose(sum(a * a - b * b for a, b in intervals), sigmas[0] ** 2 - sigmas[-1] ** 2, rel_tol=1e-9):
        return None
    node, weight = _nodes()
    v, e, u_end = np.array(field.variance), (1 + eta * eta) / 2, sigmas[-1] ** 2
    ones = np.ones((1, v.size))
    off = (found.A - field.jump(ones, sigmas[0], sigmas[-1], eta)[0]) ** 2 * field.marginal(sigmas[0])
    for w, (a, b) in zip(found.w, intervals, strict=False):
        length = a * a - b * b
        u = b * b + length * node[:, None]
        exact = eta * ((v + u_end) / (v + u)) ** e
        off = off + length * (weight[:, None] * (w / math.sqrt(length) - exact) ** 2).sum(0)
    return np.asarray(np.sqrt(off))


@cache
def _nodes() -> tuple[Array, Array]:
    node, weight = np.polynomial.legendre.leggauss(8)
    return (node + 1) / 2, weight / 2
