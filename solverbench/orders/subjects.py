"""What is measured: anything that takes states from one noise level to the next, our own solvers among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from solverbench.eta import Eta
from solverbench.grids import Grid
from solverbench.methods.registry import Solver
from solverbench.numbers import Number
from solverbench.paths import Path
from solverbench.paths import path as named_path
from solverbench.plans import Noise, Plan

Array: TypeAlias = NDArray[Any]
Denoise: TypeAlias = Callable[[Array, Number], Array]
"""denoise(x~ (n, d), sigma~) -> D (n, d)."""
Draw: TypeAlias = Callable[[int], Array]
"""draw(k) -> standard normal numbers (n, d) of the k-th draw."""
Run: TypeAlias = Callable[[Denoise, Array, tuple[Number, ...], Draw], Array]
"""run(denoise, x~ (n, d) at sigmas[0], decreasing sigmas, draw) -> x~ (n, d) at sigmas[-1]."""


@dataclass
class Watched:
    """A denoiser that counts and remembers how it was called."""

    denoise: Denoise
    calls: list[tuple[float, int, str]] = field(default_factory=list)
    """(noise level, rows, number type) of each call."""

    def __call__(self, x: Array, sigma: Any) -> Array:
        self.calls.append((float(sigma), len(x), str(x.dtype)))
        return self.denoise(x, sigma)

    def jump(self, x: Array, sigma_s: Any, sigma_t: Any) -> Array:
        """A jump counts as an evaluation."""
        self.calls.append((float(sigma_s), len(x), str(x.dtype)))
        return np.asarray(self.denoise.jump(x, sigma_s, sigma_t))  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Subject:
    """A sampler in canonical coordinates, x~ = x/alpha against sigma~ = sigma/alpha, and what is claimed of it."""

    name: str
    run: Run
    order: int | None = None
    """Claimed."""
    stochastic: bool = False
    eta: float | None = 0.0
    """Constant strength of the reverse process whose drift it integrates; None if there is none (churn, jumps)."""
    evaluations: int = 1
    """Per step; for choosing budgets."""
    numbers: bool = False
    """Whether it runs in any number type, mpmath included."""
    corrects: bool = False
    """Whether a step is corrected by the next one's evaluation, so that a run ends on a step of one order less."""
    block: int | None = 1
    """Steps that make up one of its own; None if that depends on where they are."""
    jumps: bool = False
    """Whether it asks the field for its flow map, `denoise.jump(x~, sigma~_s, sigma~_t)`."""
    draws: Callable[[tuple[Number, ...]], list[Noise]] | None = None
    """Its draws on a grid, with their intervals in noise levels, if they are known."""
    weakened: Callable[[float], Subject] | None = None
    """The same sampler following the process of another strength, if it can."""
    strong: float | None = None
    weak: int | None = None
    """Orders claimed with its noise."""


def subject(solver: Solver, path: Path | str = "edm") -> Subject:
    """One of our solvers, integrated on the given path; the state is scaled on the way in and out."""
    on = named_path(path)

    @lru_cache(maxsize=1)  # the last: a run's draws are asked for before it
    def traced(sigmas: tuple[Number, ...], number: str) -> Plan:
        times = tuple(on.inverse_sigma_tilde(sigma) for sigma in sigmas)
        return solver.plan(on, Grid(on, times), "x0")

    def planned(sigmas: tuple[Number, ...]) -> Plan:
        return traced(sigmas, type(sigmas[0]).__name__)  # equal numbers of another type are another plan

    def run(denoise: Denoise, x: Array, sigmas: tuple[Number, ...], draw: Draw) -> Array:
        from solverbench.engines import numpy as engine

        plan = planned(sigmas)
        first, last = plan.grid.times[0], plan.grid.times[-1]
        states = engine.run(plan, _On(on, denoise), x * on.alpha(first), draw)
        return np.asarray(states / on.alpha(last))

    def draws(sigmas: tuple[Number, ...]) -> list[Noise]:
        def level(t: Number) -> float:
            return float(on.sigma_tilde(t))

        return [replace(i, s=level(i.s), t=level(i.t)) for i in planned(sigmas).noise]

    eta, jumps = solver.strength, solver.integrates == "flow map"
    return Subject(
        str(solver),
        run,
        solver.order,
        solver.stochastic,
        None if eta is None or (solver.stochastic and jumps) else eta.constant,
        solver.evaluations,
        numbers=True,
        corrects=bool(solver.options.get("corrector")),
        block=None if "remainder" in solver.options else solver.options.get("every", solver.options.get("window", 1)),
        jumps=jumps,
        draws=draws,
        weakened=weakened(solver, on),
        strong=solver.strong,
        weak=solver.weak,
    )


def weakened(solver: Solver, path: Path) -> Callable[[float], Subject] | None:
    """The solver at any other strength; None if it has no such option, or follows no process by steps of its own."""
    if "eta" not in solver.options or solver.strength is None or solver.integrates == "flow map":
        return None
    squared = solver.options.get("levels") == "time"
    return lambda eta: subject(solver[{"eta": eta * eta if squared else eta}], path)


@dataclass(frozen=True)
class _On:
    """A canonical denoiser as the field of a path."""

    path: Path
    denoise: Denoise

    def __call__(self, x: Array, t: Number) -> Array:
        return self.denoise(x / self.path.alpha(t), self.path.sigma_tilde(t))

    def jump(self, x: Array, s: Number, t: Number) -> Array:
        """The flow map, if the problem knows it."""
        path = self.path
        moved = self.denoise.jump(x / path.alpha(s), path.sigma_tilde(s), path.sigma_tilde(t))  # type: ignore[attr-defined]
        return np.asarray(moved * path.alpha(t))

    def transit(self, x: Array, s: Number, t: Number, eta: Eta, z: Array | None) -> Array:
        """The exact process, if the problem knows it."""
        path = self.path
        moved = self.denoise.transit(x / path.alpha(s), path.sigma_tilde(s), path.sigma_tilde(t), eta, z)  # type: ignore[attr-defined]
        return np.asarray(moved * path.alpha(t))
