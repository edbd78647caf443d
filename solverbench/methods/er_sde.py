"""Extended reverse-time SDE solvers: how much noise is drawn at each level is a function, phi(sigma~).

In canonical coordinates, with any phi for which phi/sigma~ does not decrease (Cui et al., section 3), r = phi_t/phi_s,

    x~_t = r x~_s + phi_t int_{sigma_t}^{sigma_s} phi'/phi^2 D dsigma + sqrt(sigma_t^2 - r^2 sigma_s^2) z.

phi = sigma~ is the probability-flow ODE, phi = sigma~^{1 + eta^2} the reverse SDE of strength eta. With D expanded
about sigma_s, D = sum_k D^(k) (sigma - sigma_s)^k/k!, the integral is (1 - r) D + sum_{k >= 1} w_k D^(k) by parts,

    w_k = int_{sigma_t}^{sigma_s} (phi_t/phi(sigma) - 1) (sigma - sigma_s)^{k-1}/(k-1)! dsigma.

The authors sum w_k over 100 or 200 points; here it is a Gauss-Legendre rule in log sigma, between the levels where a
strength in pieces changes: exact to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

from solverbench.errors import UsageError, nearest
from solverbench.eta import Eta
from solverbench.grids import Grid
from solverbench.methods.registry import Shortfall, solver
from solverbench.numbers import Number, exp, gauss_legendre, log, sqrt
from solverbench.paths import Path
from solverbench.plans import State

SCALES: dict[str, Callable[[Number], Number]] = {
    "ode": lambda u: u,
    "sde": lambda u: u * u,
    "sde-1": lambda u: u * (exp(-1 / u) + 10),
    "sde-2": lambda u: u * sqrt(u),
    "sde-3": lambda u: u * u * sqrt(u),
    "sde-4": lambda u: exp(log(u) * 9 / 10) * log(1 + 100 * u * sqrt(u)) / log(u * 0 + 10),
    "sde-5": lambda u: u * (exp(exp(log(u) * 3 / 10)) + 10),
}
"""phi by the names of the authors' code, where sde-5 is the default."""


def scale_of(name: str) -> tuple[Callable[[Number], Number], list[float]]:
    """phi by its name or, from a strength in the spelling of `Eta`, sigma~ exp int eta^2 dlog sigma~; and its edges.

    Raises UsageError for what is neither.
    """
    if name in SCALES:
        return SCALES[name], []
    if not name[:1].isdigit():
        raise UsageError(f"er-sde: unknown scale {name!r}{nearest(name, SCALES)}; or a strength eta: 0.5, 1@0.05:50")
    pieces = Eta.of(name).pieces
    edges = sorted({level for p in pieces for level in (p.low, p.high)})
    return lambda u: u * math.prod(min(max(u, p.low), p.high) ** (p.value * p.value) for p in pieces), edges


EVEN = 1e-13
"""Relative change of phi/sigma~ in a step that is rounding."""
TWO: tuple[int, Shortfall] = 2, "coefficients"


@solver("er-sde-3-newton", order=3, attains=TWO, integrates="x0", family="er-sde", cite="cui2023ersde",
        derivatives=2, interpolate=True,
        reason="er-sde-3 with the first derivative that its second one calls for")  # fmt: skip
@solver("er-sde-3", order=3, attains=TWO, integrates="x0", family="er-sde", cite="cui2023ersde", derivatives=2)
@solver("er-sde-2", order=2, integrates="x0", family="er-sde", cite="cui2023ersde", derivatives=1)
@solver("er-sde-1", order=1, integrates="x0", family="er-sde", cite="cui2023ersde", derivatives=0)
def er_sde(
    x: State, path: Path, grid: Grid, *, derivatives: int = 2, scale: str = "sde-5", interpolate: bool = False
) -> State:
    """ER-SDE-Solver-n, n - 1 = derivatives, by backward differences or, to interpolate, Newton's polynomial.

    scale: phi, one of ode, sde, sde-1 to sde-5, or that of a strength eta, constant or in pieces (scale=0.5@0.05:50).

    As published the first derivative is the last backward difference, D' at sigma_s up to (sigma_s - sigma_1)/2 D'', an
    error of the size of the term the third order adds: er-sde-3 has order two. er-sde-3-newton corrects it; without
    noise (scale=ode) it has order three between its first steps, with noise the variance keeps order two.

    Raises UsageError for more derivatives than two, an unknown scale, and one whose phi/sigma~ decreases in a step.
    """
    if not 0 <= derivatives <= 2:
        raise UsageError(f"er-sde: derivatives must be 0, 1 or 2, got {derivatives}")
    phi, edges = scale_of(scale)
    past: list[tuple[Number, State]] = []
    d_old: State | None = None
    for s, t in grid.steps:
        sigma_s, sigma_t = path.sigma_tilde(s), path.sigma_tilde(t)
        past = [(sigma_s, x.predict("x0", at=s).keep()), *past[:derivatives]]
        r = phi(sigma_t) / phi(sigma_s)
        x_t = r * x / path.alpha(s) + (1 - r) * past[0][1]
        if len(past) > 1:
            (_, D), (sigma_1, D_1) = past[:2]
            d = ((D - D_1) / (sigma_s - sigma_1)).keep()
            terms = [d]  # D' and D''
            if d_old is not None and len(past) > 2:
                dd = 2 * (d - d_old) / (sigma_s - past[2][0])
                terms = [d + (sigma_s - sigma_1) / 2 * dd if interpolate else d, dd]
            weights = _moments(phi, edges, sigma_s, sigma_t, len(terms))
            x_t = x_t + sum(w_k * D_k for w_k, D_k in zip(weights, terms, strict=True))
            d_old = d
        x = path.alpha(t) * x_t
        room = sigma_t / sigma_s - r
        if abs(room) > EVEN * r:  # phi/sigma~ is not constant: not the ODE
            if room < 0:
                raise UsageError(f"er-sde: phi/sigma~ of scale {scale!r} decreases above sigma~ = {float(sigma_t):.3g}")
            x = x + path.alpha(t) * sigma_s * sqrt(room * (sigma_t / sigma_s + r)) * x.noise(s, t)
    return x


def _moments(
    phi: Callable[[Number], Number], edges: list[float], sigma_s: Number, sigma_t: Number, n: int
) -> list[Number]:
    """w_1 .. w_n of the formula above, n <= 2, where (k - 1)! is 1."""
    node, weight = gauss_legendre(32, sigma_t)
    total = [sigma_t * 0] * n
    for low, high in pairwise([sigma_t, *(sigma_t * 0 + e for e in edges if sigma_t < e < sigma_s), sigma_s]):
        half = log(high / low) / 2
        for y, q in zip(node, weight, strict=True):
            sigma = low * exp(half * (1 + y))
            integrand = half * q * sigma * (phi(sigma_t) / phi(sigma) - 1)
            for k in range(n):
                total[k] = total[k] + integrand * (sigma - sigma_s) ** k
    return total
