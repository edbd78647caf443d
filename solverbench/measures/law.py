"""The exact law a sampler produces on a Gaussian field, and the three parts of its error.

    initialisation   the exact process, started from the prior instead of the exact law: what no solver can repair
    truncation       the exact process down to the last time with noise, then the final step: what the grid's end costs
    discretisation   the solver from the exact law against that: what the steps cost

each a distance between two laws, and `total`, the solver from the prior against the data. The parts do not add up: they
are of either sign direction by direction, and a total smaller than one of its parts is a cancellation, not a merit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from solverbench.engines.law import Kernel, Vector, kernel
from solverbench.errors import UsageError
from solverbench.fields.base import LinearField
from solverbench.measures import gaussians
from solverbench.plans import Jump

if TYPE_CHECKING:
    from solverbench.plans import Plan

Start = Literal["exact", "prior"]


@dataclass(frozen=True)
class Law:
    """The output law N(mean, variance) in the field's eigen-coordinates, against a reference law."""

    mean: Vector
    variance: Vector
    reference_mean: Vector
    reference_variance: Vector
    nfe: int
    kernel: Kernel

    @property
    def w2(self) -> float:
        """Wasserstein-2 distance to the reference (not squared)."""
        return gaussians.w2(self.mean, self.variance, self.reference_mean, self.reference_variance)

    @property
    def kl(self) -> float:
        """Kullback-Leibler divergence of the output law from the reference, in nats."""
        return gaussians.kl(self.mean, self.variance, self.reference_mean, self.reference_variance)

    @property
    def std_error(self) -> Vector:
        """Signed error of the standard deviation in every direction, sqrt V - sqrt V_ref."""
        error: Vector = np.sqrt(self.variance) - np.sqrt(self.reference_variance)
        return error

    @property
    def mean_error(self) -> Vector:
        """Signed error of the mean in every direction."""
        return self.mean - self.reference_mean

    def __repr__(self) -> str:
        return f"<Law in {self.mean.size} directions: W2={self.w2:.6g}, KL={self.kl:.6g}, nfe={self.nfe}>"


def start_moments(field: LinearField, t: float, start: Start) -> tuple[Vector, Vector]:
    """Mean and variance a sampler starts from at time t. Raises UsageError unless start is "exact" or "prior"."""
    mean, variance = field.moments(t)
    if start == "exact":
        return mean, variance
    if start == "prior":
        return np.zeros_like(mean), np.full_like(variance, field.path.prior_std(t) ** 2)
    raise UsageError(f"start must be 'exact' or 'prior', got {start!r}")


def law_of(plan: Plan, field: LinearField, start: Start = "exact", target: Literal["data", "end"] = "data") -> Law:
    """The exact output law of a plan, compared with the data law or with the exact marginal at the grid's last time."""
    if target not in ("data", "end"):
        raise UsageError(f"target must be 'data' or 'end', got {target!r}")
    K = kernel(plan, field)
    mean, variance = K.push(*start_moments(field, float(plan.grid.times[0]), start))
    reference = field.moments(0.0 if target == "data" else float(plan.grid.times[-1]))
    return Law(mean, variance, *reference, plan.nfe, K)


def error_split(plan: Plan, field: LinearField, eta: float = 0.0) -> dict[str, dict[str, float]]:
    """{"w2": parts, "kl": parts}, parts = total, initialisation, truncation, discretisation.

    eta: strength of the exact process the solver discretises, 0 for ODE solvers.
    """
    K, grid = kernel(plan, field), plan.grid
    t_start = float(grid.times[0])
    exact, prior = start_moments(field, t_start, "exact"), start_moments(field, t_start, "prior")
    data = field.moments(0.0)

    slope, offset, variance = field.transition(t_start, 0.0, eta)
    from_prior = slope * prior[0] + offset, slope**2 * prior[1] + variance
    ideal = _ideal_end(plan, field)
    pairs = {
        "total": (K.push(*prior), data),
        "initialisation": (from_prior, data),
        "truncation": (ideal, data),
        "discretisation": (K.push(*exact), ideal),
    }
    return {
        name: {part: distance(*law, *reference) for part, (law, reference) in pairs.items()}
        for name, distance in (("w2", gaussians.w2), ("kl", gaussians.kl))
    }


def _ideal_end(plan: Plan, field: LinearField) -> tuple[Vector, Vector]:
    """The law a perfect solver of this grid ends with: exact down to the tail, which is the denoiser's output.

    A plan that jumps onto the data evaluates nothing there, and a perfect jump ends on the data.
    """
    grid = plan.grid
    if grid.tail is None or any(isinstance(i, Jump) for i in plan.code):
        return field.moments(float(grid.times[-1]))
    s, t = (float(u) for u in grid.tail)
    mean, variance = field.moments(s)
    alpha, sigma = float(field.path.alpha(s)), float(field.path.sigma(s))
    _, V0 = data = field.moments(0.0)
    slope = float(field.path.alpha(t)) * alpha * V0 / (alpha**2 * V0 + sigma**2)  # of the denoiser
    return data[0] * float(field.path.alpha(t)) + slope * (mean - alpha * data[0]), slope**2 * variance
