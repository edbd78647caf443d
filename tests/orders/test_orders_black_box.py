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
        (lambda x: np.roll(x, 1, axis=1), "mixes directions"),
        (lambda x: x + x.mean(axis=1, keepdims=True), "mixes directions"),
    ],
)
def test_what_has_no_law_per_direction_is_refused(after, message):
    with pytest.raises(sb.UsageError, match=message):
        sb.black_box_law(lambda *given: euler(*given, after=after), LAM, SIGMAS, MU)


def test_what_diverges_has_a_law_that_is_not_finite():
    law = sb.black_box_law(lambda *given: euler(*given, after=lambda x: x * np.nan), LAM, SIGMAS, MU)
    assert not law.finite
    assert not np.isfinite(law.w2)


def test_float32_inside_is_refused_unless_it_is_allowed():
    rounded = lambda *given: euler(*given, after=lambda x: x.astype(np.float32).astype(float))  # noqa: E731
    with pytest.raises(sb.UsageError, match="not linear"):
        sb.black_box_law(rounded, LAM, SIGMAS, MU)
    exact = sb.black_box_law(euler, LAM, SIGMAS, MU)
    variance = sb.black_box_law(rounded, LAM, SIGMAS, MU, rtol=1e-5).variance
    np.testing.assert_allclose(variance, exact.variance, rtol=1e-5)


def test_a_sampler_may_ask_for_the_flow():
    """From the exact law a jump is exact, mean and all."""
    law = sb.black_box_law(lambda denoise, x, s, draw: denoise.jump(x, s[0], s[-1]), LAM, (*SIGMAS, 0.0), MU)
    assert law.nfe == 1
    np.testing.assert_allclose(law.mean, MU, atol=1e-14)
    np.testing.assert_allclose(law.variance, LAM, atol=1e-14)


def test_a_draw_asked_for_twice_is_one_draw():
    def twice(denoise, x, sigmas, draw):
        return denoise(x, sigmas[0]) + draw(0) + draw(0)

    law = sb.black_box_law(twice, LAM, SIGMAS)
    np.testing.assert_allclose(law.kernel.Q, 4.0)
