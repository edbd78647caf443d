"""PNDM and what became of it: Adams-Bashforth in sigma~ by coefficients of even steps, and attempts at uneven ones."""

from __future__ import annotations

from itertools import pairwise

from solverbench.errors import UsageError
from solverbench.grids import Grid
from solverbench.methods.forms import SIGMA
from solverbench.methods.multistep import Values, along
from solverbench.methods.registry import Shortfall, solver
from solverbench.numbers import Number
from solverbench.paths import Path
from solverbench.plans import State

EVEN = {1: (24,), 2: (36, -12), 3: (46, -32, 10), 4: (55, -59, 37, -9)}
"""Adams-Bashforth coefficients of even steps times 24, latest first."""
UNFIT: tuple[int, Shortfall] = 1, "coefficients"
"""What they attain on steps that are not even."""


def ddim_step(x: State, path: Path, s: Number, t: Number, eps: State) -> State:
    """x_t = alpha_t (x_s/alpha_s + (sigma~_t - sigma~_s) eps): DDIM's, whatever slope it is given."""
    return path.alpha(t) * (x / path.alpha(s) + (path.sigma_tilde(t) - path.sigma_tilde(s)) * eps)


@solver("ipndm4", order=4, attains=UNFIT, integrates="noise", family="pndm", cite="zhang2023deis", points=4)
@solver("ipndm3", order=3, attains=UNFIT, integrates="noise", family="pndm", cite="zhang2023deis", points=3)
@solver("ipndm2", order=2, attains=UNFIT, integrates="noise", family="pndm", cite="zhang2023deis", points=2)
def ipndm(x: State, path: Path, grid: Grid, *, points: int = 4) -> State:
    """iPNDM: the coefficients of even steps from the first step on (Zhang & Chen 2023, appendix H.2).

    Steps even in sigma~ are not in use. On others the slope is extrapolated too far or not far enough, by a share of
    the step: order one, and two where the ratio of steps tends to one. deis-rhoab has the coefficients of its steps.
    """
    if points not in EVEN:
        raise UsageError(f"ipndm: points must be from 1 to 4, got {points}")
    past: Values = []
    for s, t in grid.steps:
        past = [(s, x.predict("noise", at=s).keep()), *past[: points - 1]]
        w = [(t * 0 + c) / 24 for c in EVEN[len(past)]]
        x = along(x, s, t, path, SIGMA, w, past)
    return x


@solver("ipndm-v4", order=4, attains=(0, "coefficients"), integrates="noise", family="pndm", cite="zhou2024amed",
        points=4)  # fmt: skip
@solver("ipndm-v3", order=3, attains=(2, "coefficients"), integrates="noise", family="pndm", cite="zhou2024amed",
        points=3)  # fmt: skip
@solver("ipndm-v2", order=2, integrates="noise", family="pndm", cite="zhou2024amed", points=2)
def ipndm_v(x: State, path: Path, grid: Grid, *, points: int = 4) -> State:
    """iPNDM_v as published (diff-sampler, `ipndm_v_sampler`): coefficients meant for the steps that are taken.

    Those of two values are right. In those of three a parenthesis closes late: the ratio of products of steps
    multiplies a part of the second difference's weight instead of the whole. In those of four, besides, a sign in the
    third difference's weight is + where - belongs, wrong on even steps too, and the oldest value has h_1/h_2 where
    h_2/h_3 belongs, so the coefficients do not sum to one: on uneven steps it does not converge. With these three
    mended they are deis-rhoab1, 2 and 3.
    """
    if points not in EVEN:
        raise UsageError(f"ipndm-v: points must be from 1 to 4, got {points}")
    past: Values = []
    for s, t in grid.steps:
        past = [(s, x.predict("noise", at=s).keep()), *past[: points - 1]]
        times = [t, *(r for r, _ in past)]
        h = [path.sigma_tilde(a) - path.sigma_tilde(b) for a, b in pairwise(times)]
        x = along(x, s, t, path, SIGMA, _uneven(h), past)
    return x


def _uneven(h: list[Number]) -> list[Number]:
    """The published coefficients for a step h[0] after steps h[1], h[2], ...; latest value first."""
    w = [h[0] * 0 + 1]
    if len(h) == 1:
        return w
    r = h[0] / h[1]
    w = [1 + r / 2, -r / 2]
    if len(h) == 2:
        return w
    second = (1 - h[0] / (3 * (h[0] + h[1])) * _products(h, 2)) / 2
    r = h[1] / h[2]
    w = [w[0] + second, w[1] - (1 + r) * second, r * second]
    if len(h) == 3:
        return w
    near, mid = 1 - h[0] / (3 * (h[0] + h[1])), 1 - h[0] / (2 * (h[0] + h[1]))
    third = (near / 2 + mid * h[0] / (6 * (h[0] + h[1] + h[2]))) * _products(h, 3)
    q = h[1] * (h[1] + h[2]) / (h[2] * (h[2] + h[3]))
    return [
        w[0] + third,
        w[1] - (1 + r + q) * third,
        w[2] + (r + q * (1 + h[2] / h[3])) * third,
        -third * q * r,
    ]


def _products(h: list[Number], n: int) -> Number:
    """h_0 (h_0 + h_1) ... over h_1 (h_1 + h_2) ..., n factors each."""
    ratio = h[0] * 0 + 1
    for i in range(n):
        ratio = ratio * sum(h[: i + 1]) / sum(h[1 : i + 2])
    return ratio


@solver("pndm", order=2, attains=UNFIT, integrates="noise", family="pndm", cite="liu2022pndm")
def pndm(x: State, path: Path, grid: Grid) -> State:
    """F-PNDM: three pseudo Runge-Kutta steps, then the coefficients of even steps (algorithm 2; order by theorem 1).

    The middle of a step is its middle in t. For even steps in t; the rest is as for ipndm.
    """
    past: Values = []
    for s, t in grid.steps:
        F = x.predict("noise", at=s).keep()
        if len(past) < 3:
            middle = (s + t) / 2
            F_2 = ddim_step(x, path, s, middle, F).predict("noise", at=middle)
            F_3 = ddim_step(x, path, s, middle, F_2).predict("noise", at=middle)
            F_4 = ddim_step(x, path, s, t, F_3).predict("noise", at=t)
            past = [(s, F), *past]
            x = ddim_step(x, path, s, t, (F + 2 * F_2 + 2 * F_3 + F_4) / 6)
        else:
            past = [(s, F), *past[:3]]
            x = along(x, s, t, path, SIGMA, [(t * 0 + c) / 24 for c in EVEN[4]], past)
    return x
