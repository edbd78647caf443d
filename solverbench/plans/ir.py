"""A plan: the linear program a sampler is, as a list of instructions in which the i-th defines value i.

    Input                     the state at the first time of the grid
    Eval     x, t             one model evaluation: the field's own prediction at (x, t); the only thing NFE counts
    LinComb  terms            sum of coefficient * value
    Noise    draw, s, t       standard normal numbers, draw number `draw`, belonging to the interval [s, t]:
                              the normalised increment of a Brownian motion over it, or its normalised `area`
    Jump     x, s, t          a flow map's x_s -> x_t; one evaluation. With a strength eta: the exact reverse process's,
                              driven by the value z of a draw where eta > 0
    Map      x, name, f       a pointwise function such as clipping; only where a solver asks for it

Coefficients are numbers: everything that depends on the path, the grid and the conversion between predictions has been
folded into them, so an engine needs to know nothing of diffusion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from solverbench.numbers import Number
from solverbench.plans.schedule import Schedule, schedule

if TYPE_CHECKING:
    import pandas as pd

    from solverbench.eta import Eta
    from solverbench.grids import Grid
    from solverbench.paths import Path
    from solverbench.predictions import Prediction


@dataclass(frozen=True, slots=True)
class Input:
    """The state at the first time."""


@dataclass(frozen=True, slots=True)
class Eval:
    """The field's prediction at (value x, time t)."""

    x: int
    t: Number


@dataclass(frozen=True, slots=True)
class LinComb:
    """sum_k c_k value_k."""

    terms: tuple[tuple[int, Number], ...]


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard normal numbers of the interval [s, t]."""

    draw: int
    s: Number
    t: Number
    visit: int = 0
    area: bool = False
    """Whether it is the space-time area of the interval rather than the increment."""


@dataclass(frozen=True, slots=True)
class Jump:
    """Value x taken from s to t: by the field's flow map, whatever that is, or by its exact reverse process."""

    x: int
    s: Number
    t: Number
    eta: Eta | None = None
    """Strength of the exact process; None is the flow map, which may be a trained one."""
    z: int | None = None
    """The value that drives it, a draw; None where eta is 0."""


@dataclass(frozen=True, slots=True)
class Map:
    """A pointwise function of value x."""

    x: int
    name: str
    function: Callable[[Any], Any]


Instruction: TypeAlias = Input | Eval | LinComb | Noise | Jump | Map


def operands(instruction: Instruction) -> tuple[int, ...]:
    """The values an instruction reads."""
    match instruction:
        case LinComb(terms):
            return tuple(v for v, _ in terms)
        case Jump(x=x, z=int(z)):
            return (x, z)
        case Eval(x=x) | Jump(x=x) | Map(x=x):
            return (x,)
    return ()


@dataclass(frozen=True)
class Plan:
    """A traced sampler: what will be computed, before anything is.

    `nfe` is exact, `rows` is the peak number of states alive at once (memory = rows x one batch), `draws` the number
    of noise vectors. Engines in `solverbench.engines` execute it; `table()` prints it.
    """

    solver: str
    path: Path
    grid: Grid
    prediction: Prediction
    code: tuple[Instruction, ...]
    output: int

    @cached_property
    def nfe(self) -> int:
        """Model evaluations per sample: every stage, the final denoising step and every jump included."""
        return sum(isinstance(i, Eval | Jump) for i in self.code)

    @cached_property
    def draws(self) -> int:
        """Number of independent noise vectors."""
        return len(self.noise)

    @cached_property
    def noise(self) -> tuple[Noise, ...]:
        """The draws by their numbers."""
        return tuple(i for i in self.code if isinstance(i, Noise))

    @cached_property
    def jumps(self) -> frozenset[Eta | None]:
        """What is asked of a field beside its prediction: exact processes of these strengths, None for its flow map."""
        return frozenset(i.eta for i in self.code if isinstance(i, Jump))

    @cached_property
    def linear(self) -> bool:
        """Whether every instruction is linear in the values, so that exact laws propagate through it."""
        return not any(isinstance(i, Map) for i in self.code)

    @cached_property
    def transient(self) -> frozenset[int]:
        """The noise values that only linear combinations read: an engine may draw them where they are added."""
        stored = {u for i in self.code if not isinstance(i, LinComb) for u in operands(i)} | {self.output}
        return frozenset(v for v, i in enumerate(self.code) if isinstance(i, Noise) and v not in stored)

    @cached_property
    def schedule(self) -> Schedule:
        """Which buffer row each value lives in and when it dies."""
        return schedule([operands(i) for i in self.code], self._owned(), self.output)

    @property
    def rows(self) -> int:
        """Peak number of states alive at once, the input and the model's outputs included."""
        return self.schedule.peak

    def _owned(self) -> Sequence[bool]:
        """Values that an engine computes into rows of its own; the others arrive as arrays of somebody else's."""
        return [isinstance(i, LinComb | Noise | Map) for i in self.code]

    def tableau(self) -> np.ndarray[Any, Any]:
        """The plan as one matrix, the Butcher tableau of a whole sampling run.

        Row k < nfe holds the state of evaluation k, the last row the output, each written in the base values: the
        input, then the outputs of evaluations, jumps, draws and maps in order of execution. Shape (nfe + maps + 1, base
        values): rows of maps, and of the draws that jumps read, stand among those of evaluations. Quadratic in the
        steps: for proofs, not for running.
        """
        base = [v for v, i in enumerate(self.code) if not isinstance(i, LinComb)]
        plain = all(isinstance(c, float) for i in self.code if isinstance(i, LinComb) for _, c in i.terms)
        unit = np.eye(len(base), dtype=float if plain else object)
        rows: dict[int, np.ndarray[Any, Any]] = dict(zip(base, unit, strict=True))
        for v, i in enumerate(self.code):
            if isinstance(i, LinComb):
                rows[v] = sum(c * rows[u] for u, c in i.terms)
        return np.array([rows[v] for v in self._rows_of_tableau()])

    def equivalent(self, other: Plan, rtol: float = 1e-11) -> bool:
        """Whether both plans are the same method up to rounding: same evaluations, same tableau.

        Compared relative to the largest entry of each row of the tableau. Names, grids' names and the order in which
        linear combinations are formed do not matter. Maps are the same if they are by one function object: whether two
        functions do the same cannot be seen.
        """
        if self._soon_seen_to_differ(other, rtol):
            return False
        kinds = [
            [(type(i), getattr(i, "eta", None), getattr(i, "function", None)) for i in p.code if type(i) is not LinComb]
            for p in (self, other)
        ]
        if kinds[0] != kinds[1] or (self.path, self.prediction) != (other.path, other.prediction):
            return False
        times = [
            np.array([[getattr(i, "s", i.t), i.t] for i in p.code if isinstance(i, Eval | Jump)], float)
            for p in (self, other)
        ]
        if not np.allclose(times[0], times[1], rtol=rtol, atol=0):
            return False
        if self._seen_to_differ(other, rtol):
            return False
        a, b = self._entries, other._entries
        scale = np.maximum(np.abs(a), np.abs(b)).max(axis=1, keepdims=True)
        return bool(np.all(np.abs(a - b) <= rtol * scale))

    def _soon_seen_to_differ(self, other: Plan, rtol: float) -> bool:
        """As `_seen_to_differ`, of the sum of all rows: one number tells apart nearly all of very many plans."""
        (one, bound), (two, other_bound) = self._probe_sum, other._probe_sum
        return abs(one - two) > rtol * len(self.code) * (bound + other_bound)

    @cached_property
    def _probe_sum(self) -> tuple[float, float]:
        return float(self._probe[0].sum()), float(self._probe[1].sum())

    def _seen_to_differ(self, other: Plan, rtol: float) -> bool:
        """Whether a row of the tableaux differs, summed up over random base values, by more than one method's may.

        Linear in the steps, where a tableau is quadratic; that none does proves nothing.
        """
        (one, bound), (two, other_bound) = self._probe, other._probe
        return bool(np.any(np.abs(one - two) > rtol * len(self.code) * np.maximum(bound, other_bound)))

    @cached_property
    def _entries(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The tableau in floats, kept: a plan is compared with many."""
        return self.tableau().astype(float)

    @cached_property
    def _probe(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """(the rows of the tableau times numbers below 2, what they could be at most with coefficients |c|)."""
        base = iter(np.random.default_rng(0).uniform(1, 2, len(self.code)).tolist())
        value: list[float] = []
        bound: list[float] = []
        for i in self.code:
            if isinstance(i, LinComb):
                terms = [(u, float(c)) for u, c in i.terms]
                value.append(sum(c * value[u] for u, c in terms))
                bound.append(sum(abs(c) * bound[u] for u, c in terms))
            else:
                value.append(next(base))
                bound.append(2.0)
        rows = self._rows_of_tableau()
        return np.array([value[v] for v in rows]), np.array([bound[v] for v in rows])

    def _rows_of_tableau(self) -> list[int]:
        """The values a tableau has rows of: what is evaluated, jumped from or mapped, and the output."""
        return [*(u for i in self.code if isinstance(i, Eval | Jump | Map) for u in operands(i)), self.output]

    def table(self) -> pd.DataFrame:
        """The instructions as a table a person reads: x are states, F model outputs, z noise."""
        import pandas as pd

        names: list[str] = []
        count = {"x": 0, "F": 0, "z": 0}
        records = []
        nfe = 0
        for i in self.code:
            letter = {Eval: "F", Jump: "x", Noise: "z"}.get(type(i), "x")
            names.append(f"{letter}{count[letter]}" if letter == "x" else f"{letter}{count[letter] + 1}")
            count[letter] += 1
            nfe += isinstance(i, Eval | Jump)
            t = float(i.t) if isinstance(i, Eval | Jump | Noise) else None
            records.append({"op": type(i).__name__, "t": t, "expression": _expression(i, names), "nfe": nfe})
        return pd.DataFrame.from_records(records)

    def __repr__(self) -> str:
        return f"<Plan {self.solver} on {self.path}: nfe={self.nfe}, rows={self.rows}, draws={self.draws}>"


def _expression(i: Instruction, names: Sequence[str]) -> str:
    match i:
        case Eval(x, t):
            return f"{names[-1]} = field({names[x]}, {float(t):.6g})"
        case Jump(x, s, t, None):
            return f"{names[-1]} = flow_map({names[x]}, {float(s):.6g}, {float(t):.6g})"
        case Jump(x, s, t, eta, z):
            driven = "" if z is None else f", {names[z]}"
            return f"{names[-1]} = exact({names[x]}, {float(s):.6g}, {float(t):.6g}, eta={eta}{driven})"
        case Noise(_, s, t, area=area):
            return f"{names[-1]} ~ N(0, I) {'area of' if area else 'over'} [{float(s):.6g}, {float(t):.6g}]"
        case Map(x, name):
            return f"{names[-1]} = {name}({names[x]})"
        case LinComb(terms):
            return f"{names[-1]} = {_signed((float(c), names[v]) for v, c in terms)}"
    return f"{names[-1]} = start"


def _signed(terms: Iterable[tuple[float, str]]) -> str:
    text = " ".join(f"{'-' if c < 0 else '+'} {abs(c):.6g} {name}" for c, name in terms)
    return text.removeprefix("+ ")
