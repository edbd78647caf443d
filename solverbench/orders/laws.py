"""Weak and strong orders without a single sample: the exact law of a run on a Gaussian."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np

from solverbench.orders.grids import smooth
from solverbench.orders.impulse import Responses, respond
from solverbench.orders.problems import gaussian
from solverbench.orders.ruler import Slope, slope
from solverbench.orders.subjects import Array, Subject
from solverbench.plans import Noise

SIZES = (48, 96, 192, 384)
"""Steps of a run: churn is cut off on coarser grids."""


@lru_cache(1)  # weak and strong orders are of the same answers
def laws(subject: Subject, sizes: Sequence[int] = SIZES) -> tuple[dict[str, Slope], Slope | None]:
    """Weak orders of variance and mean, and the strong order, from answers to impulses on the Gaussian."""
    variance, mean, strong = [], [], []
    for sigmas in map(smooth, sizes):
        found, eta = answers(subject, sigmas), subject.eta
        variance.append(variance_error(found, sigmas))
        if eta is not None:
            mean.append(mean_error(found, sigmas, eta))
        if eta and subject.draws is not None and whole(draws := subject.draws(sigmas), sigmas):
            start = mean[-1] * np.sqrt(gaussian.marginal(sigmas[0]))
            strong.append(np.hypot(start, noise_error(found, draws, sigmas, eta)))
    weak = {"variance": slope(np.array(variance), sizes)}
    if mean:
        weak["mean"] = slope(np.array(mean), sizes)
    return weak, slope(np.array(strong), sizes) if len(strong) == len(sizes) else None


def answers(subject: Subject, sigmas: tuple[float, ...]) -> Responses:
    """What a run on the Gaussian makes of its start and draws."""
    draws = 8 * len(sigmas) if subject.draws is None else len(subject.draws(sigmas))
    return respond(subject.run, gaussian, sigmas, len(gaussian.variance), draws)


def variance_error(found: Responses, sigmas: tuple[float, ...]) -> Array:
    """Of the output, started from the exact marginal, per direction."""
    first, last = gaussian.marginal(sigmas[0]), gaussian.marginal(sigmas[-1])
    return np.asarray(found.kernel.push(np.zeros_like(first), first)[1] - last)


def mean_error(found: Responses, sigmas: tuple[float, ...], eta: float) -> Array:
    """Of the output given the start, relative to the start, per direction."""
    return np.asarray(found.A - gaussian.jump(np.ones((1, found.A.size)), sigmas[0], sigmas[-1], eta)[0])


def noise_error(found: Responses, draws: Sequence[Noise], sigmas: tuple[float, ...], eta: float) -> Array:
    """What the noise adds to the root mean square distance to the exact solution on the same path, per direction.

    With B_u the path in u = sigma~^2, x_t = Phi x_s + eta int_{u_t}^{u_s} ((v + u_t)/(v + u))^{(1 + eta^2)/2} dB_u. A
    draw is an integral of dB over its interval, of 1 for an increment and of a line that is zero in the middle for an
    area, normalised: the squared distance is an integral over u, of what all draws weigh against what they should.
    """
    v, e, u_end = np.array(gaussian.variance), (1 + eta * eta) / 2, sigmas[-1] ** 2
    ends = np.unique([[i.s**2, i.t**2] for i in draws])
    low, length = ends[:-1], np.diff(ends)
    node, weight = _nodes()
    u = low[:, None] + length[:, None] * node
    off = -eta * ((v + u_end) / (v + u[..., None])) ** e
    for w, i in zip(found.w, draws, strict=True):
        inside = (i.t**2 <= low) & (low < i.s**2)
        h = i.s**2 - i.t**2
        line = math.sqrt(12) * ((u[inside] - i.t**2) / h - 1 / 2) if i.area else np.ones_like(u[inside])
        off[inside] += line[..., None] * w / math.sqrt(h)
    return np.asarray(np.sqrt(np.einsum("i,j,ijk->k", length, weight, off**2)))


def whole(draws: Sequence[Noise], sigmas: tuple[float, ...]) -> bool:
    """Whether the increments among these draws make up the path of the run, no part of it twice or left out."""
    steps = [(i.s, i.t) for i in draws if not i.area]
    if not steps or any(i.s <= i.t or i.visit or (i.s, i.t) not in steps for i in draws):
        return False
    return math.isclose(sum(s * s - t * t for s, t in steps), sigmas[0] ** 2 - sigmas[-1] ** 2, rel_tol=1e-9)


@cache
def _nodes() -> tuple[Array, Array]:
    node, weight = np.polynomial.legendre.leggauss(8)
    return (node + 1) / 2, weight / 2
