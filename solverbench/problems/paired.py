"""Sampled problems: paired error against reference trajectories, and the Frechet distance of sets of outputs.

All cells start from the same exact samples of the marginal at the grid's first time, so what differs is the solver's
doing. The first `paired` of them have reference trajectories (ODE solvers only: a stochastic solver has no trajectory
to follow). The Frechet distance, in pixel space, is to the mean and covariance of the exact law, which is what
infinitely many exact samples would give; its floor is the same distance for n exact samples.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from solverbench.grids import Grid
from solverbench.measures.frechet import frechet_squared
from solverbench.measures.likelihood import bits, log_likelihood
from solverbench.measures.moments import Array, Normal
from solverbench.measures.paired import squared_errors
from solverbench.measures.subsets import ToLaw
from solverbench.methods import Solver
from solverbench.pictures import as_pictures
from solverbench.plans import Plan
from solverbench.predictions import convert
from solverbench.problems.base import Judgement
from solverbench.problems.reference import Reference, reference_solution
from solverbench.problems.sampled import PICTURES, Sampled, distance_measures, paired_measures

FLOOR_DRAWS = 32
"""Sets of exact samples that are scored: their standard deviation is then known to an eighth, 1/sqrt(2 (32 - 1))."""
START_SEED, FLOOR_SEED, LIKELIHOOD_SEED = 1, 2, 3  # added to 1000 x the run's seed: starts are drawn as nothing else is
FEW = 1024
"""Dimensions up to which a standard error costs little, however many the samples; beyond, if there are fewer."""
LIKELIHOODS = 16
"""Samples whose likelihoods are computed. All errors of a solver are much alike, so few are enough."""


class PairedProblem(Sampled):
    """A mixture: exact start, exact law of the data, and a reference for every ODE trajectory."""

    needs = ("sample", "covariance_times")
    reference: Reference

    @cached_property
    def _start(self) -> Any:
        import torch

        t = float(self.grid(2).times[0])
        start = self.field.sample(self.spec.samples, seed=1000 * self.seed + START_SEED, t=t)
        return torch.from_numpy(start.astype(np.float32))

    def prepare(self) -> None:
        """Draw the starting states, integrate the references, measure the floor of the Frechet distance."""
        n, t = self.spec.samples, float(self.grid(2).times[0])
        if self.spec.paired:  # the reference starts where the float32 runs start, rounding included
            self.reference = reference_solution(
                self.field, self._start[: self.spec.paired].double().numpy(), t, self.spec.rtol
            )
            self._trajectory = self.reference.trajectory
            self._perfect = self._denoised_error()
        self._mean, variance = self.field.moments()
        self._times = self.field.covariance_times
        self._trace = float(variance.sum())
        seeds = (1000 * self.seed + FLOOR_SEED + k for k in range(FLOOR_DRAWS))
        floors = [self._frechet(self.field.sample(n, seed=s)) for s in seeds]
        self._floor = float(np.mean(floors)), float(np.std(floors, ddof=1))
        self._count_operations()

    def judge(self, solver: Solver, plan: Plan) -> Judgement:
        """Run the plan in float32 on all starting states."""
        known = {
            "n": len(self._start),
            "n_paired": self.spec.paired,
            "reference_error": self.reference.rms_error if self.spec.paired else None,
            "fd_floor": self._floor[0],
            "fd_floor_sd": self._floor[1],
        }
        x, judgement = self._judged(plan, known)
        if judgement.status != "ok":
            return judgement
        measures, by_start = judgement.measures, dict[str, Array]()
        if self.spec.paired and not plan.draws:
            few = x[: self.spec.paired]
            by_start["squared_errors"] = squared_errors(few, self.reference.x)
            measures |= paired_measures(few, self.reference.x)
            measures["rmse_truncation"] = self._truncation(plan)
        bits = self._likelihoods(solver, lambda: self._bits(solver, plan.grid))
        for found, terms in filter(None, (self._distance(x), bits)):
            measures |= found
            by_start |= terms
        return replace(judgement, by_start=by_start)

    def _denoised_error(self) -> float:
        """The root-mean-square error of the exact trajectories denoised at the reference's `end`."""
        reference = self.reference
        a, b = convert(self.field.prediction, "x0", self.field.path, reference.end)
        D = a * reference.x_end + b * self.field(reference.x_end, reference.end)
        return float(np.sqrt(np.mean((D - reference.x) ** 2)))

    def _bits(self, solver: Solver, grid: Grid) -> tuple[dict[str, float], dict[str, Array]]:
        """The likelihood of exact samples at the grid's last time with noise, going up to the prior, against theirs."""
        path, times = self.field.path, grid.times
        t = float(times[-2] if path.is_data(times[-1]) else times[-1])
        x = self.field.sample(LIKELIHOODS, seed=1000 * self.seed + LIKELIHOOD_SEED, t=t)
        exact = bits(self.field.log_density(x, t), x[0].size)
        found = log_likelihood(self.field, x, solver, grid).bits
        error = found - exact
        told = {
            "bits": found.mean(),
            "bits_exact": exact.mean(),
            "bits_error": abs(error.mean()),
            "bits_error_se": error.std(ddof=1) / math.sqrt(len(x)),
            "n_bits": len(x),
        }
        terms = {"bits_by_start": error * np.sign(error.mean())}
        return {key: float(value) for key, value in told.items()}, terms

    def _truncation(self, plan: Plan) -> float | None:
        """What a perfect solver of this grid would score: exact down to the last evaluation, then the denoiser.

        None for grids whose last evaluation is elsewhere than the path's own.
        """
        tail = plan.grid.tail
        return self._perfect if tail is not None and math.isclose(tail[0], self.reference.end) else None

    def _frechet(self, x: np.ndarray[Any, Any]) -> float:
        return frechet_squared(self._coordinates(x), self._mean, self._trace, self._times)

    def _distance(self, x: np.ndarray[Any, Any]) -> tuple[dict[str, float], dict[str, Array]]:
        """The Frechet distance, with its standard error where that costs little: few samples or few dimensions."""
        z = self._coordinates(x)
        n, d = z.shape
        if n > d > FEW:
            return {"fd": self._frechet(x)}, {}
        to_law = ToLaw(z, self._law) if n > d else ToLaw.implicit(z, self._mean, self._trace, self._times)
        return distance_measures("fd", to_law)

    @cached_property
    def _law(self) -> Normal:
        return Normal(self._mean, self._times(np.eye(len(self._mean))))

    def _coordinates(self, x: np.ndarray[Any, Any]) -> Any:
        return self.field.basis.forward(np.asarray(x, dtype=np.float64))  # a rotation: distances are those of pixels

    @property
    def reference_images(self) -> Any:
        """End points of the reference trajectories of the pictured samples, if there are any."""
        return None if not self.spec.paired else as_pictures(self.reference.x[:PICTURES])
