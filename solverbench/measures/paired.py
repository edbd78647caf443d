"""Errors of outputs against exact or reference outputs from the same starts, each with its standard error.

A reference known to e cannot judge an error near e. What is below `RESOLVES` times e is refused here, and told as
"less than that" in reports; the remedy is a better reference.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from solverbench.errors import UsageError
from solverbench.measures.estimate import Estimate, function_of, mean_of
from solverbench.measures.moments import Array

RESOLVES = 100
"""Times the reference's own error that an error must be, so that the reference changes it by one per cent at most."""
PEAK = 2.0
"""Of pixels in [-1, 1]."""
METHOD = "paired, over starts"
_KEPT = np.finfo(np.float32)
"""What runs keep squared errors in: typical errors of states and of a run's numbers have the same limits."""


def errors(x: Any, reference: Any, reference_error: float = 0.0, peak: float = PEAK) -> dict[str, Estimate]:
    """rmse, typical, max, relative and psnr (in dB) of states x (n, *shape) to reference states of the same starts.

    rmse is per number of a state; typical and max are the geometric mean and the largest of each start's own; relative
    is the norm of the errors by that of the reference. Standard errors are over starts, to first order, and intervals
    those of the means that they are functions of; a maximum has neither. Raises UsageError for unlike shapes and for an
    rmse below RESOLVES times `reference_error`, the root-mean-square error of the reference.
    """
    x, reference = np.asarray(x, np.float64), np.asarray(reference, np.float64)
    if x.shape != reference.shape or len(x) == 0:
        raise UsageError(f"paired errors need states from the same starts, got shapes {x.shape} and {reference.shape}")
    square, size = squared_errors(x, reference), squared_errors(reference, 0.0)
    mean = mean_of(square, METHOD)
    rmse = _root_of(mean)
    if rmse.value < RESOLVES * reference_error:
        raise UsageError(
            f"an error of {rmse.value:.3g} cannot be told by a reference that is known to {reference_error:.3g}: it "
            f"takes {RESOLVES} times that; tighten the reference (rtol or steps)"
        )
    decibels = -10 / math.log(10) / mean.value if mean.value else math.inf
    return {
        "rmse": rmse,
        "typical": typical(square, reference_error),
        "max": Estimate(math.sqrt(float(square.max())), len(x), math.nan, "worst start"),
        "relative": _root_of(_ratio(square, size)),
        "psnr": function_of(mean, partial(_psnr, peak=peak), decibels),
    }


def squared_errors(x: Array, reference: Array | float) -> Array:
    """Mean squared error of each state (n,), per number of states x (n, *shape)."""
    return np.asarray(((x - reference) ** 2).reshape(len(x), -1).mean(axis=1))


def typical(squares: Any, reference_error: float = 0.0) -> Estimate:
    """Geometric mean of the roots of squared errors (n,), which a few bad starts cannot dominate.

    A start's error counts as the reference's where it is less.
    """
    if not (np.any(squares) or reference_error):
        return Estimate(0.0, len(squares), 0.0, METHOD, len(squares) - 1)
    mean = mean_of(logarithms(squares, reference_error), METHOD)
    return function_of(mean, root_of_power, root_of_power(mean.value) / 2)


def logarithms(squares: Any, reference_error: float = 0.0) -> Array:
    """What `typical` is the mean of: of squared errors within those of the reference and of float32, as runs keep them.

    nan of what is below zero.
    """
    values = np.asarray(squares, np.float64)
    inside = np.clip(values, max(reference_error**2, float(_KEPT.smallest_subnormal)), float(_KEPT.max))
    return np.log(np.where(values < 0, np.nan, inside))


@np.errstate(over="ignore")
def root_of_power(logarithm: Any) -> Any:
    """The root of a square from its logarithm."""
    return np.exp(logarithm / 2)


def _root_of(mean: Estimate) -> Estimate:
    return function_of(mean, _root, 0.5 / _root(mean.value) if mean.value else math.inf)


def _root(mean: float) -> float:
    """Below zero are only ends of intervals."""
    return math.sqrt(max(mean, 0.0))


def _psnr(mean: float, peak: float) -> float:
    return -10 * math.log10(mean / peak**2) if mean > 0 else math.inf


def _ratio(a: Array, b: Array) -> Estimate:
    """Of the means of a and b (n,), as the mean of what is one to first order; inf where b is all zeros."""
    if not b.any():
        return Estimate(math.inf, len(a), 0.0, METHOD, len(a) - 1)
    ratio = a.mean() / b.mean()
    return mean_of(ratio + (a - ratio * b) / b.mean(), METHOD)
