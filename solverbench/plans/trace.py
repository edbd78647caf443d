"""Tracing: a solver function is called once with symbols, and what it does is written down.

A `State` is a linear form over values already defined. Arithmetic on states only adds dictionaries; nothing is computed
until a state is evaluated (`predict`), jumped or mapped, when it becomes a value of its own. So a solver may be written
as its paper writes it, with as many intermediate quantities as it likes: they cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from solverbench.errors import PlanError, SolverbenchError, UndefinedError, in_words
from solverbench.numbers import Number, isfinite
from solverbench.paths import Path
from solverbench.paths import path as find_path
from solverbench.plans.ir import Eval, Input, Instruction, Jump, LinComb, Map, Noise, Plan
from solverbench.plans.optimise import optimise
from solverbench.predictions import Prediction, convert

if TYPE_CHECKING:
    from solverbench.eta import Eta
    from solverbench.grids import Grid


class Tracer:
    """Collects the instructions of one plan."""

    def __init__(self, path: Path, prediction: Prediction) -> None:
        self.path, self.prediction = path, prediction
        self.code: list[Instruction] = [Input()]
        self._defined: dict[Any, int] = {}

    def define(self, instruction: Instruction, key: Any = None) -> int:
        """Append an instruction and return its value; the same key gives the same value again."""
        if key is not None and key in self._defined:
            return self._defined[key]
        self.code.append(instruction)
        value = len(self.code) - 1
        if key is not None:
            self._defined[key] = value
        return value


class State:
    """A symbolic state: a linear combination of values. Supports + - * / by numbers, and the methods below."""

    __slots__ = ("_terms", "_tracer")
    __array_ufunc__ = None  # numpy scalars leave the arithmetic to us

    def __init__(self, tracer: Tracer, terms: dict[int, Number]) -> None:
        self._tracer, self._terms = tracer, terms

    def predict(self, prediction: Prediction, at: Number) -> State:
        """The field's prediction of this state at time `at`, converted to the kind asked for: one model evaluation.

        Asking the same state at the same time again, in the same or another prediction, costs nothing.
        """
        tracer = self._tracer
        path = tracer.path
        if path.is_data(at):
            raise UndefinedError(f"a field cannot be evaluated at t = {at}, where sigma = 0 on path {path}")
        x = self._value()
        output = tracer.define(Eval(x, at), key=("eval", x, float(at)))
        a, b = conversion(tracer.prediction, prediction, path, at)
        return State(tracer, {x: a, output: b})

    def noise(self, s: Number, t: Number, visit: int = 0) -> State:
        """Standard normal numbers belonging to the interval [s, t]: the same ones whenever it is asked for again.

        visit: others on every visit to the interval, for a method that passes it several times.
        """
        return self._draw(s, t, visit, area=False)

    def area(self, s: Number, t: Number, visit: int = 0) -> State:
        """Standard normal numbers for the space-time area of [s, t], independent of those of `noise`.

        With z = x.noise(s, t), a = x.area(s, t) and h = |sigma~_s^2 - sigma~_t^2|, a Brownian motion B that runs from
        s to t in sigma~^2 has B_t - B_s = sqrt(h) z and int (B - B_s) = h^{3/2} (z/2 + a/sqrt(12)).
        """
        return self._draw(s, t, visit, area=True)

    def _draw(self, s: Number, t: Number, visit: int, area: bool) -> State:
        draw = Noise(-1, s, t, visit, area)  # numbered when the plan is pruned
        key = ("noise", float(s), float(t), visit, area)
        return State(self._tracer, {self._tracer.define(draw, key=key): 1.0})

    def jump(self, s: Number, t: Number) -> State:
        """The flow map's image of this state, x_s -> x_t: one evaluation of a field that knows its flow map."""
        x = self._value()
        return State(self._tracer, {self._tracer.define(Jump(x, s, t), key=("jump", x, float(s), float(t))): 1.0})

    def exact(self, s: Number, t: Number, eta: Eta) -> State:
        """This state taken from s to t by the field's exact reverse process of strength eta, driven by `noise(s, t)`.

        One evaluation of a field that knows the transition of its process. The draw gives the process its law; it is
        not the solution along one Brownian path, which the increment alone does not determine.
        """
        x = self._value()
        z = self.noise(s, t)._value() if any(eta.within(self._tracer.path, s, t)) else None
        jump = Jump(x, s, t, eta, z)
        return State(self._tracer, {self._tracer.define(jump, key=jump): 1.0})

    def map(self, function: Callable[[Any], Any], name: str | None = None) -> State:
        """A pointwise function of this state, such as clipping. Exact laws do not propagate through it."""
        x = self._value()
        label = str(name or getattr(function, "__name__", "f"))
        return State(self._tracer, {self._tracer.define(Map(x, label, function)): 1.0})

    def keep(self) -> State:
        """Give this state a row of its own now, and return it.

        For a combination that several later steps read but no evaluation sees (a history of slopes, a corrected state):
        otherwise each of them would be written in terms of ever older values.
        """
        self._value()
        return self

    def _value(self) -> int:
        """This state as one value; it is from now on written as that value alone."""
        if len(self._terms) == 1:
            ((value, c),) = self._terms.items()
            if c == 1:
                return value
        terms = tuple(sorted((v, c) for v, c in self._terms.items() if c != 0))
        for v, c in terms:
            if not isfinite(c):
                raise PlanError(f"coefficient {c} of value {v} is not finite ({self._where()})")
        value = self._tracer.define(LinComb(terms))
        self._terms = {value: 1.0}
        return value

    def _where(self) -> str:
        times = [i.t for i in self._tracer.code if isinstance(i, Eval)]
        return f"in the step from t = {float(times[-1]):.6g}" if times else "before the first evaluation"

    def __add__(self, other: State | float) -> State:
        if not isinstance(other, State):
            if other == 0:  # the start of sum()
                return self
            raise PlanError(f"a state plus the number {other} is not linear: states combine with states only")
        if other._tracer is not self._tracer:
            raise PlanError("states of two different traces were added")
        terms = dict(self._terms)
        for v, c in other._terms.items():
            terms[v] = terms[v] + c if v in terms else c
        return State(self._tracer, terms)

    __radd__ = __add__

    def __mul__(self, c: Number) -> State:
        if isinstance(c, State):
            raise PlanError("the product of two states is not linear; a solver's coefficients depend on times only")
        if not isinstance(c, float) and (np.ndim(c) or not isinstance(c, Real | np.ndarray)):  # slower than the product
            kind = f"an array of shape {np.shape(c)}" if np.ndim(c) else f"a {type(c).__name__}"
            raise PlanError(f"a state times {kind}: coefficients are single real numbers")
        return State(self._tracer, {v: c * b for v, b in self._terms.items()})

    __rmul__ = __mul__

    def __truediv__(self, c: Number) -> State:
        if isinstance(c, State) or c == 0:
            raise PlanError(f"a state divided by {'a state' if isinstance(c, State) else c} is not linear")
        return self * (1 / c)

    def __neg__(self) -> State:
        return self * -1

    def __sub__(self, other: State) -> State:
        return self + -other

    def __rsub__(self, other: float) -> State:
        return -self + other

    def _nonlinear(self, *_: object) -> Any:
        raise PlanError("only + - * / with numbers are linear in a state; use x.map(f) for a pointwise function")

    def _decides(self, *_: object) -> Any:
        raise PlanError("a solver that decides by the value of a state is not a plan: its coefficients must be fixed")

    __rtruediv__ = __pow__ = __rpow__ = __abs__ = __mod__ = __floordiv__ = __matmul__ = _nonlinear
    __bool__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __float__ = __int__ = _decides
    __hash__ = object.__hash__


def trace(
    function: Callable[..., State],
    path: str | Path,
    grid: Grid,
    prediction: Prediction,
    *,
    name: str,
    takes: frozenset[str] = frozenset(),
    options: dict[str, Any] | None = None,
) -> Plan:
    """Call `function(x, path, grid, **options)` on symbols and return its plan.

    path: a Path or its name; UsageError for an unknown one.
    The steps out of pure noise and onto the data are taken here, for every solver alike, unless it `takes` the "head"
    or the "tail" itself. Both are x_t = alpha_t D + sigma_t eps with D and eps frozen: out of pure noise
    eps = x_s/sigma_s, and onto the data (sigma_t = 0) it is the denoiser itself, as in EDM and k-diffusion.
    """
    path = find_path(path)
    tracer = Tracer(path, prediction)
    x = State(tracer, {0: 1.0})
    if grid.head is not None and "head" not in takes:
        x = first_order(x, path, *grid.head)
    if grid.steps or takes:
        try:
            x = function(x, path, grid, **(options or {}))
        except SolverbenchError:
            raise
        except Exception as error:
            raise PlanError(f"solver {name} raised {in_words(error)}") from error
        if not isinstance(x, State):
            raise PlanError(f"solver {name!r} must return the state, got {type(x).__name__}")
    if grid.tail is not None and "tail" not in takes:
        x = first_order(x, path, *grid.tail)
    output = x._value()
    code, output = optimise(tracer.code, output)
    return Plan(name, path, grid, prediction, code, output)


def conversion(source: Prediction, target: Prediction, path: Path, at: Number) -> tuple[Number, Number]:
    """`convert`, with a PlanError where the target does not follow from the source."""
    try:
        if type(at) is float:  # what numpy does to be silent takes longer than the conversion
            a, b = convert(source, target, path, at)
            known = isfinite(a) and isfinite(b)
        else:
            with np.errstate(all="ignore"):
                a, b = convert(source, target, path, at)
                known = bool(np.all((a - a == 0) & (b - b == 0)))
    except ZeroDivisionError:  # numpy's numbers give inf instead
        known = False
    if not known:
        raise PlanError(
            f"prediction {target!r} does not follow from a field that predicts {source!r} "
            f"at t = {at} of path {path} (alpha = {path.alpha(at)}): use another prediction, or start later"
        )
    return a, b


def first_order(x: State, path: Path, s: Number, t: Number) -> State:
    """The step out of pure noise at s, or onto the data at t."""
    D = x.predict("x0", at=s)
    if path.is_data(t):
        return path.alpha(t) * D
    return path.sigma(t) / path.sigma(s) * x + path.alpha(t) * D  # alpha(s) = 0: x is sigma(s) times the noise
