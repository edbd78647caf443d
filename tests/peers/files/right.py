"""Heun's method in sigma, as it should be; ancestral Euler; and noise levels of its own."""

from itertools import pairwise

import numpy as np


def heun(denoise, x, sigmas, noise):
    for s, t in pairwise(sigmas):
        d = (x - denoise(x, s)) / s
        y = x + (t - s) * d
        if t > 0:
            y = x + (t - s) * (d + (y - denoise(y, t)) / t) / 2
        x = y
    return x


heun.order, heun.evaluations, heun.ours = 2, 2, "rho-2heun"


def ancestral(denoise, x, sigmas, noise):
    for k, (s, t) in enumerate(pairwise(sigmas)):
        D = denoise(x, s)
        up = t * np.sqrt(1 - (t / s) ** 2)
        x = D + np.sqrt(t**2 - up**2) * (x - D) / s + up * noise(k)
    return x


ancestral.order, ancestral.strong, ancestral.stochastic, ancestral.evaluations = 1, 1, True, 1


def sigmas(steps):
    return [*np.geomspace(80.0, 0.01, steps), 0.0]
