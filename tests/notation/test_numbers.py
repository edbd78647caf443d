"""Scalar mathematics in four number types, against mpmath at 60 digits."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest

from solverbench import numbers

EPS = {float: 2.0**-52, np.float64: 2.0**-52, np.longdouble: float(np.finfo(np.longdouble).eps)}
POINTS = {
    "log": (1e-300, 0.3, 1.0, 7.5),
    "log1p": (-0.9, 1e-18, 2.0),
    "sqrt": (0.0, 1e-300, 2.0),
    "tan": (-1.5, 1e-9, 1.5),
}
EVERYWHERE = (-3.25, -1e-12, 0.0, 1e-9, 0.7, 4.5)


@pytest.mark.parametrize("name", ["exp", "log", "expm1", "log1p", "sqrt", "sin", "cos", "tan", "atan"])
def test_functions_in_every_type(name):
    function = getattr(numbers, name)
    points = POINTS.get(name, EVERYWHERE)
    with mp.workdps(60):
        exact = [getattr(mp, name)(mp.mpf(x)) for x in points]
        for x, y in zip(points, exact, strict=True):
            got = function(mp.mpf(x))
            assert isinstance(got, mp.mpf)
            assert abs(got - y) <= abs(y) * mp.mpf(10) ** -58
            for number, eps in EPS.items():
                got = function(number(x))
                assert isinstance(got, number)
                assert abs(mp.mpf(str(got)) - y) <= 4 * eps * abs(y) + mp.mpf("1e-320")
    np.testing.assert_allclose(function(np.array(points)), [float(y) for y in exact], rtol=4e-16)


def test_log_of_zero_is_minus_infinity_without_a_warning():
    for zero in (0, 0.0, np.float64(0), np.longdouble(0), np.zeros(2)):
        assert np.all(numbers.log(zero) == -math.inf)


def test_pi_has_the_precision_of_its_argument():
    assert numbers.pi(1.0) == math.pi
    assert abs(numbers.pi(np.longdouble(1)) - np.longdouble("3.14159265358979323846264338327950288")) < 1e-18
    with mp.workdps(50):
        assert abs(numbers.pi(mp.mpf(2)) - mp.pi) < mp.mpf(10) ** -48


def test_isfinite():
    for number in (float, np.float64, np.longdouble, mp.mpf):
        assert numbers.isfinite(number(2))
        with np.errstate(invalid="ignore"):
            assert not any(numbers.isfinite(number(x)) for x in ("inf", "-inf", "nan"))


Z = [s * z for z in (1e-300, 1e-8, 0.01, 0.5, 0.99, 1.01, 3.0, 20.0, 80.0) for s in (1, -1)]


@pytest.mark.parametrize("k", range(8))
def test_phi(k):
    """phi_k(z) = 1F1(1; k+1; z)/k!, a formula the code does not use. Its recursion may lose k! units of rounding."""
    with mp.workdps(60):
        for z in (0.0, *Z):
            exact = mp.hyp1f1(1, k + 1, mp.mpf(z)) / mp.factorial(k)
            tolerance = max(1.0, math.factorial(k) / 4) * 1e-15
            condition = 1 + abs(z) if k == 0 else 1  # of exp
            assert abs(mp.mpf(numbers.phi(k, z)) - exact) <= condition * tolerance * exact
            assert abs(numbers.phi(k, mp.mpf(z)) - exact) <= mp.mpf(10) ** -55 * exact
        assert isinstance(numbers.phi(k, np.longdouble(0.3)), np.longdouble)


def test_phi_is_the_integral_it_is_said_to_be():
    for k in range(1, 5):
        for z in (-4.0, 0.3, 2.0):
            integral = mp.quad(lambda u, k=k, z=z: mp.exp((1 - u) * z) * u ** (k - 1) / mp.factorial(k - 1), [0, 1])
            assert abs(numbers.phi(k, z) - integral) < 1e-13 * integral


def test_solve_is_exact_on_rationals_and_pivots(rng):
    for n in (1, 2, 3, 5):
        matrix = [[Fraction(int(v)) for v in row] for row in rng.integers(-9, 10, (n, n))]
        matrix[0][0] = Fraction(0) if n > 1 else Fraction(3)
        x = [Fraction(int(v), 7) for v in rng.integers(-9, 10, n)]
        right = [sum((a * b for a, b in zip(row, x, strict=True)), Fraction(0)) for row in matrix]
        assert numbers.solve(matrix, right) == x


def test_solve_keeps_the_number_type():
    with mp.workdps(50):
        (x,) = numbers.solve([[mp.mpf(3)]], [mp.mpf(1)])
        assert abs(3 * x - 1) < mp.mpf(10) ** -49
    assert isinstance(numbers.solve([[np.longdouble(3)]], [np.longdouble(1)])[0], np.longdouble)
