"""Exponential Runge-Kutta methods: ETD, the singlestep DPM-Solver and DPM-Solver++, and SEEDS.

In lambda = log(alpha/sigma) the reverse process of strength eta (see `stochastic`; eta = 0 is its ODE) is semilinear in
either of two predictions. With h = lambda_t - lambda_s and z_n standard normal, variation of constants gives

    x_t = ratio x_s + weight int_0^h e^{(z/h)(h - tau)} F(lambda_s + tau) dtau + spread z_n

    F = x0:     ratio = sigma_t/sigma_s e^{-eta^2 h}   weight =  (1 + eta^2) alpha_t   z = -(1 + eta^2) h
                spread = sigma_t sqrt(1 - e^{-2 eta^2 h})
    F = noise:  ratio = alpha_t/alpha_s                weight = -(1 + eta^2) sigma_t   z = h
                spread = eta sigma_t sqrt(e^{2h} - 1)

(DPM-Solver, eq. 3.4; DPM-Solver++, eq. 8, and its SDE solvers.) So the linear part is exact and a constant F gives
x_t = ratio x_s + weight h phi_1(z) F, exponential Euler, which without noise is DDIM in both. A method of higher order
is a tableau whose entries are combinations of phi_1, phi_2, ... (Hochbruck & Ostermann 2010, section 2), mostly
phi_k(c_i z) in stage i.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from solverbench.errors import UsageError, check_known
from solverbench.eta import ZERO, Eta
from solverbench.grids import Grid
from solverbench.methods.registry import solver
from solverbench.numbers import Number, exp, expm1, phi, sqrt
from solverbench.paths import Path
from solverbench.plans import State

Predicts: TypeAlias = Literal["x0", "noise"]
Phi: TypeAlias = int | tuple[int, Fraction]
"""k is phi_k(c_i z) in row i, (k, c) is phi_k(c z)."""
Weights: TypeAlias = Mapping[Phi, Fraction]
"""{function: w} stands for the sum of w * function."""


def linear_part(
    path: Path, predicts: Predicts, s: Number, t: Number, eta: float = 0.0
) -> tuple[Number, Number, Number, Number]:
    """(ratio, weight, z, spread) of the formulas above from s to t. Raises UsageError for other predictions."""
    h, strength = path.lam(t) - path.lam(s), eta * eta
    match predicts:
        case "x0":
            ratio, weight, z = path.sigma(t) / path.sigma(s), path.alpha(t), -h
            if not eta:
                return ratio, weight, z, h * 0
            spread = path.sigma(t) * sqrt(-expm1(-2 * strength * h))
            return ratio * exp(-strength * h), (1 + strength) * weight, (1 + strength) * z, spread
        case "noise":
            spread = eta * path.sigma(t) * sqrt(expm1(2 * h)) if eta else h * 0
            return path.alpha(t) / path.alpha(s), -(1 + strength) * path.sigma(t), h, spread
    raise UsageError(f"an exponential integrator predicts 'x0' or 'noise', not {predicts!r}")


@dataclass(frozen=True)
class ExponentialTableau:
    """x_i = ratio x + weight h sum_j a_ij F_j at lambda_s + c_i h; x' = ratio x + weight h sum_i b_i F_i.

    ratio and weight are those of the way to c_i h; h and z those of the whole step.
    """

    c: tuple[Fraction, ...]
    a: tuple[tuple[Weights, ...], ...]
    b: tuple[Weights, ...]

    def __post_init__(self) -> None:
        if [len(row) for row in self.a] != list(range(len(self.c))) or len(self.b) != len(self.c):
            raise UsageError("an explicit tableau has a strictly lower triangular a and as many b as c")
        for row, c in zip((*self.a, self.b), (*self.c, Fraction(1)), strict=True):
            # a constant F must be integrated exactly: every row sums to c phi_1
            total: Counter[Phi] = Counter()
            for entry in row:
                for function, weight in entry.items():
                    total[function] += weight  # type: ignore[assignment]  # Counter of fractions
            if {f: w for f, w in total.items() if w} != ({1: c} if c else {}):
                raise UsageError(f"a row of an exponential tableau must sum to c phi_1, got {dict(total)}")


def exponential_rk(
    x: State, path: Path, grid: Grid, *, tableau: str = "euler", predicts: Predicts = "x0", eta: Eta = ZERO
) -> State:
    """Step a tableau of phi functions over the grid, on the reverse process of strength eta (0: its ODE).

    The noise of [s, t] is that of [s, u], times the ratio from u to t, plus that of [u, t]: all stages are on one path
    of the process. Raises UsageError for unknown tableaux and predictions.
    """
    check_known("tableau", tableau, TABLEAUX)
    for s, t in grid.steps:
        (x,) = step(x, path, s, t, TABLEAUX[tableau], predicts, eta.over(path, s, t))
    return x


def step(
    x: State,
    path: Path,
    s: Number,
    t: Number,
    table: ExponentialTableau,
    predicts: Predicts,
    eta: float = 0.0,
    *others: tuple[Weights, ...],
) -> list[State]:
    """The state at t by the weights b of a tableau, and by those of other rows for the same stages."""
    h = path.lam(t) - path.lam(s)
    F, ends = [x.predict(predicts, at=s)], []
    N: State | int = 0  # noise of [s, r]
    r = s
    ones = [Fraction(1)] * (1 + len(others))
    for c, row in zip((*table.c[1:], *ones), (*table.a[1:], table.b, *others), strict=True):
        u = t if c == 1 else path.inverse_lam(path.lam(s) + h * c.numerator / c.denominator)
        if eta and u != r:
            ratio, _, _, spread = linear_part(path, predicts, r, u, eta)
            N, r = ratio * N + spread * x.noise(r, u), u
        ratio, weight, z, _ = linear_part(path, predicts, s, u, eta)
        x_u = ratio * x + N
        for entry, F_j in zip(row, F, strict=True):
            if entry:
                terms = (_value(f, z, c) * w.numerator / w.denominator for f, w in entry.items())
                x_u = x_u + weight * h * sum(terms) * F_j
        if len(F) < len(table.c):
            F.append(x_u.predict(predicts, at=u))
        else:
            ends.append(x_u)
    return ends


def _value(function: Phi, z: Number, c: Fraction) -> Number:
    """A function of phi's in a row whose own argument is z, at c of the step."""
    if isinstance(function, int):
        return phi(function, z)
    k, other = function
    q = other / c
    return phi(k, z * q.numerator / q.denominator)


def _phi(**weights: str) -> Weights:
    """_phi(p1="1", p2="-1/2") is phi_1 - phi_2/2 of the row's own argument; p2_of_1 is phi_2(z)."""
    names = {name: name[1:].split("_of_") for name in weights}
    keys = {n: int(k) if not of else (int(k), Fraction(of[0])) for n, (k, *of) in names.items()}
    return {keys[name]: Fraction(w) for name, w in weights.items()}


def _tableau(c: str, a: tuple[tuple[Weights, ...], ...], b: tuple[Weights, ...]) -> ExponentialTableau:
    return ExponentialTableau(tuple(map(Fraction, c.split())), a, b)


NONE = _phi()
EXP_EULER = _tableau("0", ((),), (_phi(p1="1"),))
ETD2RK = _tableau("0 1", ((), (_phi(p1="1"),)), (_phi(p1="1", p2="-1"), _phi(p2="1")))
RES2 = _tableau("0 1/2", ((), (_phi(p1="1/2"),)), (_phi(p1="1", p2="-2"), _phi(p2="2")))
ETD3RK = _tableau(
    "0 1/2 1",
    ((), (_phi(p1="1/2"),), (_phi(p1="-1"), _phi(p1="2"))),
    (_phi(p1="1", p2="-3", p3="4"), _phi(p2="4", p3="-8"), _phi(p2="-1", p3="4")),
)
# DPM-Solver-2 puts phi_1/2 where the order condition has phi_2: equal up to O(h), which suffices for order two
DPM2 = _tableau("0 1/2", ((), (_phi(p1="1/2"),)), (NONE, _phi(p1="1")))
DPM3 = _tableau(
    "0 1/3 2/3",
    ((), (_phi(p1="1/3"),), (_phi(p1="2/3", p2="-4/3"), _phi(p2="4/3"))),
    (_phi(p1="1", p2="-3/2"), NONE, _phi(p2="3/2")),
)
_HALF, _SIMPSON = _phi(p1="1/2"), _phi(p1="1", p2="-3", p3="4")
KROGSTAD4 = _tableau(
    "0 1/2 1/2 1",
    ((), (_HALF,), (_phi(p1="1/2", p2="-1"), _phi(p2="1")), (_phi(p1="1", p2="-2"), NONE, _phi(p2="2"))),
    (_SIMPSON, _phi(p2="2", p3="-4"), _phi(p2="2", p3="-4"), _phi(p2="-1", p3="4")),
)
STREHMEL_WEINER4 = _tableau(
    "0 1/2 1/2 1",
    (
        (),
        (_HALF,),
        (_phi(p1="1/2", p2="-1/2"), _phi(p2="1/2")),
        (_phi(p1="1", p2="-2"), _phi(p2="-2"), _phi(p2="4")),
    ),
    (_SIMPSON, NONE, _phi(p2="4", p3="-8"), _phi(p2="-1", p3="4")),
)
_A52 = _phi(p2="1/2", p3_of_1="-1", p2_of_1="1/4", p3="-1/2")
HOCHBRUCK_OSTERMANN4 = _tableau(
    "0 1/2 1/2 1 1/2",
    (
        (),
        (_HALF,),
        (_phi(p1="1/2", p2="-1"), _phi(p2="1")),
        (_phi(p1="1", p2="-2"), _phi(p2="1"), _phi(p2="1")),
        (
            _phi(p1="1/2", p2="-3/4", p3_of_1="1", p2_of_1="-1/4", p3="1/2"),
            _A52,
            _A52,
            _phi(p2="-1/4", p3_of_1="1", p2_of_1="-1/4", p3="1/2"),
        ),
    ),
    (_SIMPSON, NONE, NONE, _phi(p2="-1", p3="4"), _phi(p2="4", p3="-8")),
)


TABLEAUX = {
    "euler": EXP_EULER,
    "etd2": ETD2RK,
    "res2": RES2,
    "midpoint": DPM2,
    "etd3": ETD3RK,
    "dpm3": DPM3,
    "krogstad4": KROGSTAD4,
    "strehmel-weiner4": STREHMEL_WEINER4,
    "hochbruck-ostermann4": HOCHBRUCK_OSTERMANN4,
}


def _named(name: str, order: int, tableau: str, cite: str, reason: str, predicts: Predicts = "x0", **more: Any) -> None:
    family = "exponential" if not name.startswith(("dpm", "seeds")) else name.partition("-")[0]
    solver(name, order=order, integrates=predicts, family=_FAMILIES.get(family, family), cite=cite, reason=reason,
           tableau=tableau, predicts=predicts, **more)(exponential_rk)  # fmt: skip


COMFYUI = "comfyui, comfy/k_diffusion/sampling.py"
_FAMILIES = {"dpm": "dpm-solver", "dpmpp": "dpm-solver++"}

_named("exp-euler", 1, "euler", "hochbruck2010", "the prediction frozen: the same method as ddim with eta = 0")
_named("exp-rk2", 2, "etd2", "cox2002etd", "ETD2RK: an Euler step, then the slope between both ends (eq. 22)")
_named("res-2s", 2, "res2", "zhang2023res", "c_2 = 1/2: dpmpp-2s with phi_2 where that has phi_1/2")
_named("exp-rk3", 3, "etd3", "cox2002etd", "ETD3RK: stages at 0, 1/2 and 1, as Kutta's rule of order three (eq. 23-25)")
_named("exp-rk4-krogstad", 4, "krogstad4", "krogstad2005", "ETDRK4-B: four stages")
_named("exp-rk4-sw", 4, "strehmel-weiner4", "hochbruck2010", "four stages, of Strehmel & Weiner (section 2)")
_named("exp-rk4-ho", 4, "hochbruck-ostermann4", "hochbruck2010", "five stages, of order four however stiff (section 2)")
_named("dpm-1", 1, "euler", "lu2022dpm", "exponential Euler on the noise prediction (eq. 3.7)", "noise")
_named("dpmpp-1", 1, "euler", "lu2022dpmpp", "exponential Euler on the data prediction")
_named("dpm-2", 2, "midpoint", "lu2022dpm", "the exponential midpoint rule, r_1 = 1/2 (algorithm 1)", "noise")
_named("dpmpp-2s", 2, "midpoint", "lu2022dpmpp", "the exponential midpoint rule on the data prediction (algorithm 1)")
_named("dpm-3", 3, "dpm3", "lu2022dpm", "stages at 0, 1/3, 2/3 (algorithm 2): Hochbruck & Ostermann 2005, eq. 5.8",
       "noise")  # fmt: skip
_named("dpmpp-3s", 3, "dpm3", "lu2022dpmpp", "the stages of dpm-3 on the data prediction")
_named("seeds-1", 1, "euler", "gonzalez2023seeds", "DPM-Solver++(1) on the reverse process", eta=1.0, strong=1, weak=1)
_named("seeds-2", 2, "midpoint", "gonzalez2023seeds", "DPM-Solver-2's stages on the reverse process, r = 1/2; "
       "the order is the drift's, with noise the paper proves one", eta=1.0, weak=1)  # fmt: skip
_named("seeds-3", 3, "dpm3", "gonzalez2023seeds", "DPM-Solver-3's stages on the reverse process; the order is "
       "the drift's, with noise the paper proves one, and the variance on Gaussians has two",
       eta=1.0, weak=1)  # fmt: skip
_named("exp-heun-2-x0", 2, "etd2", COMFYUI, "ComfyUI's name for ETD2RK on the data prediction")
_named("exp-heun-2-x0-sde", 2, "etd2", COMFYUI, "SEEDS-2 with its stage at the end of the step, and phi_2", eta=1.0)
