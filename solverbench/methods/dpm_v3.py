"""DPM-Solver-v3: the linear part of the equation, and how the rest changes, are measured on the field.

With two functions l and s of lambda, L and S their integrals, and f = (sigma eps - l x)/alpha, the probability-flow ODE
has the solution (Zheng et al. 2023, eq. 8 and 9, with b = 0)

    x_t = alpha_t e^{-L_t} (e^{L_s} x_s/alpha_s - int e^{L + S} g dlambda),     g = e^{-S} f,

whatever l and s are; g is then replaced by the polynomial in lambda through its latest values. The authors take the l
for which f depends least on x and the s for which f' = s f holds best along trajectories (`measures.ems`).

    l                        s       g is, up to a factor
    1                        0       x0                        DPM-Solver++
    0                        -1      noise                     DPM-Solver
    sigma~^2/(c^2+sigma~^2)  l - 1   velocity of the angle     reab[scale=c]

In the paper l, s and a bias b, f' = s f + b, are vectors with one entry for every pixel and channel. The coefficients
of a plan are numbers, so l and s are those best for all entries together, and there is no b, which is zero for data of
mean zero that are as likely as their negatives.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path as File

from numpy.polynomial import chebyshev

from solverbench.errors import UsageError
from solverbench.grids import Grid
from solverbench.methods.multistep import STARTED, Values, weights
from solverbench.methods.registry import solver
from solverbench.numbers import Number, exp, gauss_legendre
from solverbench.paths import Path
from solverbench.plans import State

Series = tuple[float, ...]
"""Chebyshev coefficients on an interval of lambda."""
SHIPPED = File(str(files("solverbench.methods"))) / "statistics"


@dataclass(frozen=True)
class Statistics:
    """l and s as Chebyshev series in lambda from `first` to `last`; outside they keep the values they end with."""

    first: float
    last: float
    l: Series  # noqa: E741  # the paper's letter
    s: Series
    of: str = ""
    """What they were measured on, in words."""

    def write(self, file: str | File) -> None:
        """Write as JSON, which the option `statistics` of dpm-v3 reads."""
        File(file).write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")

    def at(self, lam: Number) -> tuple[Number, Number, Number]:
        """l, L and L + S at lambda; L and S are integrals from the middle of the interval."""
        half = (self.last - self.first) / 2
        y = (lam - (self.first + self.last) / 2) / half
        end = min(max(y, y * 0 - 1), y * 0 + 1)
        (l, L), (ls, LS) = ((value(f, end), half * value(F, end)) for f, F in self._with_integrals)  # noqa: E741
        return l, L + half * (y - end) * l, LS + half * (y - end) * ls

    @cached_property
    def _with_integrals(self) -> list[tuple[Series, Series]]:
        return [(tuple(f), tuple(chebyshev.chebint(f))) for f in (self.l, chebyshev.chebadd(self.l, self.s).tolist())]


def value(series: Series, y: Number) -> Number:
    """sum_k a_k T_k(y) by Clenshaw's recurrence, in the type of y."""
    b = later = y * 0
    for a in reversed(series[1:]):
        b, later = float(a) + 2 * y * b - later, b
    return float(series[0]) + y * b - later


def read(name: str) -> Statistics:
    """Statistics from the file of that path, or those that ship under that name.

    Raises UsageError for anything else.
    """
    file = File(name) if File(name).suffix == ".json" else SHIPPED / f"{name}.json"
    if not file.is_file():
        shipped = ", ".join(sorted(f.stem for f in SHIPPED.glob("*.json")))
        raise UsageError(f"no statistics {name!r}: give a .json file or one of {shipped}")
    return _read(file, file.stat().st_mtime_ns)


@cache
def _read(file: File, _changed: int) -> Statistics:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        l, s = (tuple(float(a) for a in found[key]) for key in "ls")  # noqa: E741
        made = Statistics(float(found["first"]), float(found["last"]), l, s, str(found["of"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file} holds no statistics of dpm-v3 ({type(error).__name__}: {error})") from None
    if not (made.first < made.last and l and s):
        raise UsageError(f"{file}: statistics need first < last and series that are not empty")
    return made


def advance(x: State, s: Number, t: Number, path: Path, statistics: Statistics, g: Values) -> State:
    """From s to t along the polynomial in lambda through the values (lambda, g); one of them may be at t."""
    lam_s, lam_t = path.lam(s), path.lam(t)
    h = lam_t - lam_s
    (_, L_s, _), (_, L_t, LS_t) = statistics.at(lam_s), statistics.at(lam_t)
    node, weight = gauss_legendre(32, h)
    theta = [(1 + y) / 2 for y in node]
    # over e^{L_t + S_t}, which keeps the integrand near one
    E = [q / 2 * h * exp(statistics.at(lam_s + th * h)[2] - LS_t) for q, th in zip(weight, theta, strict=True)]
    moments = [sum(e * th**k for e, th in zip(E, theta, strict=True)) for k in range(len(g))]
    w = weights([(lam - lam_s) / h for lam, _ in g], moments)
    integral = sum(w_j * g_j for w_j, (_, g_j) in zip(w, g, strict=True))
    return path.alpha(t) * (exp(L_s - L_t) / path.alpha(s) * x - exp(LS_t - L_t) * integral)


@solver("dpm-v3", order=3, attains=STARTED, integrates="x0", family="dpm-solver", cite="zheng2023v3, eq. 9", points=3)
@solver("dpm-v3-2", order=2, integrates="x0", family="dpm-solver", cite="zheng2023v3, eq. 9", points=2)
def dpm_v3(
    x: State,
    path: Path,
    grid: Grid,
    *,
    points: int = 3,
    corrector: bool = True,
    statistics: str = "cifar10-mixture",
) -> State:
    """DPM-Solver-v3: predict through the latest values of g, correct with the next step's evaluation (algorithm 2).

    statistics: a .json file of `measures.ems`, or a name of those that ship. points: values of g, 1 to 6. The
    corrector has the order of the predictor and no evaluation of its own; as published, the g that is kept is that of
    the predicted state. The authors' pseudo-orders, which leave terms of the polynomial out, are not here.
    """
    if not 1 <= points <= 6:
        raise UsageError(f"dpm-v3: points must be from 1 to 6, got {points}")
    measured = read(statistics)
    past: Values = []
    before, r = x, grid.steps[0][0]
    for s, t in grid.steps:
        l, L, LS = measured.at(path.lam(s))  # noqa: E741
        f = (path.sigma(s) * x.predict("noise", at=s) - l * x) / path.alpha(s)
        new = path.lam(s), (exp(L - LS) * f).keep()
        if corrector and len(past) > 1:
            x = advance(before, r, s, path, measured, [new, *past[:-1]]).keep()
        past = [new, *past[: points - 1]]
        before, r = x, s
        x = advance(x, s, t, path, measured, past)
    return x
