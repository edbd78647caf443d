"""The exact law of callables: that of our solvers, and refusals of what has none."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import solverbench as sb
from solverbench.orders.subjects import subject

MU, LAM = np.array([0.3, -0.2, 0.0]), np.array([2.0, 0.3, 0.0])
SIGMAS = (20.0, 5.0, 1.2, 0.3, 0.05)


@pytest.mark.parametrize("solver", ["ddim[eta=0.5]", "sde-dpmpp-2m", "unipc-2", "seeds-2", "edm-stochastic"])
@pytest.mark.parametrize("start", ["exact", "prior"])
def test_it_is_the_law_of_the_plan(solver, start):
    found = sb.black_box_law(subject(sb.solvers()[solver]).run, LAM, SIGMAS, MU, start)
    law = sb.law(sb.fields.Gaussian(MU, LAM, "edm"), solver, SIGMAS, start=start)
    for name in ("mean", "variance", "reference_mean", "reference_variance"):
        np.testing.assert_allclose(getattr(found, name), getattr(law, name), rtol=1e-9, atol=1e-13)
    assert found.nfe == law.nfe


def euler(denoise, x, sigmas, draw, after=lambda x: x):
    for s, t in pairwise(sigmas):
        x = after(x + (t / s - 1) * (x - denoise(x, s)))
    return x


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (lambda x: np.clip(x, -3, 3), "not linear"),
        (lambda x: x + np.random.default_rng().normal(size=x.shape), "not linear"),
        (lambda x: x * np.nan, "not linear"),
        (lambda x: np.roll(x, 1, axis=1), "mixes directions"),
        (lambda x: x + x.mean(axis=1, keepdims=True), "mixes directions"),
    ],
)
def test_what_has_no_law_per_direction_is_refused(after, message):
    with pytest.raises(sb.UsageError, match=message):
        sb.black_box_law(lambda *given: euler(*given, after=after), LAM, SIGMAS, MU)


def test_a_draw_asked_for_twice_is_one_draw():
    def twice(denoise, x, sigmas, draw):
        return denoise(x, sigmas[0]) + draw(0) + draw(0)

    law = sb.black_box_law(twice, LAM, SIGMAS)
    np.testing.assert_allclose(law.kernel.Q, 4.0)
