"""Gaussian problems: the exact law of the output, no samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from solverbench.engines.law import Kernel, kernel
from solverbench.engines.noise import START, normals
from solverbench.eta import ZERO
from solverbench.grids import Grid
from solverbench.measures.gaussians import DISTANCES
from solverbench.measures.law import error_split, law_of
from solverbench.measures.likelihood import mean_bits
from solverbench.methods import Solver
from solverbench.pictures import as_pictures
from solverbench.plans import Plan
from solverbench.problems.base import Judgement, OnField

PICTURES = 8


class LawProblem(OnField):
    """Distances of the output law to the data, split into their sources, and pictures drawn from that law."""

    needs = ("affine",)

    def prepare(self) -> None:
        """Nothing: everything is in closed form."""

    def judge(self, solver: Solver, plan: Plan) -> Judgement:
        """Propagate the law through the plan, from the path's prior and from the exact marginal."""
        K = kernel(plan, self.field)
        law, total = (law_of(plan, self.field, start, K=K) for start in ("exact", "prior"))
        measures: dict[str, Any] = {name: total.distance(name) for name in DISTANCES}
        # churn and the like follow no process; what the start costs is then stated for the ODE
        for name, parts in error_split(plan, self.field, solver.strength or ZERO, K).items():
            measures |= {f"{name}_{part}": value for part, value in parts.items() if part != "total"}
        measures |= self._likelihoods(solver, lambda: self._bits(solver, plan.grid)) or {}
        measures["mean_error"] = float(np.sqrt(np.sum(law.mean_error**2)))
        measures["std_error_min"] = float(law.std_error.min())
        measures["std_error_max"] = float(law.std_error.max())
        finite = law.finite and total.finite
        return Judgement(
            measures,
            "ok" if finite else "diverged",
            None if finite else "the output law is not finite",
            self._pictures(K, float(plan.grid.times[0])),
        )

    def _bits(self, solver: Solver, grid: Grid) -> dict[str, float]:
        found, exact = mean_bits(self.field, solver, grid)
        return {"bits": found, "bits_exact": exact, "bits_error": abs(found - exact)}

    def asks(self, solver: Solver | None = None, plan: Plan | None = None) -> Sequence[Any]:
        """The strength of the process whose parts its error is split by, and what all problems ask."""
        return [] if solver is None else [str(solver.strength), *super().asks(solver, plan)]

    def _pictures(self, K: Kernel, t: float) -> Any:
        """Draws from the transition kernel of a sampler that starts at time t; None if there are none to be kept."""
        if not self._shown:
            return None
        z = normals(self.seed, START + 1, 0, PICTURES, K.b.size)
        return as_pictures(self.field.pictures(K.A * self._start(t) + K.b + np.sqrt(K.Q) * z))

    @property
    def _shown(self) -> bool:
        return self.spec.pictures and hasattr(self.field, "pictures")

    def _start(self, t: float) -> Any:
        """The pictured starting states: exact samples of the marginal at time t, in eigen-coordinates."""
        mean, variance = self.field.moments(t)
        return mean + np.sqrt(variance) * normals(self.seed, START, 0, PICTURES, mean.size)

    @property
    def reference_images(self) -> Any:
        """The exact flow map's images of the starting states."""
        if not self._shown:
            return None
        t = float(self.grid(2).times[0])
        slope, offset = self.field.jump_affine(t, 0.0)
        return as_pictures(self.field.pictures(slope * self._start(t) + offset))
