"""Exact laws without samples: one backward sweep over a plan.

On a field that is affine in x along fixed directions, a plan is an affine map of the start and of its noise draws, in
each direction by itself:

    x_out = A x_start + b + sum_k w_k z_k,        x_out | x_start ~ N(A x_start + b, Q),   Q = sum_k w_k^2.

(A, b, Q) is the sampler's transition kernel; with it the output law follows for any start law, Gaussian or not in its
moments: mean A m + b, variance A^2 V + Q. The kernel is found in reverse, as gradients are: let w be the derivative of
the output with respect to a value. It is 1 for the output; a linear combination passes c_k w on to operand k, an
evaluation passes slope * w and adds offset * w to b, a draw adds w^2 to Q. One sweep costs one vector operation per
operand, however many noise draws there are, and Q is a sum of squares: nothing cancels, and a direction that the
sampler reflects shows as A < 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from solverbench.errors import UsageError
from solverbench.fields.base import LinearField
from solverbench.plans import Eval, Jump, LinComb, Noise, Plan

if TYPE_CHECKING:
    from solverbench.eta import Eta
    from solverbench.numbers import Number

Vector: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Kernel:
    """x_out | x ~ N(A x + b, Q) per direction; arrays of shape (d,), in the field's eigen-coordinates."""

    A: Vector
    b: Vector
    Q: Vector

    def push(self, mean: Vector, variance: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of the output for a start law of independent directions with these moments."""
        return self.A * mean + self.b, self.A**2 * variance + self.Q


def kernel(plan: Plan, field: LinearField) -> Kernel:
    """The exact transition kernel of a plan on a field that is affine along fixed directions (`LinearField`).

    Raises UsageError if the plan maps states pointwise or was traced for another prediction than the field's.
    """
    check(plan, field)
    d = field.moments(plan.grid.times[0])[0].shape
    b, Q = np.zeros(d), np.zeros(d)
    w: dict[int, Vector | float] = {plan.output: 1.0}

    def add(value: int, amount: Vector | float) -> None:
        # sums are made anew and never in place: an entry may be shared with another value
        w[value] = w[value] + amount if value in w else amount

    for v in range(len(plan.code) - 1, 0, -1):
        if v not in w:
            continue
        w_v = w.pop(v)
        match plan.code[v]:
            case LinComb(terms):
                for u, c in terms:
                    add(u, w_v * float(c))
            case Eval(u, t):
                slope, offset = field.affine(t)
                b += w_v * offset
                add(u, w_v * slope)
            case Jump(u, s, t, eta, z):
                slope, offset, spread = jump(field, s, t, eta)
                b += w_v * offset
                add(u, w_v * slope)
                if z is not None:
                    add(z, w_v * spread)
            case Noise():
                Q += np.square(w_v)
    return Kernel(np.broadcast_to(w.get(0, 0.0), d).copy(), b, Q)


def jump(field: LinearField, s: Number, t: Number, eta: Eta | None) -> tuple[Vector, Vector, Vector]:
    """(slope, offset, spread) of x_t = slope x_s + offset + spread z for the jump of a plan."""
    if eta is None:
        slope, offset = field.jump_affine(s, t)
        return slope, offset, np.zeros_like(slope)
    slope, offset, variance = field.transition(s, t, eta)
    return slope, offset, np.sqrt(variance)


def check(plan: Plan, field: LinearField) -> None:
    """Raise UsageError if a plan maps states pointwise or was traced for another prediction than the field's."""
    if not plan.linear:
        raise UsageError(f"solver {plan.solver!r} maps states by a nonlinear function, so its law is not Gaussian")
    if plan.prediction != field.prediction:
        raise UsageError(f"the plan expects {plan.prediction!r}, the field predicts {field.prediction!r}")
