"""Adams methods: the prediction is extrapolated by a polynomial through its last values.

Between s and t the state changes by an integral of the prediction F against a known measure. Replace F by the
polynomial in some variable u through its n latest values and integrate that: x_t = ratio x_s + scale sum_j w_j F_j.
With theta = (u - u_s)/(u_t - u_s), the weights are those that integrate 1, theta, ..., theta^{n-1} exactly,

    sum_j w_j theta_j^k = m_k,     m_k the k-th moment of the measure on [0, 1].

    u = sigma~   dx~ = eps dsigma~         m_k = 1/(k + 1)                         rhoAB-DEIS, LMS of k-diffusion
    u = t        dx~ = eps dsigma~         m_k = int theta^k dsigma~ / h           tAB-DEIS (eq. 15)
    u = lambda   exponential (see there)   m_k = k! phi_{k+1}(z)                   exponential Adams-Bashforth (Norsett)

All start at order one and gain one order a step.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, Literal

from solverbench.errors import UsageError
from solverbench.grids import Grid
from solverbench.methods.exponential import linear_part
from solverbench.methods.registry import Shortfall, solver
from solverbench.numbers import Number, exp, gauss_legendre, phi, solve
from solverbench.paths import Path
from solverbench.plans import State

STARTED: tuple[int, Shortfall] = 2, "start-up"
"""What a predictor started at order one attains: its first step costs h^2, once."""


def weights(theta: list[Number], moments: list[Number]) -> list[Number]:
    """w with sum_j w_j theta_j^k = m_k for k < len(theta): exact for polynomials of that degree."""
    return solve([[(th**k if k else th * 0 + 1) for th in theta] for k in range(len(theta))], moments)


def adams_sigma(x: State, path: Path, grid: Grid, order: int, variable: Literal["sigma", "t"]) -> State:
    """Adams-Bashforth on the noise prediction in canonical coordinates, polynomials in sigma~ or in t.

    Raises UsageError for an order outside 1 to 6.
    """
    _check_order(order)
    u = path.sigma_tilde if variable == "sigma" else (lambda t: t)
    past: list[tuple[Number, State]] = []
    for s, t in grid.steps:
        past = [(u(s), x.predict("noise", at=s).keep()), *past[: order - 1]]
        h = path.sigma_tilde(t) - path.sigma_tilde(s)
        theta = [(u_j - u(s)) / (u(t) - u(s)) for u_j, _ in past]
        if variable == "sigma":
            moments = [(h * 0 + 1) / (k + 1) for k in range(len(past))]
        else:
            moments = _moments_in_t(path, s, t, len(past))
        w = weights(theta, moments)
        slope = sum(w_j * eps_j for w_j, (_, eps_j) in zip(w, past, strict=True))
        x = path.alpha(t) * (x / path.alpha(s) + h * slope)
    return x


def _moments_in_t(path: Path, s: Number, t: Number, n: int) -> list[Number]:
    """int theta^k dsigma~ / (sigma~_t - sigma~_s), theta = (tau - s)/(t - s), by Gauss-Legendre in lambda.

    In lambda the measure dsigma~ = -sigma~ dlambda is entire, so 32 nodes reach rounding error for any step in use.
    """
    node, weight = _in_double() if isinstance(t, float) else gauss_legendre(32, t)
    lam_s, lam_t = path.lam(s), path.lam(t)
    lam = [lam_s + (lam_t - lam_s) * (1 + y) / 2 for y in node]
    theta = [(path.inverse_lam(y) - s) / (t - s) for y in lam]
    # relative to the larger end, so that nothing overflows; normalised by the 0th moment, which is 1
    measure = [q * exp(lam_s - y) for q, y in zip(weight, lam, strict=True)]
    mass = sum(measure)
    return [sum(m * th**k for m, th in zip(measure, theta, strict=True)) / mass for k in range(n)]


@cache
def _in_double() -> tuple[list[float], list[float]]:
    return gauss_legendre(32, 0.0)


def adams_lambda(x: State, path: Path, grid: Grid, order: int, predicts: Literal["x0", "noise"]) -> State:
    """Exponential Adams-Bashforth: polynomials in lambda, the linear part exact.

    Raises UsageError for an order outside 1 to 6, or a prediction other than x0 and noise.
    """
    _check_order(order)
    past: list[tuple[Number, State]] = []
    for s, t in grid.steps:
        past = [(path.lam(s), x.predict(predicts, at=s).keep()), *past[: order - 1]]
        h = path.lam(t) - path.lam(s)
        ratio, weight, z = linear_part(path, predicts, s, t)
        w = weights(
            [(lam_j - path.lam(s)) / h for lam_j, _ in past],
            [math.factorial(k) * phi(k + 1, z) for k in range(len(past))],
        )
        x = ratio * x + sum(weight * h * w_j * F_j for w_j, (_, F_j) in zip(w, past, strict=True))
    return x


def _check_order(order: Any) -> None:
    if not 1 <= order <= 6:
        raise UsageError(f"an Adams method needs an order from 1 to 6, got {order}: higher ones amplify every error")


@solver("deis-rhoab3", order=4, attains=STARTED, integrates="noise", family="deis", cite="zhang2023deis", degree=3)
@solver("deis-rhoab2", order=3, attains=STARTED, integrates="noise", family="deis", cite="zhang2023deis", degree=2)
@solver("deis-rhoab1", order=2, integrates="noise", family="deis", cite="zhang2023deis", degree=1)
def deis_rhoab(x: State, path: Path, grid: Grid, *, degree: int = 3) -> State:
    """rhoAB-DEIS: Adams-Bashforth in sigma~ with polynomials of the given degree; k-diffusion's LMS."""
    return adams_sigma(x, path, grid, degree + 1, "sigma")


@solver("deis-tab3", order=4, attains=STARTED, integrates="noise", family="deis", cite="zhang2023deis", degree=3)
@solver("deis-tab2", order=3, attains=STARTED, integrates="noise", family="deis", cite="zhang2023deis", degree=2)
@solver("deis-tab1", order=2, integrates="noise", family="deis", cite="zhang2023deis", degree=1)
def deis_tab(x: State, path: Path, grid: Grid, *, degree: int = 3) -> State:
    """tAB-DEIS: the noise prediction as a polynomial of the given degree in t, integrated in sigma~ (eq. 15)."""
    return adams_sigma(x, path, grid, degree + 1, "t")


@solver("exp-ab3", order=3, attains=STARTED, integrates="x0", family="exponential", cite="hochbruck2010", points=3)
@solver("exp-ab2", order=2, integrates="x0", family="exponential", cite="hochbruck2010", points=2)
def exp_ab(x: State, path: Path, grid: Grid, *, points: int = 2, predicts: Literal["x0", "noise"] = "x0") -> State:
    """Exponential Adams-Bashforth on the data prediction: what DPM-Solver++(nM) is up to its simplifications."""
    return adams_lambda(x, path, grid, points, predicts)


@solver("dpmpp-2m", order=2, integrates="x0", family="dpm-solver++", cite="lu2022dpmpp")
def dpmpp_2m(x: State, path: Path, grid: Grid) -> State:
    """DPM-Solver++(2M): exponential Euler on D extrapolated to the middle of the step (algorithm 2)."""
    D_old, h_old = None, None
    for s, t in grid.steps:
        D = x.predict("x0", at=s).keep()
        h = path.lam(t) - path.lam(s)
        ratio, alpha_t, z = linear_part(path, "x0", s, t)
        D_bar = D
        if D_old is not None:
            r = h_old / h
            D_bar = (1 + 1 / (2 * r)) * D - 1 / (2 * r) * D_old
        x = ratio * x + alpha_t * h * phi(1, z) * D_bar
        D_old, h_old = D, h
    return x


@solver("dpmpp-3m", order=3, attains=(2, "coefficients"), integrates="x0", family="dpm-solver++", cite="lu2022dpmpp")
def dpmpp_3m(x: State, path: Path, grid: Grid) -> State:
    """DPM-Solver++(3M) as published: the authors' code, multistep update of third order.

    With D_1 and D_2 the scaled first and second differences, the exact expansion of the integral is
    h phi_1 D + h phi_2 (h D') + h phi_3 (h^2 D''), and h^2 D'' is twice the second divided difference. The published
    update multiplies phi_3 by D_2, the divided difference itself: half the term, so its order is two. exp-ab3 is the
    method with the whole term.
    """
    past: list[tuple[Number, State]] = []
    for s, t in grid.steps:
        past = [(path.lam(s), x.predict("x0", at=s).keep()), *past[:2]]
        h = path.lam(t) - path.lam(s)
        ratio, alpha_t, z = linear_part(path, "x0", s, t)
        lam, D = [u for u, _ in past], [F for _, F in past]
        correction = D[0] * 0
        if len(past) == 2:
            r0 = (lam[0] - lam[1]) / h
            correction = phi(1, z) / (2 * r0) * (D[0] - D[1])
        elif len(past) == 3:
            r0, r1 = (lam[0] - lam[1]) / h, (lam[1] - lam[2]) / h
            D1_0, D1_1 = (D[0] - D[1]) / r0, (D[1] - D[2]) / r1
            D1 = D1_0 + r0 / (r0 + r1) * (D1_0 - D1_1)
            D2 = (D1_0 - D1_1) / (r0 + r1)
            correction = phi(2, z) * D1 + phi(3, z) * D2
        x = ratio * x + alpha_t * h * (phi(1, z) * D[0] + correction)
    return x
