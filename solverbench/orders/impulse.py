"""The law of any sampler that is linear in start and noise, on a Gaussian: its answers to unit impulses.

One run on a batch: zeros (what is affine), a unit start, and a unit for every draw of noise (Pierret & Galerne 2024,
arXiv 2405.14250, give the recursions this replaces). Works for black boxes, since nothing but their output is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from solverbench.engines.law import Kernel
from solverbench.errors import UsageError
from solverbench.measures.law import Law
from solverbench.orders.subjects import Denoise, Run

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

    The caller sees to it that the field is affine; whether the sampler is linear is seen by `linear`.
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


def linear(run: Run, denoise: Denoise, sigmas: tuple[float, ...], d: int, draw: Callable[[int], NDArray[Any]]) -> float:
    """How far f(2x) - f(0) is from 2 (f(x) - f(0)), start and draws doubled alike, relative to the largest of them."""
    zero = np.zeros((1, d))
    x = draw(-1)[:1, :d]
    f = [run(denoise, c * x + zero, sigmas, lambda k, c=c: c * draw(k)) for c in (0.0, 1.0, 2.0)]  # type: ignore[misc]
    return float(np.abs(f[2] - 2 * f[1] + f[0]).max() / max(np.abs(f[2]).max(), 1e-300))


LINEAR = 1e-8
"""How far from linear a sampler may be, relatively: rounding."""


def black_box_law(
    run: Run,
    variance: Vector,
    sigmas: tuple[float, ...],
    mean: Vector | float = 0.0,
    start: Literal["exact", "prior"] = "exact",
) -> Law:
    """The exact law of anybody's sampler on the Gaussian N(mean, diag(variance)), against the data.

    run(denoise, x, sigmas, draw) takes canonical states x (n, d), x = x_0 + sigma eps, at sigmas[0] to sigmas[-1];
    denoise(x, sigma) is E[x_0 | x] and draw(k) the k-th draw of standard normal numbers, shaped like x, the same ones
    whenever k is asked for again. start: the exact law at sigmas[0] or N(0, sigmas[0]^2 I).

    One channel for the mean, one for the start, one per draw. Raises UsageError, before, for a sampler that is not
    linear (it clips, adapts its steps, or draws noise of its own), and, after, for one that mixes directions.
    """
    variance = np.asarray(variance, dtype=np.float64)
    d, drawn, calls = variance.size, [-1], [0]
    shift = np.broadcast_to(np.asarray(mean, dtype=np.float64), (d,))

    def denoise(x: NDArray[Any], sigma: Any) -> NDArray[Any]:
        calls[0] += 1
        return np.asarray(shift + variance / (variance + float(sigma) ** 2) * (x - shift))

    def normal(k: int) -> NDArray[Any]:
        drawn[0] = max(drawn[0], k)
        z = np.random.default_rng((1, k + 1)).standard_normal((1, d))
        # the start as large as in use, so that what clips does
        return z if k >= 0 else z * np.sqrt(variance + sigmas[0] ** 2)

    off = linear(run, denoise, sigmas, d, normal)
    if not off <= LINEAR:
        raise UsageError(
            f"the sampler is not linear in its start and noise, f(2x) - 2 f(x) + f(0) = {off:.1e} of f(2x): it clips, "
            f"adapts its steps or draws noise by itself, and has no law that impulses could show"
        )
    found = respond(run, denoise, sigmas, d, drawn[0] + 1)
    calls[0] = 0
    x = normal(-1)
    seen = np.asarray(run(denoise, x, sigmas, normal), float)[0]
    told = found.A * x[0] + found.b + sum(w * normal(k)[0] for k, w in enumerate(found.w))
    if not np.abs(seen - told).max() <= LINEAR * max(1.0, np.abs(seen).max()):
        raise UsageError("the sampler mixes directions or the rows of a batch: its law is not one per direction")
    first = (shift, variance + sigmas[0] ** 2) if start == "exact" else (0 * shift, np.full(d, sigmas[0] ** 2))
    return Law(*found.kernel.push(*first), np.array(shift), variance, calls[0], found.kernel)
