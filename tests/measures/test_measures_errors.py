"""Standard errors of Frechet distances against simulation: intervals stated to hold 95 % of the time do in 92 to 98 %.

Laws are Gaussian, so that true distances are known in closed form.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from solverbench.errors import UsageError
from solverbench.measures.estimate import Estimate, mean_of
from solverbench.measures.frechet import frechet
from solverbench.measures.moments import Normal
from solverbench.measures.null import null
from solverbench.measures.resampling import halves
from solverbench.measures.subsets import ToLaw, ToPartners, at_n, contributions, difference, limit, unbiased


def target(d):
    return Normal(np.zeros(d), np.diag(1 / np.arange(1, d + 1)))


def far(rng, law, n, wider=1.3, aside=0.2):
    """Samples of a law that is wider and aside, and their true distance."""
    s = np.sqrt(np.diag(law.covariance))
    x = aside * s + wider * s * rng.normal(size=(n, law.d))
    return x, float((aside**2 + (wider - 1) ** 2) * np.sum(s**2))


def holds(estimates, truth):
    """Whether 95 % intervals cover the truth 92 to 98 % of the time, as far as so many draws can tell."""
    inside = np.mean([low <= truth <= high for low, high in (e.interval() for e in estimates)])
    low, high = (v + 2 * s * math.sqrt(v * (1 - v) / len(estimates)) for v, s in ((0.92, -1), (0.98, 1)))
    return low <= inside <= high


DRAWS = pytest.mark.parametrize("draws", [60, pytest.param(1500, marks=pytest.mark.slow)])


@DRAWS
@pytest.mark.parametrize(("n", "d"), [(100, 4), (400, 8)])
def test_the_distance_without_bias_is_covered(rng, n, d, draws):
    law = target(d)
    estimates = [unbiased(ToLaw(far(rng, law, n)[0], law)) for _ in range(draws)]
    truth = far(rng, law, n)[1]
    assert holds(estimates, truth)
    raw = np.mean([frechet(Normal.of(far(rng, law, n)[0]), law) for _ in range(draws)])
    assert abs(np.mean([e.value for e in estimates]) - truth) < 0.5 * (raw - truth)


@DRAWS
@pytest.mark.parametrize("law", ["normal", "exponential"])
def test_the_distance_without_bias_is_covered_at_zero_and_near_it(rng, law, draws):
    """Whether features are normal or skewed."""
    target_law, n = target(8), 400
    s = np.sqrt(np.diag(target_law.covariance))
    for aside, wider in ((0, 1), (0.03, 1.02), (0.1, 1.1)):
        z = rng.normal(size=(draws, n, 8)) if law == "normal" else rng.exponential(size=(draws, n, 8)) - 1
        estimates = [unbiased(ToLaw(aside * s + wider * s * one, target_law)) for one in z]
        assert holds(estimates, (aside**2 + (wider - 1) ** 2) * np.sum(s**2))


@pytest.mark.parametrize("n", [5, 40])
def test_without_bias_the_distance_to_a_point_is_a_mean(rng, n):
    """|m|^2 + tr C exceeds E |x|^2 by tr C/n, all of which goes."""
    x, point = 0.3 + rng.normal(size=(n, 6)), Normal(np.zeros(6), factor=np.zeros((6, 1)))
    assert unbiased(ToLaw(x, point)).value == pytest.approx(np.mean(np.sum(x * x, 1)), rel=1e-9)


@DRAWS
def test_below_full_rank_it_is_the_mean_of_such_sets_that_is_covered(rng, draws):
    law = target(64)
    estimates = [at_n(ToLaw(far(rng, law, 24)[0], law)) for _ in range(draws)]
    assert holds(estimates, np.mean([e.value for e in estimates]))


@DRAWS
def test_the_distance_to_partners_is_covered(rng, draws):
    """As of a solver's outputs to the ends of reference trajectories from the same starts."""
    n, s = 24, np.sqrt(np.diag(target(64).covariance))
    estimates = []
    for _ in range(draws):
        z, own = rng.normal(size=(2, n, 64))
        x = 1.3 * s * (0.9 * z + math.sqrt(1 - 0.9**2) * own) + 0.2 * s
        estimates.append(at_n(ToPartners(x, s * z)))
    assert holds(estimates, np.mean([e.value for e in estimates]))


def shared(rng, law, n, scales, alike=0.95):
    """Distances of two solvers' outputs from the same starts, of which each has made something of its own."""
    s = np.sqrt(np.diag(law.covariance))
    z, *own = rng.normal(size=(3, n, law.d))
    made = [scale * s * (alike * z + math.sqrt(1 - alike**2) * o) for scale, o in zip(scales, own, strict=True)]
    return [ToLaw(x, law) for x in made]


@DRAWS
@pytest.mark.parametrize(("n", "d"), [(300, 4), (120, 60)])
def test_differences_on_the_same_starts_are_covered_and_sharper_than_either(rng, n, d, draws):
    law = target(d)
    pairs = [shared(rng, law, n, (1.3, 1.25)) for _ in range(draws)]
    estimates = [difference(*pair) for pair in pairs]
    truth = np.mean([e.value for e in estimates])
    if d == 4:  # where bias is little
        assert truth == pytest.approx((0.3**2 - 0.25**2) * law.trace, rel=0.2)
    assert holds(estimates, truth)
    independent = [math.hypot(*(at_n(distance).se for distance in pair)) for pair in pairs]
    assert np.mean([e.se for e in estimates]) < 0.5 * np.mean(independent)


@DRAWS
def test_equal_solvers_tie_on_the_same_starts_and_unequal_ones_do_not(rng, draws):
    """Below full rank, where distances are mostly bias, and intervals may be too wide."""
    law = target(256)
    equal, unequal = ([difference(*shared(rng, law, 64, (1.3, b))) for _ in range(draws)] for b in (1.3, 1.25))
    within = [np.mean([e.interval()[0] <= 0 <= e.interval()[1] for e in found]) for found in (equal, unequal)]
    assert within[0] >= 0.92
    assert within[1] < 0.1


@pytest.mark.parametrize(("n", "d"), [(12, 30), (30, 30), (31, 30), (40, 6)])
def test_leaving_out_each_sample_is_what_the_others_score(rng, n, d):
    """Of a law, of one that is not formed, and of partners that go with the sample."""
    C = target(d).covariance
    law, x = Normal(rng.normal(size=d), C), rng.normal(size=(n, d))
    near, apart = x + 0.3 * rng.normal(size=(n, d)), rng.normal(size=(n, d))
    implicit = ToLaw.implicit(x, law.mean, law.trace, lambda A: A @ C)
    for distance in (ToLaw(x, law), implicit, ToPartners(x, near), ToPartners(x, apart), ToPartners(x, 2 * x)):
        others = [distance(np.delete(np.arange(n), i)) for i in range(n)]
        np.testing.assert_allclose(distance.without(), others, rtol=1e-6)
        terms = contributions(distance)
        assert terms.mean() == pytest.approx(distance(np.arange(n)), rel=1e-12)
        assert np.ptp(terms + (n - 1) * np.array(others)) < 1e-5 * np.ptp(terms)
    assert np.ptp(contributions(ToPartners(x, x))) < 1e-10 * np.sum(x * x)


@pytest.mark.parametrize(("n", "d"), [(40, 6), (12, 30)])
def test_leaving_out_works_by_rows(rng, monkeypatch, n, d):
    """However few are at work at a time, and for a law that has directions without spread."""
    law = Normal(np.zeros(d), np.diag([0.0, 0.0, *1 / np.arange(1.0, d - 1)]))
    distances = ToLaw(x := rng.normal(size=(n, d)), law), ToPartners(x, rng.normal(size=(n, d)))
    whole = [distance.without() for distance in distances]
    for module in ("deleted", "subsets"):
        monkeypatch.setattr(f"solverbench.measures.{module}.ROWS", 5)
    for distance, expected in zip(distances, whole, strict=True):
        np.testing.assert_allclose(distance.without(), expected, rtol=1e-9)


def test_points_are_far_from_a_law_by_what_they_are(rng):
    for law in (target(3), Normal(np.zeros(3), np.zeros((3, 3)))):
        for found in (at_n(ToLaw(np.ones((20, 3)), law)), unbiased(ToLaw(np.ones((20, 3)), law))):
            assert (found.value, found.se, *found.interval()) == pytest.approx((3 + law.trace, 0, *[3 + law.trace] * 2))


def test_standard_errors_with_and_without_bias_are_one(rng):
    distance = ToLaw(1 + rng.normal(size=(50, 3)), target(3))
    assert unbiased(distance).se == pytest.approx(at_n(distance).se)


@DRAWS
def test_the_extrapolation_to_many_samples_is_covered(rng, draws):
    law = target(4)
    estimates = [limit(ToLaw(far(rng, law, 160)[0], law), seed=seed) for seed in range(draws)]
    assert holds(estimates, far(rng, law, 2)[1])


@pytest.mark.parametrize("m", [None, 800])
def test_the_null_has_the_mean_and_spread_of_its_formula(rng, m):
    law, n = target(6), 400
    s = np.sqrt(np.diag(law.covariance))
    other = [Normal.of(rng.normal(size=(m, 6)) * s) if m else law for _ in range(1500)]
    drawn = [frechet(Normal.of(rng.normal(size=(n, 6)) * s), reference) for reference in other]
    expected = null(law.spectrum, n, m)
    assert np.mean(drawn) == pytest.approx(expected.value, rel=0.03)
    assert np.std(drawn) == pytest.approx(expected.se, rel=0.08)
    assert 0.92 <= np.mean(np.abs(drawn - np.float64(expected.value)) < 1.96 * expected.se) <= 0.98


def test_the_null_in_one_dimension_by_hand():
    """delta^2 + (s - 1)^2 with delta ~ N(0, 1/n), s - 1 ~ N(0, 1/2n): mean 3/2n, variance (2 + 1/2)/n^2."""
    assert null([1.0], 50).value == pytest.approx(1.5 / 50)
    assert null([1.0, 0.0], 50).se == pytest.approx(math.sqrt(2.5) / 50)


def test_subsets_are_the_distances_of_those_samples(rng):
    """Below full rank by inner products, repeated samples included; of a law given by products alone as well."""
    for n, d in ((12, 30), (40, 6)):
        law, x = target(d), rng.normal(size=(n, d))
        C = law.covariance
        for distance in (ToLaw(x, law), ToLaw.implicit(x, law.mean, law.trace, lambda A, C=C: A @ C)):
            for index in (np.arange(n), np.array([1, 5, 7]), np.array([2, 2, 9, 4, 4])):
                assert distance(index) == pytest.approx(frechet(Normal.of(x[index]), law), rel=1e-6)
    y = rng.normal(size=(40, 6))
    assert ToPartners(x, y)(np.arange(9)) == frechet(Normal.of(x[:9]), Normal.of(y[:9]))


def test_halves_of_a_mean_are_its_standard_error_and_leave_it(rng):
    x = rng.normal(size=5001)
    found = halves(lambda index: float(x[index].mean()), len(x), splits=400)
    assert found.value == pytest.approx(x.mean(), abs=1e-3)
    assert found.se == pytest.approx(x.std() / math.sqrt(len(x)), rel=0.15)
    variance = halves(lambda index: float(x[index[:100]].var()), 100, splits=400)
    assert variance.value == pytest.approx(x[:100].var(ddof=1), rel=1e-2)  # 1/n is the bias of this one


def test_halves_take_the_whole_set_once(rng):
    x, sizes = rng.normal(size=(9, 3)), []
    distance = ToLaw(x, target(3))

    def counted(index):
        sizes.append(len(index))
        return distance(index)

    halves(counted, 9, splits=3)
    assert sorted(sizes) == [4] * 6 + [9]


def test_intervals_are_students():
    se, skewness = pytest.approx(math.sqrt(7 / 3)), pytest.approx(6 / (14 / 3) ** 1.5)
    assert mean_of([1.0, 2.0, 6.0]) == Estimate(3.0, 3, se, "mean of samples", 2, skewness=skewness)
    assert Estimate(1.0, 9, 0.5, "m").interval() == pytest.approx((1 - 0.98, 1 + 0.98), abs=1e-4)
    assert Estimate(0.0, 9, 1.0, "m", degrees=3).interval(0.95)[1] == pytest.approx(3.182, abs=1e-3)
    assert Estimate(0.0, 1, math.nan, "m").interval() == (-math.inf, math.inf)
    assert str(Estimate(1.23456, 9, 0.5, "blocks")) == "1.235 +- 0.5 (n = 9, blocks)"


def test_too_few_samples_are_refused(rng):
    law = target(3)
    with pytest.raises(UsageError, match="four samples or more, got 3"):
        unbiased(ToLaw(rng.normal(size=(3, 3)), law))
    with pytest.raises(UsageError, match="32 or more, got 20"):
        limit(ToLaw(rng.normal(size=(20, 3)), law))
    with pytest.raises(UsageError, match="got 5 and 6"):
        difference(ToLaw(rng.normal(size=(5, 3)), law), ToLaw(rng.normal(size=(6, 3)), law))
    with pytest.raises(UsageError, match="one shape"):
        ToPartners(np.zeros((4, 2)), np.zeros((5, 2)))
