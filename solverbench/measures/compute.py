"""What things cost: floating-point operations of a model, counted by torch on a real call, and seconds side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from solverbench.errors import UsageError
from solverbench.fields.base import Field
from solverbench.measures.estimate import Estimate


def flops_per_evaluation(field: Field, batch: int = 64) -> float | None:
    """Floating-point operations of one evaluation per sample, matrix products and convolutions; None if none are seen.

    Counted by torch's own counter on a batch, so that work shared by a batch is shared here too.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    x = torch.zeros((batch, *field.shape), dtype=torch.float32)
    t = (field.path.t_min + field.path.t_max) / 2
    field(x, t)  # coefficients that are made once per time are not an evaluation's
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        field(x, t)
    total = counter.get_total_flops()
    return total / batch if total else None


def interleaved(
    candidates: Mapping[str, Callable[[], object]],
    rounds: int = 11,
    warmup: int = 2,
    synchronise: Callable[[], object] | None = None,
) -> dict[str, Estimate]:
    """Seconds of each candidate: the median over rounds in which all take turns, so a slow moment falls on all alike.

    Whose turn is first moves on by one each round, so that a round's end and beginning fall on all. Standard errors are
    those of a median by the spread about it. `synchronise`, for instance torch.cuda.synchronize, is waited for before
    each clock reading. Raises UsageError for fewer than three rounds.
    """
    if rounds < 3:
        raise UsageError(f"a median of times needs three rounds or more, got {rounds}")
    wait = synchronise or (lambda: None)
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    names = list(candidates)
    for turn in range(warmup + rounds):
        first = turn % max(1, len(names))
        for name in names[first:] + names[:first]:
            wait()
            started = time.perf_counter()
            candidates[name]()
            wait()
            if turn >= warmup:
                seconds[name].append(time.perf_counter() - started)
    return {name: _median(np.array(values)) for name, values in seconds.items()}


def _median(values: np.ndarray[Any, np.dtype[np.float64]]) -> Estimate:
    """With its standard error for a normal law of the observed median absolute deviation: 1.4826 MAD sqrt(pi/2n).

    That deviation tells a spread as well as 0.37 n samples do by their standard deviation (Rousseeuw & Croux 1993, J.
    Am. Stat. Assoc. 88, table 2), so these are the degrees of freedom.
    """
    median = float(np.median(values))
    deviation = 1.4826 * float(np.median(np.abs(values - median)))
    se = deviation * float(np.sqrt(np.pi / (2 * len(values))))
    degrees = 0.37 * (len(values) - 1)
    return Estimate(median, len(values), se, "median of interleaved rounds", degrees)
