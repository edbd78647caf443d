"""UniPC: a predictor and a corrector from one formula, the corrector free of charge.

From s to t, with nodes r_i = (lambda_i - lambda_s)/h and scaled differences d_i = (F_i - F_s)/r_i,

    x_t = ratio x_s + weight h (phi_1 F_s + B sum_i rho_i d_i),    sum_i rho_i r_i^{k-1} = k! phi_{k+1}(z) / B,  k >= 1

(UniPC, eq. 3 and 5, in the notation of `exponential`; the sign of z carries the prediction.) The predictor UniP-p
uses the p - 1 values before s; the corrector UniC-p also the value at t itself (r = 1), which the next step evaluates
anyway. B cancels in exact arithmetic and decides only where the paper replaces the solution by rho = 1/2: for the
predictor of order 2 and the corrector of order 1. B = 1 is the paper's B(h) = h (bh1), B = phi_1 its e^h - 1 (bh2).
"""

from __future__ import annotations

import math
from typing import Literal

from solverbench.errors import UsageError, nearest
from solverbench.grids import Grid
from solverbench.methods.exponential import linear_part
from solverbench.methods.registry import solver
from solverbench.numbers import Number, phi, solve
from solverbench.paths import Path
from solverbench.plans import State

VARIANTS = ("bh1", "bh2")


def unified_step(
    x: State,
    path: Path,
    s: Number,
    t: Number,
    past: list[tuple[Number, State]],
    F_t: State | None,
    predicts: Literal["x0", "noise"],
    variant: str,
) -> State:
    """UniP from s to t through the values `past` (latest first, at s), or UniC if the value F_t at t is given."""
    h = path.lam(t) - path.lam(s)
    ratio, weight, z = linear_part(path, predicts, s, t)
    B = phi(1, z) if variant == "bh2" else 1
    _, F_s = past[0]
    r = [(lam_i - path.lam(s)) / h for lam_i, _ in past[1:]]
    d = [(F_i - F_s) / r_i for r_i, (_, F_i) in zip(r, past[1:], strict=True)]
    if F_t is not None:
        r, d = [*r, h / h], [*d, F_t - F_s]
    if len(d) == 1:
        rho = [(h * 0 + 1) / 2]
    else:
        n = range(1, len(d) + 1)
        rho = solve([[r_i ** (k - 1) for r_i in r] for k in n], [math.factorial(k) * phi(k + 1, z) / B for k in n])
    correction = sum(rho_i * d_i for rho_i, d_i in zip(rho, d, strict=True))
    return ratio * x + weight * h * (phi(1, z) * F_s + (B * correction if d else 0))


@solver("unipc-3", order=4, attains=(3, "start-up"), integrates="x0", family="unipc", cite="zhao2023unipc", p=3)
@solver("unipc-2", order=3, integrates="x0", family="unipc", cite="zhao2023unipc", p=2)
@solver("unipc-1", order=2, integrates="x0", family="unipc", cite="zhao2023unipc", p=1)
def unipc(
    x: State,
    path: Path,
    grid: Grid,
    *,
    p: int = 2,
    variant: str = "bh2",
    corrector: bool = True,
    predicts: Literal["x0", "noise"] = "x0",
) -> State:
    """UniPC-p: predictor of order p, corrector of order p + 1, one evaluation a step (algorithms 1 and 2).

    variant: bh1 or bh2. corrector=False is the predictor UniP-p alone, whose order is p.
    """
    if variant not in VARIANTS:
        raise UsageError(f"unipc: unknown variant {variant!r}{nearest(variant, VARIANTS)}")
    if not 1 <= p <= 6:
        raise UsageError(f"unipc: order p must be from 1 to 6, got {p}")
    past: list[tuple[Number, State]] = []
    before: tuple[State, Number] | None = None  # the corrected state one step ago, and its time
    for s, t in grid.steps:
        F = x.predict(predicts, at=s).keep()
        if corrector and before is not None:
            x_before, s_before = before
            x = unified_step(x_before, path, s_before, s, past, F, predicts, variant).keep()
        past = [(path.lam(s), F), *past[: p - 1]]
        before = x, s
        x = unified_step(x, path, s, t, past, None, predicts, variant)
    return x
