"""UniPC and SA-Solver: a predictor and a corrector from one formula, the corrector free of charge.

From s to t, with nodes r_i = (lambda_i - lambda_s)/h and scaled differences d_i = (F_i - F_s)/r_i,

    x_t = ratio x_s + weight h (phi_1 F_s + B sum_i rho_i d_i),    sum_i rho_i r_i^{k-1} = k! phi_{k+1}(z) / B,  k >= 1

(UniPC, section 3, in the notation of `exponential`; the sign of z carries the prediction.) The predictor UniP-p
uses the p - 1 values before s; the corrector UniC-p also the value at t itself (r = 1), which the next step evaluates
anyway. B cancels in exact arithmetic and decides only where the paper replaces the solution by rho = 1/2: for the
predictor of order 2 and the corrector of order 1. B = 1 is the paper's B(h) = h (bh1), B = phi_1 its e^h - 1 (bh2).

SA-Solver is the same with the ratio, weight and z of the reverse process of strength eta (its tau, `exponential`)
and its noise, drawn once for predictor and corrector; its weights are exact, but for two values rho = 1/2 with B = 1
(the authors' code, which calls it a modification that does not change the order).
"""

from __future__ import annotations

import math
from typing import Literal

from solverbench.errors import UsageError, check_known
from solverbench.eta import ONE, ZERO, Eta
from solverbench.grids import Grid
from solverbench.methods.exponential import linear_part
from solverbench.methods.registry import solver
from solverbench.numbers import Number, phi, solve
from solverbench.paths import Path
from solverbench.plans import State

VARIANTS = ("bh1", "bh2", "vary")


def unified_step(
    x: State,
    path: Path,
    s: Number,
    t: Number,
    past: list[tuple[Number, State]],
    F_t: State | None,
    predicts: Literal["x0", "noise"],
    variant: str,
    eta: Eta = ZERO,
) -> State:
    """UniP from s to t through the values `past` (latest first, at s), or UniC if the value F_t at t is given."""
    h, eta_n = path.lam(t) - path.lam(s), eta.over(path, s, t)
    ratio, weight, z, spread = linear_part(path, predicts, s, t, eta_n)
    _, F_s = past[0]
    r = [(lam_i - path.lam(s)) / h for lam_i, _ in past[1:]]
    d = [(F_i - F_s) / r_i for r_i, (_, F_i) in zip(r, past[1:], strict=True)]
    if F_t is not None:
        r, d = [*r, h / h], [*d, F_t - F_s]
    weights = _vary(r, z, F_t is not None) if variant == "vary" else _unified(r, z, variant)
    x = ratio * x + weight * h * (phi(1, z) * F_s + sum(w_i * d_i for w_i, d_i in zip(weights, d, strict=True)))
    return x + spread * x.noise(s, t) if eta_n else x


def _unified(r: list[Number], z: Number, variant: str) -> list[Number]:
    """B rho_i, of the formula above."""
    B = phi(1, z) if variant == "bh2" else 1
    if len(r) == 1:
        return [B * (z * 0 + 1) / 2]
    n = range(1, len(r) + 1)
    rho = solve([[r_i ** (k - 1) for r_i in r] for k in n], [math.factorial(k) * phi(k + 1, z) / B for k in n])
    return [B * rho_i for rho_i in rho]


def _vary(r: list[Number], z: Number, corrects: bool) -> list[Number]:
    """Weights of the differences d_i in the authors' variant vary_coeff, as their code has them.

    d_i = sum_k r_i^{k-1}/k! G_k with G_k = h^k F^(k), so G = A d with A the inverse of that matrix, and the integral is
    h sum_k phi_{k+1} G_k: what the predictor does. The corrector should do it too with the new value among the d_i
    (its exact weights are those of bh1 and bh2). In the code the new value enters one G_k alone, the last but one of A,
    with the weight of the last, and the last G_k lacks all others.
    """
    K = len(r)
    C = [[r_i ** (k - 1) / math.factorial(k) for k in range(1, K + 1)] for r_i in r]
    unit = [[z * 0 + (i == j) for i in range(K)] for j in range(K)]
    A = [solve(C, e) for e in unit]  # A[j][k] is the share of d_j in G_{k+1}
    if not corrects:
        return [sum(phi(k + 2, z) * A[j][k] for k in range(K)) for j in range(K)]
    old = [sum(phi(k + 2, z) * A[j][k] for k in range(K - 1)) for j in range(K - 1)]
    return [*old, phi(K + 1, z) * A[K - 1][max(K - 2, 0)]]


def predictor_corrector(
    x: State,
    path: Path,
    grid: Grid,
    predictor: int,
    corrector: int,
    variant: str,
    predicts: Literal["x0", "noise"],
    eta: Eta = ZERO,
    again: bool = False,
) -> State:
    """Predict through `predictor` values, correct through `corrector` (the new one counted; 0: not at all).

    again: evaluate once more at the corrected state (PECE, two evaluations a step; the last step is corrected too).
    Otherwise the evaluation at the predicted state serves the next step (PEC). Raises UsageError for orders outside 1
    to 6 and unknown variants.
    """
    check_known("variant", variant, VARIANTS)
    past: list[tuple[Number, State]] = []
    F = None
    for s, t in grid.steps:
        if F is None or again or not corrector:
            F = x.predict(predicts, at=s).keep()
        past = [(path.lam(s), F), *past[: max(predictor, corrector) - 1]]
        before = x
        x = unified_step(before, path, s, t, past[:predictor], None, predicts, variant, eta)
        if corrector and (again or t != grid.steps[-1][1]):
            F = x.predict(predicts, at=t).keep()
            alone = corrector == 1  # frozen over the step, as a predictor's only value is
            values, new = ([(path.lam(t), F)], None) if alone else (past[: corrector - 1], F)
            x = unified_step(before, path, s, t, values, new, predicts, variant, eta).keep()
    return x


@solver("unipc-vary-3", order=4, attains=(1, "coefficients"), integrates="x0", family="unipc", cite="zhao2023unipc",
        p=3, variant="vary")  # fmt: skip
@solver("unipc-vary-2", order=3, attains=(1, "coefficients"), integrates="x0", family="unipc", cite="zhao2023unipc",
        p=2, variant="vary")  # fmt: skip
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

    variant: bh1, bh2, or vary, the authors' vary_coeff as their code has it, whose corrector leaves order one (see
    `_vary`). corrector=False is the predictor UniP-p alone, whose order is p.
    """
    if not 1 <= p <= 6:
        raise UsageError(f"unipc: order p must be from 1 to 6, got {p}")
    return predictor_corrector(x, path, grid, p, p + 1 if corrector else 0, variant, predicts)


@solver("sa-solver-pece", order=3, strong=1, integrates="x0", family="sa-solver", cite="xue2023sa", predictor=2,
        corrector=3, again=True)  # fmt: skip
@solver("sa-solver-3", order=4, attains=(3, "start-up"), strong=1, integrates="x0", family="sa-solver",
        cite="xue2023sa", predictor=3, corrector=4)  # fmt: skip
@solver("sa-solver", order=3, strong=1, integrates="x0", family="sa-solver", cite="xue2023sa", predictor=2, corrector=3)
def sa_solver(
    x: State,
    path: Path,
    grid: Grid,
    *,
    predictor: int = 2,
    corrector: int = 3,
    eta: Eta = ONE,
    again: bool = False,
) -> State:
    """SA-Solver: stochastic Adams in lambda, corrector order one more than the predictor's (algorithms 1 and 2).

    The orders are those of the drift; with noise the strong error has a term of order one besides (theorem 5.2). On
    Gaussians it is of size eta h + h^order, that of the variance eta^2 h^2 + h^order. eta: its tau, in the paper a
    constant on an interval of noise levels, eta=1@0.05:1 say, and 0 elsewhere. again: PECE.
    """
    if not (1 <= predictor <= 6 and 0 <= corrector <= 6):
        raise UsageError(
            f"sa-solver: predictor must be 1 to 6, corrector 0 to 6, got predictor={predictor}, corrector={corrector}"
        )
    return predictor_corrector(x, path, grid, predictor, corrector, "bh1", "x0", eta, again)
