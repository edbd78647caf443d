"""GITS: of a teacher's fine grid the times at which straight steps stay closest to its trajectories.

Chen et al. (2024, arXiv 2405.11326): trajectories have one shape whatever their sample, so a few tell which
times matter. The grid is a cheapest path through the teacher's times, found by dynamic programming.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from solverbench.errors import UsageError
from solverbench.grids.rules import Array


def deviation_costs(times: Any, states: Any, slopes: Any) -> Array:
    """cost[i, j]: how much farther from its chord a straight step from times[i] to times[j] leaves a trajectory.

    times: (n,), decreasing. states: (n, samples, ...), the teacher's x at those times, in coordinates in which it moves
    along straight lines where its denoiser is constant (x~ = x/alpha over sigma~). slopes: dx/dt, of the same shape.
    Distances are to the line through a trajectory's first and last state, averaged over samples, and the teacher's own
    distance at times[j] is subtracted, so costs may be negative.
    """
    t = np.asarray(times, dtype=float)
    x, d = (np.asarray(a, dtype=float).reshape(len(t), len(a[0]), -1) for a in (states, slopes))
    chord = (x[-1] - x[0]) / np.linalg.norm(x[-1] - x[0], axis=-1, keepdims=True)

    def distance(states: Array) -> Array:
        away = states - x[-1]
        perpendicular = away - (away * chord).sum(-1, keepdims=True) * chord
        return np.asarray(np.linalg.norm(perpendicular, axis=-1).mean(-1))

    own = distance(x)
    return np.array([[distance(x[i] + (r - s) * d[i]) for r in t] for i, s in enumerate(t)]) - own


def cheapest(costs: Any, steps: int, weight: float = 1.15) -> tuple[int, ...]:
    """Indices 0 = i_0 < ... < i_steps = n - 1 for which sum_k weight^k costs[i_k, i_{k+1}] is least.

    costs: (n, n), of which the part above the diagonal counts. A weight above 1 makes
    later steps count for more; 1.15 is the authors'. Raises UsageError for costs that are no square of numbers, and for
    more steps than the teacher's n - 1.
    """
    costs = np.asarray(costs, dtype=float)
    n = len(costs)
    if costs.shape != (n, n) or np.isnan(costs).any():
        raise UsageError(f"costs must be numbers (n, n), got {np.isnan(costs).sum()} nan in shape {costs.shape}")
    if not 1 <= steps < n:
        raise UsageError(f"a grid of {steps} steps cannot be chosen from {n} times")
    forward = np.where(np.triu(np.ones((n, n)), 1) > 0, costs, np.inf)
    to_end, choices = forward[:, -1], []
    for _ in range(steps - 1):
        through = forward + weight * to_end
        choices.append(through.argmin(axis=1))
        to_end = through.min(axis=1)
    indices = [0]
    for choice in reversed(choices):
        indices.append(int(choice[indices[-1]]))
    return (*indices, n - 1)
