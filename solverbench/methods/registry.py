"""The registry: what a solver is, how it gets a name, and how a name with options is read.

A solver is one function of a symbolic state, a path and a grid (see `solver`). What can be derived from its plan is
derived (evaluations per step, whether it is stochastic); what only its author knows is declared (order, reference).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Integral, Real
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeAlias, TypeVar

from solverbench import references, specs
from solverbench.errors import UsageError, nearest
from solverbench.eta import ONE, ZERO, Eta
from solverbench.plans import Plan, State, trace
from solverbench.predictions import PREDICTIONS, Prediction

if TYPE_CHECKING:
    from solverbench.grids import Grid
    from solverbench.paths import Path


Shortfall: TypeAlias = Literal["start-up", "coefficients"]


@dataclass(frozen=True)
class Solver:
    """A sampler: a function to trace and what is known of it. Made by the decorator `solver`."""

    name: str
    function: Callable[..., State]
    order: int | None = None
    """Order of convergence its authors claim."""
    attains: tuple[int, Shortfall] | None = None
    """Where that is less than the claim, the order a whole run attains (0: none), and what it falls short by."""
    strong: float | None = None
    """Strong order that its authors claim, as a sampler of the reverse SDE; order is then that of the drift."""
    weak: int | None = None
    """Weak order that they claim."""
    integrates: str = "x0"
    """The prediction whose variation the method approximates: what is exact when this one is constant."""
    family: str = "user"
    cite: str | None = None
    """Keys of references.bib with places, "karras2022edm, eq. 5", or a reference in words."""
    reason: str | None = None
    """Why this is a special case of another solver, if it is."""
    takes: frozenset[str] = frozenset()
    """Ends of the grid, "head" or "tail", that the function steps over itself."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options with their values."""
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        given = ",".join(f"{k}={v}" for k, v in self.options.items() if v != self.defaults[k])
        return f"{self.name}[{given}]" if given else self.name

    def __getitem__(self, options: Mapping[str, Any]) -> Self:
        """The same solver with other options: `solvers["ddim"][{"eta": 0.5}]`. Raises UsageError for an unknown one."""
        given = {key: self._converted(key, value) for key, value in options.items()}
        return replace(self, options={**self.options, **given})

    def _converted(self, key: str, value: Any) -> Any:
        """A value for an option, a strength as an `Eta`. Raises UsageError for nan and for a type not the default's."""
        if key not in self.options:
            known = nearest(key, self.options) or "; it takes none"
            raise UsageError(f"solver {self.name!r} has no option {key!r}{known}")
        if value != value:  # nan passes every check by comparison
            raise UsageError(f"solver {self.name!r}: option {key} is {value}, which is no number")
        kind = type(self.options[key])
        if kind is Eta:
            return Eta.of(value)
        if kind in _KINDS and (isinstance(value, bool) is not (kind is bool) or not isinstance(value, _KINDS[kind])):
            raise UsageError(f"solver {self.name!r}: option {key}={value!r} is not {specs.WORDS[kind]}")
        return value

    def plan(self, path: str | Path, grid: Grid, prediction: Prediction = "x0") -> Plan:
        """Trace on a path, given or by name, and a grid for a field that outputs `prediction`."""
        return trace(
            self.function, path, grid, prediction, name=str(self), takes=self.takes, options=dict(self.options)
        )

    @property
    def predicts(self) -> Prediction:
        """The prediction a field would best output for this solver: what it integrates, if that is one."""
        return next((kind for kind in PREDICTIONS if kind == self.integrates), "x0")

    @property
    def reference(self) -> str:
        """Where the method comes from."""
        return references.text(self.cite or "")

    @property
    def doc(self) -> str:
        """What the method is, as its author wrote it."""
        return inspect.cleandoc(self.function.__doc__ or "")

    @cached_property
    def evaluations(self) -> int:
        """Model evaluations per step, counted on a plan."""
        return self._typical(8).nfe - self._typical(7).nfe

    @cached_property
    def stochastic(self) -> bool:
        """Whether its plan draws noise."""
        return self._typical(4).draws > 0

    @property
    def strength(self) -> Eta | None:
        """Of the reverse process it follows: its option eta, 1 if it draws noise and has none, and None if its noise is
        not that of a process (churn, restarts, jumps) or one of no such strength (most scales of ER-SDE)."""
        options = self.options
        if isinstance(scale := options.get("scale"), str):  # of ER-SDE
            named = {"ode": ZERO, "sde": ONE}
            return named[scale] if scale in named else Eta.of(scale) if scale[:1].isdigit() else None
        if isinstance(eta := options.get("eta"), Eta):
            return eta.root if options.get("levels") == "time" else eta
        if self.stochastic and (options.get("visits") or options.get("s_churn") or self.integrates == "flow map"):
            return None
        return Eta.of(eta if eta is not None else float(self.stochastic))

    @cached_property
    def jumps(self) -> frozenset[Eta | None]:
        """What its plan asks of a field beside predictions (`Plan.jumps`)."""
        return self._typical(1).jumps

    def _typical(self, steps: int) -> Plan:
        from solverbench.grids import grid

        return self.plan("edm", grid("edm", "edm", steps, zero=False))


S = TypeVar("S", bound=Solver)


class Registry(Mapping[str, S], Generic[S]):
    """Names of solvers, in the order of their definition. Built-in names cannot be taken."""

    def __init__(self) -> None:
        self._solvers: dict[str, S] = {}

    def add(self, solver: S) -> None:
        """Register under its name. Raises UsageError if the name is taken by another function or is malformed."""
        if not isinstance(solver.name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9+._-]*", solver.name):
            raise UsageError(
                f"solver name {solver.name!r}: use lower-case letters, digits and - + . _ (options go in brackets)"
            )
        if solver.name in self._solvers:
            owner = self._solvers[solver.name].function
            raise UsageError(f"solver name {solver.name!r} is taken by {owner.__module__}: give yours another name")
        self._solvers[solver.name] = solver

    def discard(self, name: str) -> None:
        """Forget a name; unknown names are ignored."""
        self._solvers.pop(name, None)

    def __getitem__(self, spec: str) -> S:
        """Look up `name` or `name[option=value,...]`. Raises UsageError with the nearest names."""
        name, text = specs.split(spec, "solver")
        if name not in self._solvers:
            _discover()
        if name not in self._solvers:
            raise unknown(name, self._solvers)
        solver = self._solvers[name]
        return solver[specs.read(text, solver.defaults, f"solver {name!r}")] if text else solver

    def __contains__(self, name: object) -> bool:
        if name not in self._solvers:
            _discover()
        return name in self._solvers

    def get(self, spec: str, default: Any = None) -> Any:
        """Look up like [], with a default for names that are not there."""
        return self[spec] if spec.split("[")[0].strip() in self else default

    def of(self, function: Callable[..., State]) -> S | None:
        """The solver made of a function: of several names, the one whose options are the function's own defaults."""
        names = [s for s in self._solvers.values() if s.function is function]
        return next((s for s in names if s.options == keyword_defaults(function)), names[0] if names else None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._solvers)

    def __len__(self) -> int:
        return len(self._solvers)


def unknown(name: str, known: Iterable[str]) -> UsageError:
    """What to say of a name that no solver has: the nearest ones, or the file that was meant."""
    file = f"{name}.py"
    hint = f" (did you mean the file {file}?)" if FilePath(file).is_file() else nearest(name, known, "solverbench list")
    return UsageError(f"unknown solver {name!r}{hint}")


_KINDS: dict[type, type] = {bool: bool, int: Integral, float: Real, str: str}
"""What an option with a default of some type takes."""
SOLVERS: Registry[Solver] = Registry()


def solver(
    name: str,
    *,
    order: int | None = None,
    attains: tuple[int, Shortfall] | None = None,
    strong: float | None = None,
    weak: int | None = None,
    integrates: str = "x0",
    family: str = "user",
    cite: str | None = None,
    reason: str | None = None,
    takes: tuple[str, ...] = (),
    **options: Any,
) -> Callable[[Callable[..., State]], Callable[..., State]]:
    """Register a function as a solver; further keywords fix some of its options, which makes a special case of it.

    The contract for a function `f(x, path, grid, *, option=default, ...)`:

    1. `x` is a symbolic state at the first time of `grid.steps`; return the state at their last time.
    2. Step over `grid.steps`, pairs (s, t) from noise to data, s > t, with 0 < sigma~ < inf at both. The step out of
       pure noise and the one onto the data are taken for you.
    3. `x.predict(kind, at=s)` is one model evaluation, kind being x0, noise, score, v or velocity, whatever the field
       itself predicts.
    4. States may be added, and multiplied by numbers computed from times: `path.alpha(t)`, `path.sigma(t)`,
       `path.lam(t)` and the functions of `solverbench.numbers`. Nothing may depend on a state's value.
    5. `x.noise(s, t)` are standard normal numbers of the interval [s, t]; scaling them is yours. On another visit to
       the interval, `x.noise(s, t, visit=k)` are others.
    6. `.keep()` gives a combination that several later steps read a row of its own; it changes memory, not results.
    7. Keyword-only parameters are options; their defaults give their types.

    order is what its authors claim; for a method that draws noise, without it, and strong and weak are its orders
    with it. Where `solverbench order` measures less, attains says so. cite is a key of
    solverbench/references.bib, "karras2022edm, eq. 5", or a reference in your own words.

    The function itself is returned unchanged, so that it can be named again.
    Raises UsageError if the name is taken or an option unknown.
    """

    def register(function: Callable[..., State]) -> Callable[..., State]:
        defaults = keyword_defaults(function)
        facts = order, attains, strong, weak, integrates, family, cite, reason, frozenset(takes)
        made = Solver(name, function, *facts, defaults, defaults)[options]
        SOLVERS.add(replace(made, defaults=dict(made.options)))
        return function

    return register


def keyword_defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """The options of a function: its keyword-only parameters with their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def solvers() -> Registry[Solver]:
    """Every registered solver by name: the built-in ones, those of installed packages, and the user's own."""
    _discover()
    return SOLVERS


def _discover() -> None:
    from solverbench.methods.user import load_entry_points

    load_entry_points()
