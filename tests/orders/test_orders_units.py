"""The ruler on textbook problems: geometric Brownian motion and the Ornstein-Uhlenbeck process, in time sigma~^2."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from solverbench.orders import Subject
from solverbench.orders.grids import ENDS, smooth
from solverbench.orders.strong import numbers_of, sampled
from solverbench.plans import Noise

T = ENDS[0] ** 2 - ENDS[1] ** 2
START = np.array([0.5, 1.0, 1.5, 2.0])
MU, S, THETA = 0.3, 0.6, 1.2


def stepper(drift, diffusion, slope=lambda x: 0 * x):
    """Euler-Maruyama for dX = drift dt + diffusion dB, and Milstein's method if given the diffusion's slope."""

    def run(_, x, sigmas, draw):
        for k, (s, t) in enumerate(pairwise(sigmas)):
            h = s * s - t * t
            W = np.sqrt(h) * draw(k)
            x = x + drift(x) * h + diffusion(x) * W + diffusion(x) * slope(x) * (W * W - h) / 2
        return x

    def draws(sigmas):
        return [Noise(k, s, t) for k, (s, t) in enumerate(pairwise(sigmas))]

    return Subject("unit", run, stochastic=True, draws=draws)


def geometric(x, chunk):
    """x exp((mu - s^2/2) T + s B_T)."""
    whole = Noise(0, *ENDS)
    B = np.sqrt(T) * numbers_of([whole], chunk, x.shape[1])(whole)
    return x * np.exp((MU - S * S / 2) * T + S * B)


def ornstein_uhlenbeck(x, chunk):
    """e^{-theta T} x + s int e^{-theta (T - r)} dB_r, the kernel a line in many pieces: increments and areas."""
    steps = list(pairwise(smooth(256)))
    increments, areas = ([Noise(0, s, t, 0, area) for s, t in steps] for area in (False, True))
    numbers = numbers_of([*increments, *areas], chunk, x.shape[1])
    total = np.exp(-THETA * T) * x
    for (s, t), z, a in zip(steps, increments, areas, strict=True):
        h = s * s - t * t
        middle = np.exp(-THETA * ((s * s + t * t) / 2 - ENDS[1] ** 2))
        total = total + S * middle * np.sqrt(h) * (numbers(z) - THETA * h * numbers(a) / np.sqrt(12))
    return total


@pytest.mark.parametrize(
    ("subject", "exact", "order"),
    [
        (stepper(lambda x: MU * x, lambda x: S * x), geometric, 0.5),
        (stepper(lambda x: MU * x, lambda x: S * x, lambda x: S + 0 * x), geometric, 1),
        (stepper(lambda x: -THETA * x, lambda x: S + 0 * x), ornstein_uhlenbeck, 1),
    ],
    ids=["Euler-Maruyama, multiplicative", "Milstein, multiplicative", "Euler-Maruyama, additive"],
)
def test_strong_orders_of_textbooks(subject, exact, order):
    for name, found in sampled(subject, lambda x, _: x, exact, START).items():
        assert abs(found.order - order) <= 0.1 + found.half < 0.2, (name, found)


def test_a_wrong_correction_is_seen():
    """Stratonovich's W^2 for Ito's W^2 - h: to another process."""
    half = stepper(lambda x: (MU + S * S / 2) * x, lambda x: S * x, lambda x: S + 0 * x)
    found = sampled(half, lambda x, _: x, geometric, START)
    assert all(abs(s.order) < 0.1 for s in found.values())
