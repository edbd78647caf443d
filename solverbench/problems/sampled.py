"""What problems that run plans on samples share: their starts, how a plan is run on them, and what a record says."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from solverbench.measures.compute import flops_per_evaluation
from solverbench.measures.estimate import mean_of
from solverbench.measures.moments import Array
from solverbench.measures.paired import errors
from solverbench.measures.subsets import Distance, contributions
from solverbench.pictures import as_pictures
from solverbench.plans import Plan
from solverbench.problems.along import Trajectory, Watched
from solverbench.problems.base import Judgement, OnField

PICTURES = 8


class Sampled(OnField):
    """A problem whose cells run in float32, all from the same starting states."""

    _trajectory: Trajectory
    """Of the reference."""
    _flops: float | None

    @cached_property
    def _start(self) -> Any:
        """Starting states, a tensor (n, *shape)."""
        raise NotImplementedError

    def seconds(self, plan: Plan) -> dict[str, float | None]:
        """What it takes to run a plan on all starting states, as a record has it; the problem need not be prepared."""
        return self.run(plan, self._start)[1]

    def _count_operations(self) -> None:
        """Learn what an evaluation costs; torch's counter sees matrix products and convolutions."""
        self._flops = flops_per_evaluation(self.field)

    def _judged(self, plan: Plan, known: dict[str, Any]) -> tuple[Array, Judgement]:
        """(the outputs, a judgement of what they cost: diverged if some are not finite). known: more for the record."""
        watched = Watched(self.field, plan.grid.times[1:])
        x, seconds = self.run(plan, self._start, watched)
        measures: dict[str, Any] = {
            **seconds,
            "flops": None if self._flops is None else self._flops * plan.nfe,
            "flops_per_evaluation": None if self._flops is None else self._flops / self.evaluations,
            **known,
        }
        bad = int(np.sum(~np.isfinite(x).reshape(len(x), -1).all(axis=1)))
        status, reason = ("diverged", f"{bad} of {len(x)} samples are not finite") if bad else ("ok", None)
        followed = self.spec.paired and not (bad or plan.draws)
        along = self._trajectory.errors(watched.seen, self.field.path) if followed else None
        return x, Judgement(measures, status, reason, as_pictures(x[:PICTURES]), along=along)


def distance_measures(name: str, distance: Distance) -> tuple[dict[str, float], dict[str, Array]]:
    """Of a record: a Frechet distance, of four samples or more with its standard error; what it is the mean of."""
    if len(distance) < 4:
        return {name: distance(np.arange(len(distance)))}, {}
    terms = contributions(distance)
    found = mean_of(terms, "jackknife")
    return {name: found.value, f"{name}_se": found.se}, {f"{name}_by_start": terms}


def paired_measures(x: Array, reference: Array) -> dict[str, float]:
    """Of a record: the errors of states (n, *shape) to those of the reference, with their standard errors."""
    found = errors(x, reference)
    told = {"rmse": found["rmse"].value, "rmse_se": found["rmse"].se, "rmse_max": found["max"].value}
    for name in ("relative", "psnr"):
        told |= {name: found[name].value, f"{name}_se": found[name].se}
    return told
