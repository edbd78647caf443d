"""Errors of outputs against exact or reference outputs from the same starts, each with its standard error.

A reference known to e cannot judge an error near e. What is below `RESOLVES` times e is refused here, and told as
"less than that" in reports; the remedy is a better reference.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from solverbench.errors import UsageError
from solverbench.measures.estimate import Estimate, standard_error
from solverbench.measures.moments import Array

RESOLVES = 100
"""Times the reference's own error that an error must be, so that the reference changes it by one per cent at most."""
PEAK = 2.0
"""Of pixels in [-1, 1]."""


def errors(x: Any, reference: Any, reference_error: float = 0.0, peak: float = PEAK) -> dict[str, Estimate]:
    """rmse, max, relative and psnr (in dB) of states x (n, *shape) against reference states from the same starts.

    rmse is per number of a state; max is the worst start's; relative is the norm of the errors by that of the
    reference. Standard errors are over starts, to first order; a maximum has none. Raises UsageError for unlike shapes
    and for an rmse below RESOLVES times `reference_error`, the root-mean-square error of the reference.
    """
    x, reference = np.asarray(x, np.float64), np.asarray(reference, np.float64)
    if x.shape != reference.shape or len(x) == 0:
        raise UsageError(f"paired errors need states from the same starts, got shapes {x.shape} and {reference.shape}")
    n = len(x)
    square, size = squared_errors(x, reference), squared_errors(reference, 0.0)
    mean = float(square.mean())
    rmse = math.sqrt(mean)
    if rmse < RESOLVES * reference_error:
        raise UsageError(
            f"an error of {rmse:.3g} cannot be told by a reference that is known to {reference_error:.3g}: it takes "
            f"{RESOLVES} times that; tighten the reference (rtol or steps)"
        )
    relative = mean / float(size.mean()) if size.any() else math.inf
    psnr = 10 * math.log10(peak**2 / mean) if mean else math.inf
    method = "paired, over starts"
    return {
        "rmse": Estimate(rmse, n, standard_error(square) / (2 * rmse) if rmse else 0.0, method, n - 1),
        "max": Estimate(math.sqrt(float(square.max())), n, math.nan, "worst start"),
        "relative": Estimate(math.sqrt(relative), n, _relative_se(square, size, relative), method, n - 1),
        "psnr": Estimate(psnr, n, 10 / math.log(10) * standard_error(square) / mean if mean else 0.0, method, n - 1),
    }


def squared_errors(x: Array, reference: Array | float) -> Array:
    """Mean squared error of each state (n,), per number of states x (n, *shape)."""
    return np.asarray(((x - reference) ** 2).reshape(len(x), -1).mean(axis=1))


def _relative_se(square: Array, size: Array, ratio: float) -> float:
    """Of the square root of a ratio of means."""
    if not 0 < ratio < math.inf:
        return 0.0
    return standard_error((square - ratio * size) / float(size.mean())) / (2 * math.sqrt(ratio))
