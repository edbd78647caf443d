"""Paired errors: outputs of a solver against the exact or reference outputs from the same starting states."""

from __future__ import annotations

from typing import Any

import numpy as np


def paired_error(x: np.ndarray[Any, Any], reference: np.ndarray[Any, Any]) -> dict[str, float]:
    """Root-mean-square error per number of states x (n, ...), the standard error of that root, and the worst sample."""
    per_sample = squared_errors(x, reference)
    rmse = float(np.sqrt(per_sample.mean()))
    spread = float(per_sample.std(ddof=1)) / np.sqrt(len(x)) if len(x) > 1 else float("nan")
    return {
        "rmse": rmse,
        "rmse_se": spread / (2 * rmse) if rmse else 0.0,
        "rmse_max": float(np.sqrt(per_sample.max())),
    }


def squared_errors(x: np.ndarray[Any, Any], reference: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Mean squared error of each state (n,), per number of states x (n, ...)."""
    return np.asarray(((x - reference) ** 2).reshape(len(x), -1).mean(axis=1))
