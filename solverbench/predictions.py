"""What a field outputs, and the one table that turns any output into any other.

At a time t of a path, x_t = alpha x_0 + sigma eps, and every prediction in use is a linear functional p x_0 + q eps of
the conditional expectations D = E[x_0 | x_t] and eps = E[noise | x_t]:

    x0        D                                  (p, q) = (1, 0)
    noise     eps                                (0, 1)
    score     grad log p_t = -eps / sigma        (0, -1/sigma)
    v         alpha eps - sigma D                (-sigma, alpha)     Salimans & Ho (2022)
    velocity  alpha' D + sigma' eps = dx_t/dt    (alpha', sigma')    flow matching, the probability-flow ODE

Since also x = alpha D + sigma eps, two known numbers (x, output) determine D and eps, hence any third: all twenty
conversions are one 2x2 solve, linear in (x, output), which a plan folds into its coefficients.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from solverbench.errors import UsageError, nearest
from solverbench.numbers import Number
from solverbench.paths import Path

Prediction: TypeAlias = Literal["x0", "noise", "score", "v", "velocity"]
PREDICTIONS: tuple[Prediction, ...] = get_args(Prediction)


def functional(prediction: Prediction, path: Path, t: Number) -> tuple[Number, Number]:
    """Return (p, q) such that the prediction at time t is p D + q eps."""
    match prediction:
        case "x0":
            return t * 0 + 1, t * 0
        case "noise":
            return t * 0, t * 0 + 1
        case "score":
            return t * 0, -1 / path.sigma(t)
        case "v":
            return -path.sigma(t), path.alpha(t)
        case "velocity":
            return path.d_alpha(t), path.d_sigma(t)
    raise UsageError(f"unknown prediction {prediction!r}{nearest(str(prediction), PREDICTIONS)}")


def convert(source: Prediction, target: Prediction, path: Path, t: Number) -> tuple[Number, Number]:
    """Return (a, b) such that target = a x + b source at time t of the path.

    With x = alpha D + sigma eps and source = p D + q eps, Cramer's rule gives D = (q x - sigma source) / det and
    eps = (alpha source - p x) / det with det = alpha q - sigma p. det is a sum of terms of one sign for every
    prediction (for the velocity it is the Wronskian alpha sigma' - alpha' sigma), so nothing cancels.
    Raises UsageError for an unknown prediction.
    """
    p, q = functional(source, path, t)
    p_target, q_target = functional(target, path, t)
    if source == target:
        return t * 0, t * 0 + 1
    alpha, sigma = path.alpha(t), path.sigma(t)
    det = alpha * q - sigma * p
    return (p_target * q - q_target * p) / det, (q_target * alpha - p_target * sigma) / det
