"""Samplers with one fault each. The second-order one they start from is right: see `right.py`."""

from itertools import pairwise

import numpy as np


def euler_step(denoise, x, s, t):
    return x + (t - s) * (x - denoise(x, s)) / s


def adams(x, h, d, d_old, h_old, half=0.5):
    return x + h * (d + half * h / h_old * (d - d_old))


def multistep(denoise, x, sigmas, half=0.5, history=None):
    past = [] if history is None else history
    for s, t in pairwise(sigmas):
        d, h = (x - denoise(x, s)) / s, t - s
        x = adams(x, h, d, *past[-1], half) if past else x + h * d
        past.append((d, h))
    return x


def factor_dropped(denoise, x, sigmas, noise):
    """The one half of the second-order term is missing."""
    return multistep(denoise, x, sigmas, half=1.0)


factor_dropped.order = 2
HISTORY = []


def remembers(denoise, x, sigmas, noise):
    """The history of one run is still there in the next."""
    if HISTORY and HISTORY[-1][0].shape != x.shape:
        HISTORY.clear()
    return multistep(denoise, x, sigmas, history=HISTORY)


remembers.order = 2


def own_draws(denoise, x, sigmas, noise):
    """Draws for the batch as a whole, from a generator it seeds itself."""
    generator = np.random.default_rng(0)
    for s, t in pairwise(sigmas):
        up = t * np.sqrt(1 - (t / s) ** 2)
        x = euler_step(denoise, x, s, np.sqrt(t**2 - up**2)) + up * generator.normal(size=x.shape[::-1]).T
    return x


own_draws.order, own_draws.stochastic = 1, True


def single(denoise, x, sigmas, noise):
    """Takes its steps in float32."""
    x = x.astype(np.float32)
    for s, t in pairwise(sigmas):
        x = euler_step(denoise, x, s, t).astype(np.float32)
    return x.astype(float)


single.order = 1


def logarithmic(denoise, x, sigmas, noise):
    """Right but for a last noise level of zero, of which it takes the logarithm, and zero times infinity."""
    with np.errstate(all="ignore"):
        for s, t in pairwise(sigmas):
            h = np.log(s) - np.log(t)
            x = np.exp(-h) * x + h * -np.expm1(-h) / h * denoise(x, s)
    return x


logarithmic.order = 1


def too_noisy(denoise, x, sigmas, noise):
    """Adds the noise of a full step without going below its end first."""
    for k, (s, t) in enumerate(pairwise(sigmas)):
        x = euler_step(denoise, x, s, t) + t * np.sqrt(1 - (t / s) ** 2) * noise(k)
    return x


too_noisy.order, too_noisy.stochastic, too_noisy.eta = 1, True, 0.0


def spends_more(denoise, x, sigmas, noise):
    """Evaluates twice where it says once."""
    for s, t in pairwise(sigmas):
        denoise(x, s)
        x = euler_step(denoise, x, s, t)
    return x


spends_more.order, spends_more.evaluations = 1, 1


def normalised(denoise, x, sigmas, noise):
    """Centres its result on the batch."""
    for s, t in pairwise(sigmas):
        x = euler_step(denoise, x, s, t)
    return x - 1e-3 * x.mean(0)


normalised.order = 1


def raises(denoise, x, sigmas, noise):
    """Forgets to define what it uses where it has one step."""
    if len(sigmas) > 2:
        D = denoise(x, sigmas[0])
    return x - D


def sigmas(steps):
    """Its own noise levels: one of them twice."""
    return [*np.geomspace(80.0, 0.01, steps), 0.01, 0.0]


def claims_more(denoise, x, sigmas, noise):
    """One draw a step, and a strong order that takes two."""
    for k, (s, t) in enumerate(pairwise(sigmas)):
        x = x + 2 * (t - s) * (x - denoise(x, s)) / s + np.sqrt((s - t) * (s + t)) * noise(k)
    return x


claims_more.order, claims_more.stochastic, claims_more.strong = 1, True, 1.5
