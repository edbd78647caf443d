"""Grids on which orders are measured: of N steps for any N, in any number type."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from solverbench.numbers import Number

Ends: TypeAlias = tuple[float, float]
GridOf: TypeAlias = Callable[[int, Callable[[float], Number], Ends], tuple[Number, ...]]
"""grid(N, number, ends) -> noise levels."""

ENDS: Ends = 1.5, 0.15
"""Noise levels between which orders are measured: the prediction varies all the way, so that no step is free."""


def smooth(N: int, number: Callable[[float], Number] = float, ends: Ends = ENDS) -> tuple[Number, ...]:
    """g(i/N), even in sigma~^(1/7): uneven in every variable that methods use, and nested."""
    return karras([number(i) / N for i in range(N + 1)], *ends)


def uneven(N: int, number: Callable[[float], Number] = float, ends: Ends = ENDS) -> tuple[Number, ...]:
    """The same with points moved in a pattern of three: steps of 0.75, 1.45 and 0.8, whatever N.

    On smooth grids the ratio of steps tends to one, and a ratio that is upside down is seen only in the next order;
    in a pattern of two its errors cancel.
    """
    moved = [number(m) for m in (0, -0.25, 0.2)]
    return karras([(number(i) + moved[i % 3] * (i < N)) / N for i in range(N + 1)], *ends)


def graded(N: int, number: Callable[[float], Number] = float, ends: Ends = ENDS) -> tuple[Number, ...]:
    """The smooth grid with its first step halved again and again down to step^4.

    First steps of order one cost h^2 once, which hides the order of a multistep method; here they are so short that
    the history is as good as exact, and nothing about the method needs to be known.
    """
    halvings = range(math.ceil(3 * math.log2(N)), -1, -1)
    first = (number(0.5) ** j / N for j in halvings)
    return karras([number(0), *first, *(number(i) / N for i in range(2, N + 1))], *ends)


def karras(y: Sequence[Number], first: float, last: float, rho: int = 7) -> tuple[Number, ...]:
    """Noise levels at fractions y of the way in sigma~^(1/rho) (Karras et al. 2022, eq. 5)."""
    zero = y[0] * 0
    a, b = ((zero + sigma) ** (1 / (zero + rho)) for sigma in (first, last))
    return tuple((a + y_i * (b - a)) ** rho for y_i in y)


GRIDS: dict[str, GridOf] = {"smooth": smooth, "uneven": uneven, "graded": graded}
