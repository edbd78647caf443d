"""The law of any sampler that is linear in start and noise, on a Gaussian: its answers to unit impulses.

One run on a batch: zeros (what is affine), a unit start, and a unit for every draw of noise (Pierret & Galerne 2024,
arXiv 2405.14250, give the recursions this replaces). Works for black boxes, since nothing but their output is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solverbench.engines.law import Kernel
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
