"""The exact law a sampler produces on a Gaussian field, and where its error comes from.

    initialisation   the exact process, started from the prior instead of the exact law: what no solver can repair
    truncation       the exact process down to the last time with noise, then the final step: what the grid's end costs
    discretisation   the solver from the exact law against that: what the steps cost

each a distance between two laws, alone and with each of the others; `total` is all three, the solver from the prior
against the data. The parts do not add up: they are of either sign direction by direction, and a total smaller than one
of its parts is a cancellation, not a merit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from solverbench.engines.law import Kernel, Vector, check, jump, kernel
from solverbench.errors import UsageError
from solverbench.fields.base import LinearField
from solverbench.measures import gaussians
from solverbench.plans import Eval, Input, Jump, LinComb, Noise

if TYPE_CHECKING:
    import pandas as pd

    from solverbench.eta import EtaLike
    from solverbench.plans import Plan

Start = Literal["exact", "prior"]
Moments: TypeAlias = tuple[Vector, Vector]
"""(mean, variance) per direction."""


@dataclass(frozen=True)
class Law:
    """The output law N(mean, variance) in the field's eigen-coordinates, against a reference law."""

    mean: Vector
    variance: Vector
    reference_mean: Vector
    reference_variance: Vector
    nfe: int
    kernel: Kernel

    def distance(self, name: str) -> float:
        """A distance to the reference by its name in `gaussians.DISTANCES`."""
        return gaussians.DISTANCES[name](self.mean, self.variance, self.reference_mean, self.reference_variance)

    @property
    def w2(self) -> float:
        """Wasserstein-2 distance to the reference (not squared)."""
        return self.distance("w2")

    @property
    def frechet(self) -> float:
        """Squared Frechet distance to the reference."""
        return self.distance("frechet")

    @property
    def kl(self) -> float:
        """Kullback-Leibler divergence of the output law from the reference, in nats."""
        return self.distance("kl")

    @property
    def reverse_kl(self) -> float:
        """Kullback-Leibler divergence of the reference from the output law, in nats."""
        return self.distance("reverse_kl")

    @property
    def hellinger(self) -> float:
        """Hellinger distance to the reference, from 0 to 1."""
        return self.distance("hellinger")

    @property
    def finite(self) -> bool:
        """Whether the output law is a law at all: a solver may diverge."""
        return bool(np.isfinite(self.mean).all() and np.isfinite(self.variance).all())

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


def law_of(
    plan: Plan,
    field: LinearField,
    start: Start = "exact",
    target: Literal["data", "end"] = "data",
    K: Kernel | None = None,
) -> Law:
    """The exact output law of a plan, compared with the data law or with the exact marginal at the grid's last time.

    K: the plan's kernel, if it is known already.
    """
    if target not in ("data", "end"):
        raise UsageError(f"target must be 'data' or 'end', got {target!r}")
    K = K or kernel(plan, field)
    mean, variance = K.push(*start_moments(field, float(plan.grid.times[0]), start))
    reference = field.moments(0.0 if target == "data" else float(plan.grid.times[-1]))
    return Law(mean, variance, *reference, plan.nfe, K)


def error_split(
    plan: Plan, field: LinearField, eta: EtaLike = 0.0, K: Kernel | None = None
) -> dict[str, dict[str, float]]:
    """{"w2": parts, "kl": parts}: total, initialisation, truncation, discretisation and, joined by _, pairs of them.

    eta: strength of the exact process the solver discretises, 0 for ODE solvers. K: as in `law_of`.
    """
    K, ideal, t = K or kernel(plan, field), ideal_kernel(plan, field, eta), float(plan.grid.times[0])
    exact, prior = start_moments(field, t, "exact"), start_moments(field, t, "prior")
    data, end = field.moments(0.0), ideal.push(*exact)
    pairs = {
        "total": (K.push(*prior), data),
        "initialisation": (Kernel(*field.transition(t, 0.0, eta)).push(*prior), data),
        "truncation": (end, data),
        "discretisation": (K.push(*exact), end),
        "initialisation_truncation": (ideal.push(*prior), data),
        "initialisation_discretisation": (K.push(*prior), end),
        "truncation_discretisation": (K.push(*exact), data),
    }
    return {
        name: {part: distance(*law, *reference) for part, (law, reference) in pairs.items()}
        for name, distance in (("w2", gaussians.w2), ("kl", gaussians.kl))
    }


@dataclass(frozen=True)
class History:
    """The joint law of the states a plan evaluates and of its output, per direction."""

    times: tuple[float, ...]
    """Of the m states: those of the evaluations, then the last of the grid."""
    responses: np.ndarray[Any, np.dtype[np.float64]]
    """(m, 1 + draws, d): what the start and every draw weigh in each state."""
    offsets: np.ndarray[Any, np.dtype[np.float64]]
    """(m, d)."""
    start: Moments

    @property
    def mean(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """(m, d)."""
        return self.responses[:, 0] * self.start[0] + self.offsets

    @property
    def covariance(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """(m, m, d): of each state with each other, direction by direction."""
        scaled = self.responses.copy()
        scaled[:, 0] *= np.sqrt(self.start[1])
        product: np.ndarray[Any, np.dtype[np.float64]] = np.einsum("ikd,jkd->ijd", scaled, scaled)
        return product


def history(plan: Plan, field: LinearField, start: Start = "exact") -> History:
    """The joint law of all evaluated states and the output: for processes, not only their ends.

    A forward sweep with a row for the start and for every draw, so memory is that of (live values) (2 + draws) d
    numbers. Raises UsageError as `kernel` does.
    """
    check(plan, field)
    moments = start_moments(field, float(plan.grid.times[0]), start)
    rows, d = 2 + plan.draws, moments[0].size  # the offset comes last
    value: dict[int, np.ndarray[Any, np.dtype[np.float64]]] = {}
    kept, times = [], []
    for v, instruction in enumerate(plan.code):
        match instruction:
            case Input() | Noise():
                value[v] = np.zeros((rows, d))
                value[v][0 if isinstance(instruction, Input) else 1 + instruction.draw] = 1
            case LinComb(terms):
                value[v] = sum((float(c) * value[u] for u, c in terms), np.zeros((rows, d)))
            case Eval(u, t):
                slope, offset = field.affine(t)
                value[v] = slope * value[u]
                value[v][-1] += offset
                kept.append(value[u])
                times.append(float(t))
            case Jump(u, s, t, eta, z):
                slope, offset, spread = jump(field, s, t, eta)
                value[v] = slope * value[u] + (0 if z is None else spread * value[z])
                value[v][-1] += offset
                kept.append(value[u])
                times.append(float(s))
        for u in plan.schedule.dead[v]:
            value.pop(u, None)
    found = np.stack([*kept, value[plan.output]])
    return History((*times, float(plan.grid.times[-1])), found[:, :-1], found[:, -1], moments)


def ideal_kernel(plan: Plan, field: LinearField, eta: EtaLike = 0.0) -> Kernel:
    """The kernel of a perfect solver of this grid: exact down to the tail, which is the denoiser's output.

    A plan that jumps onto the data evaluates nothing there, and a perfect jump ends on the data.
    """
    grid = plan.grid
    first = float(grid.times[0])
    if grid.tail is None or any(isinstance(i, Jump) for i in plan.code):
        return Kernel(*field.transition(first, float(grid.times[-1]), eta))
    s, t = (float(u) for u in grid.tail)
    exact = Kernel(*field.transition(first, s, eta))
    alpha_s, alpha_t, sigma = (float(a) for a in (field.path.alpha(s), field.path.alpha(t), field.path.sigma(s)))
    mu, V = field.moments(0.0)
    slope = alpha_t * alpha_s * V / (alpha_s**2 * V + sigma**2)  # of the denoiser
    return Kernel(slope * exact.A, alpha_t * mu + slope * (exact.b - alpha_s * mu), slope**2 * exact.Q)


def transfer(plan: Plan, field: LinearField, start: Start = "exact", eta: EtaLike = 0.0) -> pd.DataFrame:
    """What a sampler does to each direction of the spectrum, beside the exact process of strength eta.

    One row per direction, in the order of decreasing data variance: `variance` of the data; `gain` and `noise`, A and
    sqrt(Q) of x_out = A x_start + b + sqrt(Q) z, and `exact_gain`, `exact_noise` of the exact process to where the grid
    ends; `std` and `exact_std`, the deviations from the given start and of the data, with `ratio` of the two (nan
    where the data are a point) and `mean_error`.
    """
    import pandas as pd

    law = law_of(plan, field, start)
    K, exact = law.kernel, Kernel(*field.transition(float(plan.grid.times[0]), float(plan.grid.times[-1]), eta))
    std, data = np.sqrt(law.variance), np.sqrt(law.reference_variance)
    table = {
        "variance": law.reference_variance,
        "gain": K.A,
        "exact_gain": exact.A,
        "noise": np.sqrt(K.Q),
        "exact_noise": np.sqrt(exact.Q),
        "std": std,
        "exact_std": data,
        "ratio": np.divide(std, data, out=np.full_like(std, np.nan), where=data > 0),
        "mean_error": law.mean_error,
    }
    return pd.DataFrame(table).sort_values("variance", ascending=False, kind="stable").rename_axis("direction")
