"""States with values, each sample at a time of its own. `methods` states its formulas once: traced they are a plan."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solverbench.errors import UsageError
from solverbench.fields.base import Field
from solverbench.numbers import Number
from solverbench.plans import State
from solverbench.plans.trace import conversion
from solverbench.predictions import Prediction

Array = Any
"""A numpy array or a torch tensor, (m, *shape)."""
Vector = NDArray[np.float64]
"""One number for each sample, (m,)."""


class Model:
    """A field, asked at one time per sample, with a count of how often and for how long."""

    def __init__(self, field: Field) -> None:
        self.field, self.path, self.prediction = field, field.path, field.prediction
        self.calls, self.seconds = 0, 0.0

    def __call__(self, x: Array, t: Vector) -> Array:
        """The field's own predictions of states x (m, *shape) at times t (m,).

        A field that `takes_times` is asked once; others once for each time that occurs. Raises UsageError for answers
        of another shape.
        """
        self.calls += 1
        started = time.perf_counter()
        times, which = np.unique(t, return_inverse=True)
        if len(times) == 1:
            out = self.field(x, float(times[0]))
        elif getattr(self.field, "takes_times", False):
            out = self.field(x, t)
        else:
            out = x * 0
            for k, s in enumerate(times.tolist()):
                rows = np.flatnonzero(which == k)
                out[rows] = self.field(x[rows], s)
        self.seconds += time.perf_counter() - started
        if out.shape != x.shape:
            raise UsageError(f"the field returned shape {tuple(out.shape)} for states of shape {tuple(x.shape)}")
        return out


class Batch(State):
    """States x (m, *shape) as a solver's formulas see them. Coefficients are numbers, or one per sample (m,)."""

    __slots__ = ("_asked", "model", "output", "x")

    def __init__(self, x: Array, model: Model, output: Array = None, asked: Any = None) -> None:
        self.x, self.model = x, model
        self.output, self._asked = output, asked
        """The field's prediction of these states and the times it belongs to, once it was asked."""

    def predict(self, prediction: Prediction, at: Number) -> Batch:
        """The prediction at time `at`, one or one per sample; asking again for the same time costs nothing."""
        t = np.broadcast_to(np.asarray(at, dtype=float), (len(self.x),))
        if self.output is None or not np.array_equal(t, self._asked):
            self.output, self._asked = self.model(self.x, t), t
        a, b = conversion(self.model.prediction, prediction, self.model.path, at)
        return a * self + b * Batch(self.output, self.model)

    def __add__(self, other: Any) -> Batch:
        return self if isinstance(other, int) and other == 0 else Batch(self.x + other.x, self.model)  # of sum()

    def __mul__(self, c: Number) -> Batch:
        return Batch(self.x * _beside(c, self.x), self.model)

    def __truediv__(self, c: Number) -> Batch:
        return self * (1 / c)

    __radd__, __rmul__ = __add__, __mul__


def _beside(c: Number, x: Array) -> Any:
    """Coefficients in the kind and type of x, shaped to multiply it."""
    c = np.asarray(c, dtype=float).reshape(np.shape(c) + (1,) * (np.ndim(c) and x.ndim - 1))
    if isinstance(x, np.ndarray):
        return c.astype(x.dtype)
    return x.new_tensor(c) if c.ndim else float(c)
