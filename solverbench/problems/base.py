"""What a problem is: a field, a rule for grids, and a way to judge a plan on it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, TypeVar

import numpy as np

from solverbench.engines.devices import choose, runner
from solverbench.errors import BudgetError, PlanError, UsageError, check_known
from solverbench.fields.base import lacks
from solverbench.grids import Grid, grid
from solverbench.measures.likelihood import rising_plan
from solverbench.methods import Solver
from solverbench.plans import Plan
from solverbench.problems.budget import plan_within

T = TypeVar("T")
KINDS = ("law", "paired", "trajectory")


@dataclass(frozen=True)
class ProblemSpec:
    """A problem as a suite file states it."""

    name: str
    field: str
    kind: str
    path: str | None = None
    """Of an analytic field, "edm" by default; a trained one has its own."""
    grid: str = "edm"
    grid_options: dict[str, Any] = dataclasses.field(default_factory=dict)
    samples: int = 512
    """Solver outputs per cell, for distances between sets (kinds "paired" and "trajectory")."""
    paired: int = 64
    """Of these, compared with reference trajectories (kinds "paired", where it may be 0, and "trajectory")."""
    rtol: float = 1e-11
    """Relative tolerance of the reference (kind "paired")."""
    steps: int = 128
    """Steps of the reference, of four evaluations each (kind "trajectory")."""
    label: int | None = None
    """Class of a trained field that knows classes."""
    guidance: float | None = None
    """Its classifier-free guidance scale; two evaluations of the network are then counted per call."""
    points: bool = False
    """Whether a budget buys points of the grid, one more than steps, instead of evaluations: as many as it holds
    multiples of what a step is charged."""
    charge: dict[str, int] = dataclasses.field(default_factory=dict)
    """What points cost some solvers, where that is not the number of evaluations a step makes."""
    table: str | None = None
    """A table that problems share, of errors by start as well as budget, in place of tables of their own."""
    about: str | None = None
    """A sentence for the notes of that table."""
    likelihood: bool = False
    """Whether solvers of the ODE are also judged by the log-likelihood they compute (kinds "law" and "paired")."""
    pictures: bool = True
    """Whether cells keep pictures."""
    device: str = "cpu"
    """Where samples are computed, "cpu" or "cuda"; a run's choice, which suite files do not make."""
    nfe: tuple[int, ...] = ()
    """Budgets of this problem, the suite's by default."""
    solvers: tuple[str, ...] = ()
    """Solvers of this problem, the suite's by default."""

    def __post_init__(self) -> None:
        check_known("kind", self.kind, KINDS, f"problem {self.name!r}: ")
        if self.steps < 4 or self.steps % 2:
            raise UsageError(f"problem {self.name!r}: steps must be even and at least 4, got {self.steps}")
        if self.table is not None and self.kind != "law":
            raise UsageError(f"problem {self.name!r}: a shared table is for problems of kind 'law'")
        if any(type(n) is not int or n < 1 for n in self.charge.values()):
            raise UsageError(f"problem {self.name!r}: charges are positive whole numbers, got {self.charge}")
        if not 1e-13 <= self.rtol <= 1e-2:
            raise UsageError(f"problem {self.name!r}: rtol must be between 1e-13 and 1e-2, got {self.rtol}")
        least = int(self.kind != "paired")
        if not least <= self.paired <= self.samples or self.samples < 2:
            raise UsageError(
                f"problem {self.name!r}: need 2 <= samples and {least} <= paired <= samples, "
                f"got samples={self.samples}, paired={self.paired}"
            )


@dataclass(frozen=True)
class Judgement:
    """What was measured of one plan: numbers for the record, and pictures (m, 3, 32, 32) in uint8 if there are any."""

    measures: dict[str, Any]
    status: str = "ok"
    reason: str | None = None
    images: np.ndarray[Any, np.dtype[np.uint8]] | None = None
    along: np.ndarray[Any, np.dtype[np.float64]] | None = None
    """Errors along the trajectory (k, 4), as `along.Trajectory.errors` has them."""
    by_start: Mapping[str, np.ndarray[Any, np.dtype[np.float64]]] = dataclasses.field(default_factory=dict)
    """By name, what a measure is the mean of (n,), so that two solvers can be compared start by start."""

    @property
    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """What of it are arrays, by name."""
        given = {"images": self.images, "along": self.along, **self.by_start}
        return {name: array for name, array in given.items() if array is not None}

    @classmethod
    def of(cls, told: Mapping[str, Any], arrays: Mapping[str, np.ndarray[Any, Any]]) -> Judgement:
        """Put one together from its measures, status and reason, and its `arrays`."""
        by_start = dict(arrays)
        images, along = by_start.pop("images", None), by_start.pop("along", None)
        return cls(**told, images=images, along=along, by_start=by_start)


class Problem(Protocol):
    """A prepared problem."""

    spec: ProblemSpec
    field: Any

    def grid(self, steps: int) -> Grid:
        """The grid of this problem with that many steps."""

    def plan(self, solver: Solver, budget: int) -> Plan:
        """What a solver does with a budget."""

    def applies(self, solver: Solver) -> str | None:
        """None if the solver can run here, else why not."""

    def prepare(self) -> None:
        """Compute what all cells share (references); may take long."""

    def judge(self, solver: Solver, plan: Plan) -> Judgement:
        """Measure one plan."""

    def asks(self, solver: Solver | None = None, plan: Plan | None = None) -> Sequence[Any]:
        """What its numbers depend on beside the plan, the field and what is stated: plans, and plain values.

        Of the solver and its plan, if they are given, and of the solvers its references come from.
        """

    @property
    def evaluations(self) -> int:
        """Evaluations of the network that one call of the field costs."""

    @property
    def reference_images(self) -> np.ndarray[Any, np.dtype[np.uint8]] | None:
        """Pictures of the exact solution from the same starting states."""


class OnField:
    """What the kinds of problems share: the field by name, and the grid rule."""

    def __init__(self, spec: ProblemSpec, seed: int) -> None:
        from solverbench.fields import load

        self.spec, self.seed = spec, seed
        options = {key: getattr(spec, key) for key in ("label", "guidance") if getattr(spec, key) is not None}
        if spec.device != "cpu" and spec.kind == "trajectory":  # a network; fields in closed form are where states are
            options["device"] = choose("auto").name  # where cells are only given out there need be no GPU
        self.field: Any = load(spec.field, spec.path, **options)
        try:
            self.grid(2)
        except (TypeError, ValueError) as error:
            raise UsageError(f"problem {spec.name!r}: {error}") from None

    def grid(self, steps: int) -> Grid:
        """The grid of this problem with that many steps."""
        return grid(self.spec.grid, self.field.path, steps, **self.spec.grid_options)

    def plan(self, solver: Solver, budget: int) -> Plan:
        """What a solver does with a budget. Raises BudgetError if that is too little for it."""
        field, cost = self.field, self.evaluations
        if not self.spec.points:
            return plan_within(solver, field.path, self.grid, budget, field.prediction, cost)
        each = self.spec.charge.get(solver.name, solver.evaluations) * cost
        if (steps := budget // each - 1) < 1:
            raise BudgetError(f"solver {solver} needs two points of {each} evaluations, the budget is {budget}")
        return solver.plan(field.path, self.grid(steps), field.prediction)

    def run(
        self, plan: Plan, x: Any, field: Any = None
    ) -> tuple[np.ndarray[Any, np.dtype[np.float64]], dict[str, float | None]]:
        """(final states of a tensor x (n, *shape) by the device's engine, in float64; measures of the seconds it took).

        field: what stands for the problem's own, if anything. What a field takes of the seconds is not known on a GPU,
        where the host does not wait for it.
        """
        started = time.perf_counter()
        engine = runner(self.spec.device)(plan, len(x), self.field.shape, x.dtype, self.spec.device)
        out = engine(field or self.field, x.to(engine.device), seed=self.seed).double().cpu().numpy()
        seconds, on_cpu = time.perf_counter() - started, self.spec.device == "cpu"
        return out, {
            "sampling_seconds": seconds,
            "field_seconds": engine.meter.field if on_cpu else None,
            "overhead_seconds": engine.meter.overhead if on_cpu else None,
        }

    @property
    def evaluations(self) -> int:
        """Evaluations of the network that one call of the field costs: 2 with guidance."""
        return int(getattr(self.field, "evaluations", 1))

    def asks(self, solver: Solver | None = None, plan: Plan | None = None) -> Sequence[Any]:
        """The plan a likelihood is computed by, if one is."""
        if solver is not None and plan is not None and self._has_likelihood(solver):
            with suppress(PlanError):
                return [rising_plan(solver, self.field.path, plan.grid)]
        return []

    def _has_likelihood(self, solver: Solver) -> bool:
        return self.spec.likelihood and not solver.stochastic and solver.integrates != "flow map"

    def _likelihoods(self, solver: Solver, judged: Callable[[], T]) -> T | None:
        """What is judged of the likelihoods a solver computes, if that is asked for and it can compute them."""
        if self._has_likelihood(solver):
            with suppress(PlanError):  # a method that cannot go upwards has all other errors
                return judged()
        return None

    def applies(self, solver: Solver) -> str | None:
        """None if the solver can run here, else why not."""
        if solver.integrates != "flow map":
            return None
        reason = lacks(self.field, solver.jumps)
        return reason and f"{self.spec.field} {reason}"


def build(spec: ProblemSpec, seed: int) -> Problem:
    """The problem a spec describes. Raises UsageError for unknown fields, paths, grids, and a field of another kind."""
    kind = import_module(f"solverbench.problems.{spec.kind}")
    problem: Any = getattr(kind, f"{spec.kind.title()}Problem")(spec, seed)
    if missing := [name for name in problem.needs if not hasattr(problem.field, name)]:
        raise UsageError(
            f"problem {spec.name!r}: field {spec.field!r} does not suit kind {spec.kind!r} (it has no {missing[0]})"
        )
    built: Problem = problem
    return built
