"""Exponential Runge-Kutta methods: ETD, and the singlestep DPM-Solver and DPM-Solver++.

In lambda = log(alpha/sigma) the probability-flow ODE is semilinear in either of two predictions. With
h = lambda_t - lambda_s and z = -h (data prediction) or z = +h (noise prediction), variation of constants gives

    x_t = ratio x_s + weight int_0^h e^{(z/h)(h - tau)} F(lambda_s + tau) dtau                  (DPM-Solver, eq. 3.4;
                                                                                                 DPM-Solver++, eq. 8)
    F = x0:     ratio = sigma_t/sigma_s    weight =  alpha_t    z = -h
    F = noise:  ratio = alpha_t/alpha_s    weight = -sigma_t    z = +h

so the linear part is exact and a constant F gives x_t = ratio x_s + weight h phi_1(z) F, exponential Euler, which is
DDIM in both predictions. A method of higher order is a tableau whose entries are combinations of phi_1, phi_2, ...
(Hochbruck & Ostermann 2010, eq. 2.35), mostly phi_k(c_i z) in stage i.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

from solverbench.errors import UsageError
from solverbench.grids import Grid
from solverbench.methods.registry import solver
from solverbench.numbers import Number, phi
from solverbench.paths import Path
from solverbench.plans import State

Phi: TypeAlias = int | tuple[int, Fraction]
"""k is phi_k(c_i z) in row i, (k, c) is phi_k(c z)."""
Weights: TypeAlias = Mapping[Phi, Fraction]
"""{phi: w} stands for the sum of w * phi."""


def linear_part(path: Path, predicts: Literal["x0", "noise"], s: Number, t: Number) -> tuple[Number, Number, Number]:
    """(ratio, weight, z) of the variation-of-constants formula from s to t. Raises UsageError for other predictions."""
    h = path.lam(t) - path.lam(s)
    match predicts:
        case "x0":
            return path.sigma(t) / path.sigma(s), path.alpha(t), -h
        case "noise":
            return path.alpha(t) / path.alpha(s), -path.sigma(t), h
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
    x: State, path: Path, grid: Grid, tableau: ExponentialTableau, predicts: Literal["x0", "noise"]
) -> State:
    """Step a tableau of phi functions over the grid."""
    for s, t in grid.steps:
        x = combine(x, path, predicts, s, t, tableau.b, stages(x, path, s, t, tableau, predicts))
    return x


def stages(
    x: State, path: Path, s: Number, t: Number, tableau: ExponentialTableau, predicts: Literal["x0", "noise"]
) -> list[State]:
    """The predictions F of one step from s to t."""
    h = path.lam(t) - path.lam(s)
    F: list[State] = []
    for c, row in zip(tableau.c, tableau.a, strict=True):
        u = s if c == 0 else t if c == 1 else path.inverse_lam(path.lam(s) + h * c.numerator / c.denominator)
        F.append((x if c == 0 else _combine(x, path, predicts, s, u, h, c, row, F)).predict(predicts, at=u))
    return F


def combine(
    x: State, path: Path, predicts: Literal["x0", "noise"], s: Number, t: Number, b: tuple[Weights, ...], F: list[State]
) -> State:
    """The state at t that weights b make of the predictions of a step from s."""
    return _combine(x, path, predicts, s, t, path.lam(t) - path.lam(s), Fraction(1), b, F)


def _combine(
    x: State,
    path: Path,
    predicts: Literal["x0", "noise"],
    s: Number,
    u: Number,
    h: Number,
    c: Fraction,
    row: tuple[Weights, ...],
    F: list[State],
) -> State:
    ratio, weight, z = linear_part(path, predicts, s, u)
    total = ratio * x
    for entry, F_j in zip(row, F, strict=True):
        if entry:
            terms = (value(function, z, c) * w.numerator / w.denominator for function, w in entry.items())
            total = total + weight * h * sum(terms) * F_j
    return total


def value(function: Phi, z: Number, c: Fraction) -> Number:
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


@solver("exp-euler", order=1, integrates="x0", family="exponential", cite="hochbruck2010")
def exp_euler(x: State, path: Path, grid: Grid, *, predicts: Literal["x0", "noise"] = "x0") -> State:
    """Exponential Euler: the linear part exactly, the prediction frozen. The same method as ddim with eta = 0."""
    return exponential_rk(x, path, grid, EXP_EULER, predicts)


@solver("exp-rk2", order=2, integrates="x0", family="exponential", cite="cox2002etd")
def exp_rk2(x: State, path: Path, grid: Grid, *, predicts: Literal["x0", "noise"] = "x0") -> State:
    """ETD2RK: an exponential Euler step, then the prediction's slope between both ends (Cox & Matthews, eq. 22)."""
    return exponential_rk(x, path, grid, ETD2RK, predicts)


@solver("res-2s", order=2, integrates="x0", family="exponential", cite="zhang2023res")
def res_2s(x: State, path: Path, grid: Grid, *, predicts: Literal["x0", "noise"] = "x0") -> State:
    """RES of two stages, c_2 = 1/2: dpmpp-2s with phi_2 where that has phi_1/2 (Zhang et al. 2023)."""
    return exponential_rk(x, path, grid, RES2, predicts)


@solver("exp-rk3", order=3, integrates="x0", family="exponential", cite="cox2002etd")
def exp_rk3(x: State, path: Path, grid: Grid, *, predicts: Literal["x0", "noise"] = "x0") -> State:
    """ETD3RK: stages at 0, 1/2 and 1, the relative of Kutta's third-order rule (Cox & Matthews, eq. 23-25)."""
    return exponential_rk(x, path, grid, ETD3RK, predicts)


@solver("exp-rk4-krogstad", order=4, integrates="x0", family="exponential", cite="krogstad2005")
def exp_rk4_krogstad(x: State, path: Path, grid: Grid, *, predicts: Literal["x0", "noise"] = "x0") -> State:
    """Krogstad's ETDRK4-B: four stages."""
    return exponential_rk(x, path, grid, KROGSTAD4, predicts)


@solver("exp-rk4-sw", order=4, integrates="x0", family="exponential", cite="hochbruck2010")
def exp_rk4_sw(x: State, path: Path, grid: Grid, *, predicts: Literal["x0", "noise"] = "x0") -> State:
    """The method of Strehmel & Weiner: four stages (Hochbruck & Ostermann 2010, eq. 2.43)."""
    return exponential_rk(x, path, grid, STREHMEL_WEINER4, predicts)


@solver("exp-rk4-ho", order=4, integrates="x0", family="exponential", cite="hochbruck2010")
def exp_rk4_ho(x: State, path: Path, grid: Grid, *, predicts: Literal["x0", "noise"] = "x0") -> State:
    """The method of Hochbruck & Ostermann: five stages, of order four however stiff (2010, eq. 2.46)."""
    return exponential_rk(x, path, grid, HOCHBRUCK_OSTERMANN4, predicts)


@solver("dpmpp-2s", order=2, integrates="x0", family="dpm-solver++", cite="lu2022dpmpp", predicts="x0")
@solver("dpm-2", order=2, integrates="noise", family="dpm-solver", cite="lu2022dpm")
def dpm_2(x: State, path: Path, grid: Grid, *, predicts: Literal["x0", "noise"] = "noise") -> State:
    """Exponential midpoint rule, r_1 = 1/2 (DPM-Solver-2, algorithm 1; with x0 DPM-Solver++(2S), algorithm 1)."""
    return exponential_rk(x, path, grid, DPM2, predicts)


@solver("dpmpp-3s", order=3, integrates="x0", family="dpm-solver++", cite="lu2022dpmpp", predicts="x0")
@solver("dpm-3", order=3, integrates="noise", family="dpm-solver", cite="lu2022dpm")
def dpm_3(x: State, path: Path, grid: Grid, *, predicts: Literal["x0", "noise"] = "noise") -> State:
    """Stages at 0, 1/3 and 2/3 (DPM-Solver-3, algorithm 2): Hochbruck & Ostermann's third-order method, eq. 5.8."""
    return exponential_rk(x, path, grid, DPM3, predicts)


solver("dpm-1", order=1, integrates="noise", family="dpm-solver", cite="lu2022dpm", predicts="noise",
       reason="DPM-Solver-1 is exponential Euler on the noise prediction (eq. 3.7)")(exp_euler)  # fmt: skip
solver("dpmpp-1", order=1, integrates="x0", family="dpm-solver++", cite="lu2022dpmpp",
       reason="DPM-Solver++(1) is exponential Euler on the data prediction")(exp_euler)  # fmt: skip
