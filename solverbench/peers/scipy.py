"""SciPy: the explicit Runge-Kutta pairs of scipy.integrate, one forced step for each step of the given levels.

A step is forced by a tolerance that accepts anything and a step length that reaches the end; every interval begins
anew, so the evaluation that a pair shares with the next step is spent again. Radau, BDF and LSODA solve by tolerance
within a step and cannot be forced: their orders in the number of steps are not defined, and they are left out.
"""

from __future__ import annotations

import math
from functools import partial
from importlib import metadata
from itertools import pairwise
from typing import Any

import numpy as np

from solverbench.orders.subjects import Array, Denoise, Draw
from solverbench.peers.base import Library, Peer

NAME, PIP = "scipy", "scipy"


def _run(method: str, variable: str, denoise: Denoise, x: Array, sigmas: Any, noise: Draw | None) -> Array:
    from scipy import integrate

    shape = x.shape

    def slope(u: float, y: Array) -> Array:
        sigma = u if variable == "sigma" else math.exp(-u)
        z = y.reshape(shape)
        change = (z - denoise(z, sigma)) / sigma if variable == "sigma" else denoise(z, sigma) - z
        return np.asarray(change.ravel())

    levels = [float(s) if variable == "sigma" else -math.log(s) for s in sigmas]
    y = np.asarray(x, float).ravel()
    for u, v in pairwise(levels):
        solver = getattr(integrate, method)(slope, u, y, v, first_step=abs(v - u), rtol=1.0, atol=1e300)
        solver.h_abs = 2 * abs(v - u)  # by rounding, first_step alone may fall short of the end
        solver.step()
        if solver.t != v:
            raise RuntimeError(f"{method} stopped at {solver.t} on the way from {u} to {v}")
        y = solver.y
    return y.reshape(shape)


def _peers() -> tuple[Peer, ...]:
    return tuple(
        Peer(NAME, f"{method}, {variable}", partial(_run, method, variable), order, False, 0.0, evaluations,
             setting="rtol=1, atol=1e300, one step an interval", zero=False)
        for method, order, evaluations in (("RK23", 3, 4), ("RK45", 5, 7), ("DOP853", 8, 13))
        for variable in ("sigma", "log sigma")
    )  # fmt: skip


def library() -> Library:
    """Raises ModuleNotFoundError if it is not installed."""
    return Library(NAME, PIP, _peers(), {}, {"scipy": metadata.version("scipy"), "numpy": metadata.version("numpy")})
