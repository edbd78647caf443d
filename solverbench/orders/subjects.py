"""What is measured: anything that takes states from one noise level to the next, our own solvers among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from solverbench.eta import ONE, ZERO, Eta
from solverbench.grids import Grid
from solverbench.methods.registry import Solver
from solverbench.numbers import Number
from solverbench.paths import Path
from solverbench.paths import path as named_path
from solverbench.plans import Plan

Array: TypeAlias = NDArray[Any]
Denoise: TypeAlias = Callable[[Array, Number], Array]
"""denoise(x~ (n, d), sigma~) -> D (n, d)."""
Draw: TypeAlias = Callable[[int], Array]
"""draw(k) -> standard normal numbers (n, d) of the k-th draw."""
Run: TypeAlias = Callable[[Denoise, Array, tuple[Number, ...], Draw], Array]
"""run(denoise, x~ (n, d) at sigmas[0], decreasing sigmas, draw) -> x~ (n, d) at sigmas[-1]."""


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
    intervals: Callable[[tuple[Number, ...]], list[tuple[float, float]]] | None = None
    """Noise levels (from, to) of each draw on a grid, if they are known."""


def subject(solver: Solver, path: Path | str = "edm") -> Subject:
    """One of our solvers, integrated on the given path; the state is scaled on the way in and out."""
    on = named_path(path)

    def planned(sigmas: tuple[Number, ...]) -> Plan:
        times = tuple(on.inverse_sigma_tilde(sigma) for sigma in sigmas)
        return solver.plan(on, Grid(on, times), "x0")

    def run(denoise: Denoise, x: Array, sigmas: tuple[Number, ...], draw: Draw) -> Array:
        from solverbench.engines import numpy as engine

        plan = planned(sigmas)
        first, last = plan.grid.times[0], plan.grid.times[-1]
        states = engine.run(plan, _On(on, denoise), x * on.alpha(first), draw)
        return np.asarray(states / on.alpha(last))

    def intervals(sigmas: tuple[Number, ...]) -> list[tuple[float, float]]:
        return [(float(on.sigma_tilde(i.s)), float(on.sigma_tilde(i.t))) for i in planned(sigmas).noise]

    eta, jumps = strength(solver), solver.integrates == "flow map"
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
        intervals=intervals,
    )


def strength(solver: Solver) -> Eta | None:
    """Of the reverse process a solver follows: its option eta, 1 if it draws noise and has none, and None if its noise
    is not that of a process (churn, restarts, jumps) or one of no such strength (most scales of ER-SDE)."""
    options = solver.options
    if isinstance(scale := options.get("scale"), str):  # of ER-SDE
        named = {"ode": ZERO, "sde": ONE}
        return named[scale] if scale in named else Eta.of(scale) if scale[:1].isdigit() else None
    if isinstance(eta := options.get("eta"), Eta):
        return eta.root if options.get("levels") == "time" else eta
    if solver.stochastic and (options.get("visits") or options.get("s_churn") or solver.integrates == "flow map"):
        return None
    return Eta.of(eta if eta is not None else float(solver.stochastic))


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
