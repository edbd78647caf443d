"""Scalar mathematics for any number type: float, numpy arrays, longdouble, mpmath.

A plan's coefficients are computed once, by the functions below, in whatever type the times of the grid have. The same
source therefore gives double precision for sampling and thirty digits for measuring the order of a solver.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import numpy as np

Number: TypeAlias = Any
"""float, numpy.longdouble, mpmath.mpf, or an array of one of them: closed under + - * / and the functions here."""


def _lift(name: str, mpmath_name: str | None = None) -> Callable[[Number], Number]:
    in_math, in_numpy = getattr(math, name), getattr(np, {"atan": "arctan"}.get(name, name))

    def function(x: Number) -> Number:
        if type(x) is float or type(x) is int:
            return -math.inf if name == "log" and x == 0 else in_math(x)
        if hasattr(x, "_mpf_"):
            import mpmath

            return getattr(mpmath, mpmath_name or name)(x)
        with np.errstate(divide="ignore"):
            return in_numpy(x)

    function.__name__ = name
    function.__doc__ = f"{name}(x) in the type of x."
    return function


exp = _lift("exp")
log = _lift("log")
expm1 = _lift("expm1")
log1p = _lift("log1p")
sqrt = _lift("sqrt")
sin = _lift("sin")
cos = _lift("cos")
tan = _lift("tan")
atan = _lift("atan")


def erfc(x: Number) -> Number:
    """The complementary error function of a single number, in its type."""
    if not isinstance(x, float) and hasattr(x, "_mpf_"):
        import mpmath

        return mpmath.erfc(x)
    return math.erfc(x)


def pi(like: Number) -> Number:
    """The number pi to the precision of `like`."""
    return 4 * atan(like * 0 + 1)


def isfinite(x: Number) -> bool:
    """Whether a scalar of any number type is neither infinite nor nan."""
    if isinstance(x, float):
        return math.isfinite(x)
    with np.errstate(invalid="ignore"):
        return bool(x - x == 0)


def phi(k: int, z: Number) -> Number:
    """phi_k(z) = int_0^1 e^{(1-u) z} u^{k-1} / (k-1)! du, phi_0 = exp: the functions of exponential integrators.

    For k >= 1, phi_k(z) = (phi_{k-1}(z) - 1/(k-1)!) / z, which cancels near 0; there the Taylor series
    sum_n z^n / (n+k)! is summed until it no longer changes (Hochbruck & Ostermann 2010, section 2).
    """
    if k == 0:
        return exp(z)
    if np.ndim(z):
        return np.array([phi(k, entry) for entry in z])
    if abs(z) > 1:
        if k == 1:
            return expm1(z) / z
        return (phi(k - 1, z) - _inverse_factorial(k - 1, z)) / z
    term = _inverse_factorial(k, z)
    total, n = term, 0
    while True:
        n += 1
        term = term * z / (n + k)
        if total + term == total:
            return total
        total = total + term


def gauss_legendre(n: int, like: Number) -> tuple[list[Number], list[Number]]:
    """Nodes and weights on [-1, 1] in the type of `like`: numpy's, refined by Newton's iteration on P_n."""
    return _in_double(n) if isinstance(like, float) else _refined(n, like)


@cache
def _in_double(n: int) -> tuple[list[Number], list[Number]]:
    return _refined(n, 0.0)


def _refined(n: int, like: Number) -> tuple[list[Number], list[Number]]:
    nodes, weights = [], []
    for start in np.polynomial.legendre.leggauss(n)[0].tolist():
        x = like * 0 + start
        for _ in range(8):
            before, P = x * 0 + 1, x  # P_0, P_1 and on by the three-term recurrence
            for k in range(2, n + 1):
                before, P = P, ((2 * k - 1) * x * P - (k - 1) * before) / k
            dP = n * (x * P - before) / (x * x - 1)
            change = P / dP
            x = x - change
            if x + change * change == x:
                break
        nodes.append(x)
        weights.append(2 / ((1 - x * x) * dP * dP))
    return nodes, weights


def _inverse_factorial(k: int, like: Number) -> Number:
    return (like * 0 + 1) / math.factorial(k)


def solve(matrix: list[list[Number]], right: list[Number]) -> list[Number]:
    """Solve a small linear system in the type of its entries, by elimination with partial pivoting.

    For the Vandermonde systems of multistep weights (order at most six or so), where numpy would force float64.
    """
    rows = [[*row, b] for row, b in zip(matrix, right, strict=True)]
    n = len(rows)
    for k in range(n):
        pivot = max(range(k, n), key=lambda i: abs(rows[i][k]))
        rows[k], rows[pivot] = rows[pivot], rows[k]
        for i in range(k + 1, n):
            factor = rows[i][k] / rows[k][k]
            rows[i] = [a - factor * b for a, b in zip(rows[i], rows[k], strict=True)]
    x: list[Number] = [0] * n
    for k in reversed(range(n)):
        x[k] = (rows[k][n] - sum(rows[k][j] * x[j] for j in range(k + 1, n))) / rows[k][k]
    return x
