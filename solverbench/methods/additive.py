"""Stochastic Runge-Kutta methods of strong order 3/2 for additive noise: SRA1 and ShARK.

In canonical coordinates the noise of the reverse SDE is additive and constant in u = sigma~^2 (see `stochastic`). In
the time u_s - u that a step from s to t passes,

    dy = f dt + eta dB,      f = (1 + eta^2)/2 (D - y)/u,      y = x~.

Besides the increment W of eta B over a step of length h these methods use its space-time area H, which is
independent of it: int (B_r - B_s) dr = h (W/2 + H). One draw a step cannot exceed strong order one, since what f
sees of the noise inside the step is that integral.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from solverbench.errors import UsageError, check_known
from solverbench.eta import ONE, Eta
from solverbench.grids import Grid
from solverbench.methods.registry import solver
from solverbench.methods.runge_kutta import ButcherTableau, increment
from solverbench.numbers import sqrt
from solverbench.paths import Path
from solverbench.plans import State


@dataclass(frozen=True)
class AdditiveTableau:
    """Y_i = y + h sum_j a_ij f(Y_j) + c_i W + e_i H, y' = y + h sum_i b_i f(Y_i) + W.

    Strong order 3/2 asks that the stages see the mean over the step of B, W/2 + H, and, on average, that of its square,
    h/2: sum b c = 1/2, sum b e = 1 and sum b (c^2 + e^2/12) = 1/2, since W has variance h and H variance h/12.
    """

    drift: ButcherTableau
    e: tuple[Fraction, ...]

    def __post_init__(self) -> None:
        b, c = self.drift.b, self.drift.c
        means = (
            sum(b_i * c_i for b_i, c_i in zip(b, c, strict=True)),
            sum(b_i * e_i for b_i, e_i in zip(b, self.e, strict=True)),
            sum(b_i * (c_i**2 + e_i**2 / 12) for b_i, c_i, e_i in zip(b, c, self.e, strict=True)),
        )
        if means != (Fraction(1, 2), 1, Fraction(1, 2)):
            raise UsageError(f"a tableau of strong order 3/2 for additive noise has sums 1/2, 1, 1/2, got {means}")


TABLEAUX = {
    "sra1": AdditiveTableau(ButcherTableau.of("; 3/4", "1/3, 2/3"), (Fraction(0), Fraction(3, 2))),
    "shark": AdditiveTableau(ButcherTableau.of("; 5/6", "2/5, 3/5"), (Fraction(1), Fraction(1))),
}


@solver("shark", order=2, strong=1.5, integrates="score", family="sde", cite="foster2022splitting, eq. 6.1",
        tableau="shark", reason="both stages are shifted by the area, so that the path's mean is in them")  # fmt: skip
@solver("sra1", order=2, strong=1.5, integrates="score", family="sde", cite="roessler2010")
def additive_rk(x: State, path: Path, grid: Grid, *, tableau: str = "sra1", eta: Eta = ONE) -> State:
    """Stochastic Runge-Kutta for additive noise, strong order 3/2, on the reverse SDE of strength eta in u = sigma~^2.

    Draws an increment and an area per step. Of strong order two on Gaussians, where f is linear; eta = 0 is a
    Runge-Kutta method of order two in u. Raises UsageError for unknown tableaux.
    """
    check_known("tableau", tableau, TABLEAUX)
    rk, e = TABLEAUX[tableau].drift, TABLEAUX[tableau].e
    for s, t in grid.steps:
        sigma_s, sigma_t = path.sigma_tilde(s), path.sigma_tilde(t)
        h = (sigma_s - sigma_t) * (sigma_s + sigma_t)
        eta_n = eta.over(path, s, t)
        root = eta_n * sqrt(h)  # W = root z and H = root a/sqrt(12)
        z = [x.noise(s, t), x.area(s, t) / sqrt(h * 0 + 12)]
        y = x / path.alpha(s)
        f: list[State] = []
        for c_i, a_i, e_i in zip(rk.c, rk.a, e, strict=True):
            r = path.inverse_sigma_tilde(sqrt(sigma_s * sigma_s - h * c_i.numerator / c_i.denominator)) if c_i else s
            Y = y + increment(a_i, f, h) + increment((c_i, e_i), z, root)
            f.append((1 + eta_n * eta_n) / 2 * path.alpha(r) * (path.alpha(r) * Y).predict("score", at=r))
        x = (path.alpha(t) * (y + increment(rk.b, f, h) + root * z[0])).keep()  # no stage need be at x itself
    return x
