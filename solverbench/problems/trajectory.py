"""Problems on trained fields: every solver against the field's own trajectories from the same noise.

Nothing about a trained field is known exactly, but its probability-flow ODE is as well defined as any. Cells start from
the same draws of the prior and are compared with the end points a fine grid of the same rule leads to; the last
evaluation, the denoiser at the smallest noise level, is part of both. What differs is the discretisation alone. The
reference's own error is estimated from a grid half as fine, so it is stated for the worse of the two.

An evaluation of a guided field is two of its network; budgets and NFE count the network's.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from solverbench.engines.torch import Runner
from solverbench.errors import UsageError
from solverbench.measures.error import paired_error
from solverbench.methods import SOLVERS, Solver
from solverbench.plans import Plan
from solverbench.problems.base import Judgement, OnField, as_pictures

PICTURES = 8
REFERENCE = "rk4"


class TrajectoryProblem(OnField):
    """Paired error of ODE solvers on a field that need not be smooth, exact or known."""

    needs = ()

    def applies(self, solver: Solver) -> str | None:
        """Only what follows trajectories can be compared with one."""
        if solver.stochastic:
            return "it draws noise, and there is no exact law of a trained field to compare its outputs with"
        return super().applies(solver)

    def prepare(self) -> None:
        """Draw the starting states and follow them on a fine grid, and on one half as fine."""
        import torch

        from solverbench.sampling import start

        grid, steps = self.grid(self.spec.steps), self.spec.steps
        self._start = torch.from_numpy(start(self.field, grid, self.spec.paired, self.seed, dtype=np.float32))
        self._reference, _ = self._run(SOLVERS[REFERENCE], steps)
        coarse, _ = self._run(SOLVERS[REFERENCE], steps // 2)
        self._error = float(np.sqrt(np.mean((self._reference - coarse) ** 2)))
        if not np.isfinite(self._reference).all():
            raise UsageError("the field is not finite along its own trajectories")

    def judge(self, solver: Solver, plan: Plan) -> Judgement:
        """Run the plan in float32 on all starting states."""
        started = time.perf_counter()
        x, runner = self._follow(plan)
        measures: dict[str, Any] = {
            "sampling_seconds": time.perf_counter() - started,
            "field_seconds": runner.meter.field,
            "overhead_seconds": runner.meter.overhead,
            "n": len(x),
            "n_paired": len(x),
            "reference_error": self._error,
        }
        bad = int(np.sum(~np.isfinite(x).reshape(len(x), -1).all(axis=1)))
        if bad:
            return Judgement(
                measures, "diverged", f"{bad} of {len(x)} samples are not finite", as_pictures(x[:PICTURES])
            )
        return Judgement(measures | paired_error(x, self._reference), images=as_pictures(x[:PICTURES]))

    def _run(self, solver: Solver, steps: int) -> tuple[Any, Runner]:
        return self._follow(solver.plan(self.field.path, self.grid(steps), self.field.prediction))

    def _follow(self, plan: Plan) -> tuple[Any, Runner]:
        runner = Runner(plan, len(self._start), self.field.shape, self._start.dtype)
        return runner(self.field, self._start, seed=self.seed).double().numpy(), runner

    @property
    def reference_images(self) -> Any:
        """End points of the reference trajectories of the pictured samples."""
        return as_pictures(self._reference[:PICTURES])
