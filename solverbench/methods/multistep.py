"""Adams methods: the slope is extrapolated by a polynomial through its last values.

In a form dy = F du of the equation (`forms`), replace F from s to t by the polynomial in some variable w through its n
latest values and integrate that: y_t = y_s + (u_t - u_s) sum_j w_j F_j. With theta = (w - w_s)/(w_t - w_s) the weights
are those that integrate 1, theta, ..., theta^{n-1} exactly,

    sum_j w_j theta_j^k = m_k,     m_k the mean of theta^k over the step, in u.

    form    variable w   m_k
    SIGMA   sigma~       1/(k + 1)                       rhoAB-DEIS, LMS of k-diffusion
    SIGMA   t            int theta^k dsigma~ / h         tAB-DEIS (eq. 15)
    SIGMA   lambda       k! phi_{k+1}(z)/phi_1(z)        DEIS of diffusers, exponential Adams on the noise
    DATA    lambda       k! phi_{k+1}(z)/phi_1(z)        exponential Adams-Bashforth (Norsett), DPM-Solver++(nM)
    TIME    t            1/(k + 1)                       Adams-Bashforth on the velocity
    angle   lambda       by quadrature                   REAB of azula, DPM-Solver-v3 (`dpm_v3`) for white data
    MIX     u            1/(k + 1)                       vAB of azula

z = -c (lambda_t - lambda_s) where u = e^{c lambda}. All start at order one and gain one order a step.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from solverbench.errors import UsageError
from solverbench.grids import Grid
from solverbench.methods.exponential import linear_part
from solverbench.methods.forms import DATA, MIX, SIGMA, TIME, Form, Variable, angle, lam, time
from solverbench.methods.registry import Shortfall, solver
from solverbench.numbers import Number, gauss_legendre, phi, solve
from solverbench.paths import Path
from solverbench.plans import State

STARTED: tuple[int, Shortfall] = 2, "start-up"
"""What a predictor started at order one attains: its first step costs h^2, once."""


def weights(theta: list[Number], moments: list[Number]) -> list[Number]:
    """w with sum_j w_j theta_j^k = m_k for k < len(theta): exact for polynomials of that degree."""
    return solve([[(th**k if k else th * 0 + 1) for th in theta] for k in range(len(theta))], moments)


def moments(form: Form, w: Variable, path: Path, s: Number, t: Number, n: int) -> list[Number]:
    """Means over the step, in u, of theta^k for k < n, where theta = (w - w_s)/(w_t - w_s)."""
    if w is form.u:
        return [(t * 0 + 1) / (k + 1) for k in range(n)]
    if w is lam and form.rate is not None:
        z = -form.rate * (path.lam(t) - path.lam(s))
        return [math.factorial(k) * phi(k + 1, z) / phi(1, z) for k in range(n)]
    return _by_quadrature(form, w, path, s, t, n)


def _by_quadrature(form: Form, w: Variable, path: Path, s: Number, t: Number, n: int) -> list[Number]:
    """By Gauss-Legendre in lambda, where du is entire or nearly: 32 nodes reach rounding error for any step in use."""
    assert form.density is not None
    node, weight = gauss_legendre(32, t)
    lam_s, lam_t = path.lam(s), path.lam(t)
    at = [lam_s + (lam_t - lam_s) * (1 + y) / 2 for y in node]
    theta = [(w(path, path.inverse_lam(y)) - w(path, s)) / (w(path, t) - w(path, s)) for y in at]
    measure = [q * form.density(y) for q, y in zip(weight, at, strict=True)]
    mass = sum(measure)
    return [sum(m * th**k for m, th in zip(measure, theta, strict=True)) / mass for k in range(n)]


Values = list[tuple[Number, State]]
"""(time, F) of known slopes, latest first."""


def advance(x: State, s: Number, t: Number, path: Path, form: Form, w: Variable, values: Values) -> State:
    """From s to t along the polynomial in w through the values; one of them may be at t, which makes it a corrector."""
    w_s, w_t = w(path, s), w(path, t)
    theta = [(w(path, r) - w_s) / (w_t - w_s) for r, _ in values]
    return along(x, s, t, path, form, weights(theta, moments(form, w, path, s, t, len(values))), values)


def along(x: State, s: Number, t: Number, path: Path, form: Form, w: list[Number], values: Values) -> State:
    """y_t = y_s + (u_t - u_s) sum_j w_j F_j."""
    F = sum(w_j * F_j for w_j, (_, F_j) in zip(w, values, strict=True))
    return form.m(path, t) * (x / form.m(path, s) + (form.u(path, t) - form.u(path, s)) * F)


def adams_bashforth(x: State, path: Path, grid: Grid, points: int, form: Form, w: Variable | None = None) -> State:
    """Polynomials in w (by default u itself) through the latest values. Raises UsageError for points outside 1 to 6."""
    _check_points(points)
    past: Values = []
    for s, t in grid.steps:
        past = [(s, form.slope(x, path, s).keep()), *past[: points - 1]]
        x = advance(x, s, t, path, form, w or form.u, past)
    return x


def adams_moulton(x: State, path: Path, grid: Grid, points: int, form: Form, w: Variable | None = None) -> State:
    """Predict through the latest values, evaluate, correct with the new value in place of the oldest, evaluate (PECE).

    Raises UsageError for points outside 1 to 6.
    """
    _check_points(points)
    past: Values = []
    for s, t in grid.steps:
        past = [(s, form.slope(x, path, s).keep()), *past[: points - 1]]
        predicted = advance(x, s, t, path, form, w or form.u, past)
        new = t, form.slope(predicted, path, t)
        x = advance(x, s, t, path, form, w or form.u, [new, *past[: max(points - 1, 1)]])
    return x


def _check_points(points: Any) -> None:
    if not 1 <= points <= 6:
        raise UsageError(f"an Adams method needs an order from 1 to 6, got {points}: higher ones amplify every error")


@solver("ab4", order=4, attains=STARTED, integrates="velocity", family="adams", cite="hairer1993", points=4)
@solver("ab3", order=3, attains=STARTED, integrates="velocity", family="adams", cite="hairer1993", points=3)
@solver("ab2", order=2, integrates="velocity", family="adams", cite="hairer1993", points=2)
def ab(x: State, path: Path, grid: Grid, *, points: int = 2) -> State:
    """Adams-Bashforth in t on the velocity."""
    return adams_bashforth(x, path, grid, points, TIME)


@solver("abm4", order=4, attains=(3, "start-up"), integrates="velocity", family="adams", cite="hairer1993", points=4)
@solver("abm3", order=3, integrates="velocity", family="adams", cite="hairer1993", points=3)
@solver("abm2", order=2, integrates="velocity", family="adams", cite="hairer1993", points=2)
def abm(x: State, path: Path, grid: Grid, *, points: int = 2) -> State:
    """Adams-Bashforth-Moulton in t on the velocity: predict, evaluate, correct, evaluate."""
    return adams_moulton(x, path, grid, points, TIME)


@solver("deis-rhoab3", order=4, attains=STARTED, integrates="noise", family="deis", cite="zhang2023deis", degree=3)
@solver("deis-rhoab2", order=3, attains=STARTED, integrates="noise", family="deis", cite="zhang2023deis", degree=2)
@solver("deis-rhoab1", order=2, integrates="noise", family="deis", cite="zhang2023deis", degree=1)
def deis_rhoab(x: State, path: Path, grid: Grid, *, degree: int = 3) -> State:
    """rhoAB-DEIS: Adams-Bashforth in sigma~ with polynomials of the given degree; k-diffusion's LMS."""
    return adams_bashforth(x, path, grid, degree + 1, SIGMA)


solver("lms", order=4, attains=STARTED, integrates="noise", family="deis", cite="crowson2022kdiffusion", degree=3,
       reason="k-diffusion's linear multistep method of order four is rhoAB3")(deis_rhoab)  # fmt: skip


@solver("deis-tab3", order=4, attains=STARTED, integrates="noise", family="deis", cite="zhang2023deis", degree=3)
@solver("deis-tab2", order=3, attains=STARTED, integrates="noise", family="deis", cite="zhang2023deis", degree=2)
@solver("deis-tab1", order=2, integrates="noise", family="deis", cite="zhang2023deis", degree=1)
def deis_tab(x: State, path: Path, grid: Grid, *, degree: int = 3) -> State:
    """tAB-DEIS: the noise prediction as a polynomial of the given degree in t, integrated in sigma~ (eq. 15)."""
    return adams_bashforth(x, path, grid, degree + 1, SIGMA, time)


@solver("exp-ab4", order=4, attains=STARTED, integrates="x0", family="exponential", cite="hochbruck2010", points=4)
@solver("exp-ab3", order=3, attains=STARTED, integrates="x0", family="exponential", cite="hochbruck2010", points=3)
@solver("exp-ab2", order=2, integrates="x0", family="exponential", cite="hochbruck2010", points=2)
def exp_ab(x: State, path: Path, grid: Grid, *, points: int = 2, predicts: Literal["x0", "noise"] = "x0") -> State:
    """Exponential Adams-Bashforth in lambda: what DPM-Solver++(nM) is up to its simplifications."""
    return adams_bashforth(x, path, grid, points, _exponential(predicts), lam)


@solver("exp-abm3", order=3, integrates="x0", family="exponential", cite="hochbruck2010", points=3)
@solver("exp-abm2", order=2, integrates="x0", family="exponential", cite="hochbruck2010", points=2)
def exp_abm(x: State, path: Path, grid: Grid, *, points: int = 2, predicts: Literal["x0", "noise"] = "x0") -> State:
    """Exponential Adams-Bashforth-Moulton in lambda: predict, evaluate, correct, evaluate."""
    return adams_moulton(x, path, grid, points, _exponential(predicts), lam)


def _exponential(predicts: Any) -> Form:
    if predicts not in ("x0", "noise"):
        raise UsageError(f"an exponential integrator predicts 'x0' or 'noise', not {predicts!r}")
    return DATA if predicts == "x0" else SIGMA


solver("deis-logrho3", order=3, attains=STARTED, integrates="noise", family="deis", cite="diffusers2022", points=3,
       predicts="noise", reason="the DEIS of diffusers has polynomials in log sigma~: exponential Adams on the noise")(
    exp_ab
)  # fmt: skip
solver("deis-logrho2", order=2, integrates="noise", family="deis", cite="diffusers2022", points=2, predicts="noise",
       reason="as deis-logrho3, two values")(exp_ab)  # fmt: skip
solver("res-3m", order=3, attains=STARTED, integrates="x0", family="exponential", cite="zhang2023res", points=3,
       reason="RES with three values is exponential Adams-Bashforth")(exp_ab)  # fmt: skip
solver("res-2m", order=2, integrates="x0", family="exponential", cite="zhang2023res", points=2,
       reason="RES with two values is exponential Adams-Bashforth")(exp_ab)  # fmt: skip


@solver("reab3", order=3, attains=STARTED, integrates="v", family="adams", cite="rozet2024azula", points=3)
@solver("reab2", order=2, integrates="v", family="adams", cite="rozet2024azula", points=2)
def reab(x: State, path: Path, grid: Grid, *, points: int = 2, scale: float = 1.0) -> State:
    """Adams-Bashforth on the rotated variable: polynomials in lambda, integrated along the angle arctan(sigma~/scale).

    The linear part of DPM-Solver-v3 (arXiv 2310.13268, eq. 5), l = sigma~^2/(scale^2 + sigma~^2), is that of data of
    deviation `scale` rather than measured: N(0, scale^2) is followed exactly. Raises UsageError for scale <= 0.
    """
    if not scale > 0:
        raise UsageError(f"reab: scale must be positive, got {scale}")
    return adams_bashforth(x, path, grid, points, angle(scale), lam)


@solver("vab3", order=3, attains=STARTED, integrates="velocity", family="adams", cite="rozet2024azula", points=3)
@solver("vab2", order=2, integrates="velocity", family="adams", cite="rozet2024azula", points=2)
def vab(x: State, path: Path, grid: Grid, *, points: int = 2) -> State:
    """Adams-Bashforth on noise - x0, the rectified path's velocity, whatever the path is."""
    return adams_bashforth(x, path, grid, points, MIX)


@solver("dpm-2m", order=2, integrates="noise", family="dpm-solver", cite="lu2022dpmpp", predicts="noise")
@solver("dpmpp-2m", order=2, integrates="x0", family="dpm-solver++", cite="lu2022dpmpp")
def dpmpp_2m(x: State, path: Path, grid: Grid, *, predicts: Literal["x0", "noise"] = "x0") -> State:
    """DPM-Solver++(2M): exponential Euler on D extrapolated to the middle of the step (algorithm 2)."""
    form = _exponential(predicts)
    past: Values = []
    for s, t in grid.steps:
        past = [(s, form.slope(x, path, s).keep()), *past[:1]]
        w = [t * 0 + 1]
        if len(past) == 2:
            r = (path.lam(s) - path.lam(past[1][0])) / (path.lam(t) - path.lam(s))
            w = [1 + 1 / (2 * r), -1 / (2 * r)]
        x = along(x, s, t, path, form, w, past)
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
        ratio, alpha_t, z, _ = linear_part(path, "x0", s, t)
        lam_past, D = [u for u, _ in past], [F for _, F in past]
        correction = D[0] * 0
        if len(past) == 2:
            r0 = (lam_past[0] - lam_past[1]) / h
            correction = phi(1, z) / (2 * r0) * (D[0] - D[1])
        elif len(past) == 3:
            r0, r1 = (lam_past[0] - lam_past[1]) / h, (lam_past[1] - lam_past[2]) / h
            D1_0, D1_1 = (D[0] - D[1]) / r0, (D[1] - D[2]) / r1
            D1 = D1_0 + r0 / (r0 + r1) * (D1_0 - D1_1)
            D2 = (D1_0 - D1_1) / (r0 + r1)
            correction = phi(2, z) * D1 + phi(3, z) * D2
        x = ratio * x + alpha_t * h * (phi(1, z) * D[0] + correction)
    return x
