"""The readable reference: a plan as a loop over its instructions, in any number type numpy can hold.

float32, float64 and longdouble are arrays of that type; mpmath numbers live in object arrays. Every other engine is
tested against this one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from solverbench.plans import Eval, Input, Jump, LinComb, Map, Noise, Plan

Array: TypeAlias = np.ndarray[Any, Any]


def run(plan: Plan, field: Any, x: Array, noise: Callable[[int], Array] | None = None) -> Array:
    """Execute a plan on x of shape (n, *field.shape) and return the final state, of the same shape and type.

    field(x, t) -> prediction, of the kind the plan was traced for; field.jump(x, s, t) if the plan jumps,
    field.transit(x, s, t, eta, z) if it follows the exact process.
    noise(draw) -> standard normal numbers of x's shape; needed only if the plan draws any.
    """
    value: list[Any] = [None] * len(plan.code)
    for i, (instruction, dead) in enumerate(zip(plan.code, plan.schedule.dead, strict=True)):
        match instruction:
            case Input():
                value[i] = x
            case Eval(u, t):
                value[i] = field(value[u], t)
            case Jump(u, s, t, None):
                value[i] = field.jump(value[u], s, t)
            case Jump(u, s, t, eta, z):
                value[i] = field.transit(value[u], s, t, eta, None if z is None else value[z])
            case Noise(draw):
                if noise is None:
                    raise ValueError(f"plan {plan.solver} draws noise and was given none")
                value[i] = noise(draw)
            case Map(u, _, function):
                value[i] = function(value[u])
            case LinComb(terms):
                total = np.zeros_like(x)
                for u, c in terms:
                    total = total + _as_type_of(x, c) * value[u]
                value[i] = total
        for u in dead:
            value[u] = None
    return np.asarray(value[plan.output])


def _as_type_of(x: Array, c: Any) -> Any:
    """A coefficient that does not promote the array: float32 stays float32, objects keep their thirty digits."""
    return c if x.dtype == object else x.dtype.type(c)
