"""Problems on trained fields: every solver against the field's own trajectories from the same noise.

Nothing about a trained field is known exactly, but its probability-flow ODE is as well defined as any. Cells start from
the same draws of the prior and are compared with the end points that a fine grid of EDM's rule leads to, whatever
the rule of theirs: with the path's smallest noise level as last evaluation. The reference's own error is estimated from
a grid half as fine, so it is stated for the worse of the two.

Pictures are also compared as sets, by Frechet distances in the features of `cifar10-features`: to the ends of reference
trajectories from the same starts, which a perfect solver reaches, and to the training data, where the goal is what
those ends score: a solver cannot be better than its field, only differ from it by luck. The ends of so many
trajectories come from a cheaper solver, whose distance from the fine reference is measured where both were followed.

An evaluation of a guided field is two of its network; budgets and NFE count the network's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from solverbench.errors import UsageError
from solverbench.grids import grid
from solverbench.measures.features import SHAPE, Extractor
from solverbench.measures.frechet import frechet
from solverbench.measures.moments import Array, Normal
from solverbench.measures.paired import squared_errors
from solverbench.measures.subsets import ToLaw, ToPartners
from solverbench.methods import SOLVERS, Solver
from solverbench.pictures import as_pictures
from solverbench.plans import Plan
from solverbench.problems.along import Watched, followed
from solverbench.problems.base import Judgement
from solverbench.problems.sampled import PICTURES, Sampled, distance_measures, paired_measures

REFERENCE = "rk4"
SET_REFERENCE, SET_STEPS = "unipc-3", 60


class TrajectoryProblem(Sampled):
    """Paired error of ODE solvers on a field that need not be smooth, exact or known."""

    needs = ()

    def applies(self, solver: Solver) -> str | None:
        """Only what follows trajectories can be compared with one."""
        if solver.stochastic:
            return "it draws noise, and there is no exact law of a trained field to compare its outputs with"
        return super().applies(solver)

    @cached_property
    def _start(self) -> Any:
        import torch

        from solverbench.sampling import start

        n = self.spec.samples if self.field.shape == SHAPE else self.spec.paired
        return torch.from_numpy(start(self.field, self.grid(2), n, self.seed, dtype=np.float32))

    def prepare(self) -> None:
        """Draw the starting states and follow them on a fine grid, and on one half as fine."""
        paired, steps = self.spec.paired, self.spec.steps
        self._extract = Extractor() if self.field.shape == SHAPE else None
        few = self._start[:paired]
        (self._reference, way), (coarse, rough) = (
            self._watched(SOLVERS[REFERENCE], count, few) for count in (steps, steps // 2)
        )
        if not np.isfinite(self._reference).all():
            raise UsageError("the field is not finite along its own trajectories")
        self._trajectory = followed(way, rough, self.field.path)
        self._count_operations()
        self._known: dict[str, Any] = {
            "n": len(self._start),
            "n_paired": paired,
            "reference_error": _rms(self._reference - coarse),
        }
        if self._extract:
            ends, _ = self._watched(SOLVERS[SET_REFERENCE], SET_STEPS, self._start)
            self._ends = self._extract(ends)
            self._known["set_error"] = _rms(ends[:paired] - self._reference)
            self._known["fd_data_floor"] = frechet(Normal.of(self._ends), self._extract.data)

    def judge(self, solver: Solver, plan: Plan) -> Judgement:
        """Run the plan in float32 on all starting states."""
        x, judgement = self._judged(plan, self._known)
        if judgement.status != "ok":
            return judgement
        measures, few = judgement.measures, x[: self.spec.paired]
        measures |= paired_measures(few, self._reference)
        by_start = {"squared_errors": squared_errors(few, self._reference)}
        if self._extract:
            features = self._extract(x)
            both, data = ToPartners(features, self._ends), ToLaw(features, self._extract.data)
            for name, distance in (("fd_reference", both), ("fd_data", data)):
                found, terms = distance_measures(name, distance)
                measures |= found
                by_start |= terms
        return replace(judgement, by_start=by_start)

    def asks(self, solver: Solver | None = None, plan: Plan | None = None) -> Sequence[Any]:
        """The programs of the solvers its references come from, on a few steps: a changed coefficient shows."""
        path, few = self.field.path, grid("edm", self.field.path, 8)
        return [SOLVERS[name].plan(path, few, self.field.prediction) for name in (REFERENCE, SET_REFERENCE)]

    def _watched(self, solver: Solver, steps: int, x: Any) -> tuple[Array, dict[float, Any]]:
        """The ends of a run on a grid of EDM's rule, and the states it passes through by time."""
        fine = grid("edm", self.field.path, steps, t_max=float(self.grid(2).times[0]))
        watched = Watched(self.field, fine.times)
        ends, _ = self.run(solver.plan(self.field.path, fine, self.field.prediction), x, watched)
        return ends, watched.seen

    @property
    def reference_images(self) -> Any:
        """End points of the reference trajectories of the pictured samples."""
        return as_pictures(self._reference[:PICTURES])


def _rms(x: Array) -> float:
    return float(np.sqrt(np.mean(x**2)))
