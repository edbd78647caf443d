"""The law of any sampler that is linear in start and noise, on a Gaussian: its answers to unit impulses.

One run on a batch: zeros (what is affine), a unit start, and a unit for every draw of noise (Pierret & Galerne 2025,
arXiv 2405.14250, give the recursions this replaces). Works for black boxes, since nothing but their output is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from solverbench.engines.law import Kernel
from solverbench.errors import UsageError
from solverbench.fields.base import checked
from solverbench.grids import Grid
from solverbench.measures.law import Law
from solverbench.orders.problems import Directions
from solverbench.orders.subjects import Denoise, Draw, Run, Watched
from solverbench.paths import path

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Responses:
    """x_out = A x + b + sum_k w_k z_k per direction."""

    A: Vector
    b: Vector
    w: NDArray[np.float64]
    """(draws, d)."""

    @property
    def kernel(self) -> Kernel:
        """x_out | x ~ N(A x + b, Q)."""
        return Kernel(self.A, self.b, np.asarray(np.square(self.w).sum(0)))


def respond(run: Run, denoise: Denoise, sigmas: tuple[float, ...], d: int, draws: int) -> Responses:
    """Probe a sampler that makes at most that many draws on a field that acts on each of d directions by itself.

    The caller sees to it that the field is affine; whether the sampler is affine is seen by `departure`.
    """
    x = np.zeros((draws + 2, d))
    x[1] = 1.0

    def draw(k: int) -> NDArray[Any]:
        z = np.zeros_like(x)
        z[k + 2] = 1.0
        return z

    out = np.asarray(run(denoise, x, sigmas, draw), float)
    b = out[0]
    return Responses(out[1] - b, b, out[2:] - b)


def departure(run: Run, denoise: Denoise, sigmas: tuple[float, ...], x: NDArray[Any], draw: Draw) -> float:
    """|f(3x) - 3 f(x) + 2 f(0)| relative to |f(3x)|, start and draws tripled alike: rounding, if f is affine.

    Tripling rounds, doubling does not: float32 inside a sampler shows.
    """

    def f(c: float) -> NDArray[Any]:
        return np.asarray(run(denoise, c * x, sigmas, lambda k: c * draw(k)), dtype=float)

    return float(np.abs(f(3) - 3 * f(1) + 2 * f(0)).max() / max(np.abs(f(3)).max(), 1e-300))


LINEAR = 1e-8
"""How far from linear a sampler may be, relatively: rounding."""


def black_box_law(
    run: Run,
    variance: Vector,
    sigmas: tuple[float, ...],
    mean: Vector | float = 0.0,
    start: Literal["exact", "prior"] = "exact",
    rtol: float = LINEAR,
) -> Law:
    """The exact law of anybody's sampler on the Gaussian N(mean, diag(variance)), against the data.

    run(denoise, x, sigmas, draw) takes canonical states x (n, d), x = x_0 + sigma eps, at sigmas[0] to sigmas[-1];
    denoise(x, sigma) is E[x_0 | x], denoise.jump(x, sigma_s, sigma_t) the flow, and draw(k) the k-th draw of standard
    normal numbers, shaped like x, the same ones whenever k is asked for again. start: the exact law at sigmas[0] or
    N(0, sigmas[0]^2 I). rtol: how far from linear it may be, relatively; more than rounding for float32 inside.

    One channel for the mean, one for the start, one per draw. Raises UsageError, before, for variances that cannot be,
    levels that do not decrease, and a sampler that is not linear (it clips, adapts its steps, or draws noise of its
    own), and, after, for one that mixes directions. One that diverges has a law that is not finite.
    """
    if start not in ("exact", "prior"):
        raise UsageError(f"start is 'exact' or 'prior', got {start!r}")
    Grid(path("edm"), sigmas)  # which checks them
    variance = checked("variance", variance, (np.size(variance),))
    d, drawn = variance.size, [-1]
    if not d or variance.min() < 0:
        raise UsageError(f"variance must be one or more numbers, none negative, got {variance}")
    shift = np.broadcast_to(checked("mean", mean, (), (d,)), (d,))
    field = Directions(tuple(variance.tolist()), tuple(shift.tolist()))

    def normal(k: int) -> NDArray[Any]:
        drawn[0] = max(drawn[0], k)
        return np.random.default_rng((1, k + 1)).standard_normal((1, d))

    x = normal(-1) * np.sqrt(variance + sigmas[0] ** 2)  # as large as in use, so that what clips does
    if (off := departure(run, field, sigmas, x, normal)) > rtol:
        raise UsageError(
            f"the sampler is not linear in its start and noise, f(3x) - 3 f(x) + 2 f(0) = {off:.1e} of f(3x): it "
            f"clips, adapts its steps or draws noise by itself, and has no law that impulses could show"
        )
    found, watched = respond(run, field, sigmas, d, drawn[0] + 1), Watched(field)
    seen = np.asarray(run(watched, x, sigmas, normal), float)[0]
    told = found.A * x[0] + found.b + sum(w * normal(k)[0] for k, w in enumerate(found.w))
    if np.abs(seen - told).max() > rtol * max(1.0, np.abs(seen).max()):
        raise UsageError("the sampler mixes directions or the rows of a batch: its law is not one per direction")
    first = (shift, variance + sigmas[0] ** 2) if start == "exact" else (0 * shift, np.full(d, sigmas[0] ** 2))
    return Law(*found.kernel.push(*first), np.array(shift), variance, len(watched.calls), found.kernel)
