"""Distances of samples to laws known exactly: closed forms against quadrature and simulation, intervals that hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from solverbench.errors import UsageError
from solverbench.fields import Mixture
from solverbench.measures import expectations, kernels
from solverbench.measures.coverage import coverage, nearest
from solverbench.measures.modes import modes
from solverbench.measures.sliced import SlicedLaw, sliced_w2, sliced_w2_of_sets
from solverbench.measures.squares import score

W, M, S = np.array([0.7, 0.3]), np.array([-1.0, 2.0]), np.array([0.4, 1.1])


def line(path="edm"):
    """A mixture in one dimension."""
    return Mixture(W, M[:, None], variances=S**2, path=path)


def density(y):
    return W @ stats.norm.pdf(y, M, S)


def plane(form, path="edm"):
    A = np.random.default_rng(3).normal(size=(2, 3, 3))
    given = {
        "variances": {"variances": [[0.5, 1, 0.2], [0.3, 0.4, 2]]},
        "covariances": {"covariances": A @ A.transpose(0, 2, 1)},
        "factors": {"factors": A[:, :, :1], "diagonal": np.full((2, 3), 0.2)},
    }[form]
    return Mixture([0.6, 0.4], [[0.0, 0, 0], [2, 1, -1]], path=path, **given)


def covered(estimates, truth):
    return np.mean([low <= truth <= high for low, high in (e.interval() for e in estimates)])


@pytest.mark.parametrize("path", ["edm", "rectified", "vp-cosine"])
def test_expectations_of_kernels_are_the_integrals(path):
    field, x, h = line(path), 0.7, 0.9
    k = {"kernel": lambda z: math.exp(-z * z / (2 * h * h)), "distance": abs}
    once = {name: integrate.quad(lambda y, f=f: density(y) * f(x - y), -15, 20, points=[x])[0] for name, f in k.items()}
    assert expectations.with_data(field, [[x]], h)[0] == pytest.approx(once["kernel"], rel=1e-8)
    assert expectations.distance_to_data(field, [[x]])[0] == pytest.approx(once["distance"], rel=1e-8)
    pairs, spread = (W[:, None] * W).ravel(), np.hypot(S[:, None], S).ravel()
    apart = (M[:, None] - M).ravel()
    folded = stats.foldnorm.mean(np.abs(apart) / spread, scale=spread)
    assert expectations.distance_within_data(field) == pytest.approx(pairs @ folded, rel=1e-8)
    wide = np.hypot(spread, h)
    twice = pairs @ stats.norm.pdf(apart, 0, wide) * math.sqrt(2 * math.pi) * h
    assert expectations.within_data(field, h) == pytest.approx(twice, rel=1e-10)


@pytest.mark.parametrize("form", ["variances", "covariances", "factors"])
def test_expectations_of_kernels_are_the_means_over_samples(form):
    field = plane(form)
    y, other = field.sample(100_000, 1), field.sample(100_000, 2)
    x = np.array([[0.3, -0.2, 1.0]])

    def near(found, terms):
        assert abs(found - terms.mean()) < 4 * terms.std() / math.sqrt(len(terms))

    near(expectations.distance_to_data(field, x)[0], np.linalg.norm(x - y, axis=1))
    near(expectations.distance_within_data(field), np.linalg.norm(y - other, axis=1))
    near(expectations.with_data(field, x, 1.5)[0], np.exp(-np.sum((x - y) ** 2, 1) / 4.5))
    near(expectations.within_data(field, 1.5), np.exp(-np.sum((y - other) ** 2, 1) / 4.5))
    means, stds = expectations.projected(field, np.eye(3))
    np.testing.assert_allclose(field.weights @ means, field.moments()[0])
    second = field.weights @ (means**2 + stds**2) - (field.weights @ means) ** 2
    np.testing.assert_allclose(second, field.moments()[1])


def hold(estimates, truth, most=0.98):
    """Whether 95 % intervals hold 92 % to `most` of the time, as far as so many draws can tell."""
    least, most = (v + s * 2 * math.sqrt(v * (1 - v) / len(estimates)) for v, s in ((0.92, -1), (most, 1)))
    return least <= covered(estimates, truth) <= most


DRAWS = pytest.mark.parametrize("draws", [60, pytest.param(500, marks=pytest.mark.slow)])


@DRAWS
@pytest.mark.parametrize("measure", [kernels.mmd, kernels.energy])
def test_kernel_distances_are_unbiased_and_their_errors_hold(measure, draws):
    """At the law itself, where it cannot be told from it, where it nearly can (errors by the value fail), and away."""
    field, n = line(), 100
    for aside in (0, 0.25, 1.5):
        found = [measure(field.sample(n, seed) + aside, field) for seed in range(draws)]
        truth = np.mean([measure(field.sample(500, seed) + aside, field).value for seed in range(900, 906)])
        spread = np.std([e.value for e in found], ddof=1)
        assert hold(found, truth if aside else 0)
        assert abs(np.mean([e.value for e in found]) - truth) < 4 * spread / math.sqrt(draws)
        stated = math.sqrt(np.mean([e.se**2 for e in found])) / spread
        assert 1 - 3 / math.sqrt(2 * draws) < stated < 1.5  # a clipped value makes too large ones near zero


@DRAWS
@pytest.mark.parametrize("paired", [False, True])
def test_errors_of_sliced_distances_hold(rng, paired, draws):
    """Of a set to a law and of two sets, at equal laws, near them, and away."""
    field, n = Mixture([1.0], np.zeros((1, 3)), variances=[1.0], path="edm"), 150
    law = SlicedLaw(field, 12)
    for aside, scale in ((0, 1), (0.12, 1), (0.4, 1.2)):
        truth = np.mean(law.directions.sum(1) ** 2) * aside**2 + (scale - 1) ** 2
        z = rng.normal(size=(draws, 2, n, 3))
        other = 0.6 * z[:, 0] + 0.8 * z[:, 1] if paired else z[:, 1]
        sets = [sliced_w2_of_sets(aside + scale * a, b, 12, paired=paired) for (a, _), b in zip(z, other, strict=True)]
        assert hold(sets, truth)
        assert hold([sliced_w2(aside + scale * a, law) for a, _ in z], truth)


@DRAWS
def test_errors_of_sliced_distances_hold_less_often_where_tails_are_heavy(rng, draws):
    """Of two sets from Student's law with three degrees of freedom: what the tails do is not in every sample."""
    x, y = rng.standard_t(3, size=(2, draws, 100, 1))
    found = covered([sliced_w2_of_sets(a, b, 1) for a, b in zip(x, y, strict=True)], 0)
    slack = 2 * math.sqrt(0.85 * 0.15 / draws)
    assert 0.85 - slack <= found <= 0.94 + slack


def test_samples_that_are_no_numbers_have_no_distance():
    field, bad = line(), np.append(np.zeros((20, 1)), [[math.nan], [math.inf]], axis=0)
    asked = [
        lambda: kernels.mmd(bad, field),
        lambda: kernels.energy(bad, field),
        lambda: sliced_w2(bad, SlicedLaw(field, 2)),
        lambda: sliced_w2_of_sets(bad, np.zeros(bad.shape)),
    ]
    for ask in asked:
        with pytest.raises(UsageError, match="finite numbers, got 2 others"):
            ask()


@DRAWS
@pytest.mark.parametrize(("n", "share"), [(64, 0.3), (401, 0.3), (64, 0.37), (401, 0.33), (401, 0.55)])
def test_errors_of_sliced_distances_hold_between_distant_modes(n, share, draws):
    """At equal weights, where the error in the square is of order 1/sqrt n, and at others."""
    laws = [Mixture([w, 1 - w], [[-1.5], [1.5]], variances=[0.05, 0.05], path="edm") for w in (0.3, share)]
    law, other = (SlicedLaw(one, 1) for one in laws)
    truth = np.mean((law.quantiles(20_001) - other.quantiles(20_001)) ** 2)
    assert hold([sliced_w2(laws[1].sample(n, seed), law, seed=seed) for seed in range(draws)], truth)


def test_mmd_is_the_integral_for_known_laws():
    """Of N(1, 1/4) samples to N(0, 1), Gaussian kernel: three normal densities."""
    field = Mixture([1.0], [[0.0]], variances=[1.0], path="edm")
    x = 1 + np.random.default_rng(0).normal(size=(3000, 1)) / 2
    k = lambda variance, mean: stats.norm.pdf(mean, 0, math.sqrt(variance + 1)) * math.sqrt(2 * math.pi)  # noqa: E731
    exact = k(0.5, 0) - 2 * k(1.25, 1) + k(2, 0)
    found = kernels.mmd(x, field, h=1.0)
    assert abs(found.value - exact) < 3 * found.se < 0.1 * exact


@pytest.mark.parametrize("draws", [60, pytest.param(500, marks=pytest.mark.slow)])
def test_kid_is_unbiased_and_its_blocks_hold(rng, draws):
    true = 0.0  # E (x.y/d + 1)^3 by hand: only even powers of independent standard normals are left
    for aside in (0.0, 0.3):
        estimates = []
        for seed in range(draws):
            x, y = rng.normal(size=(2, 600, 16))
            estimates.append(kernels.kid(x + aside, y, block=60, seed=seed))
        d, m = 16, aside**2  # with u = x.y/d: E u = mu.nu/d, and so on for both means

        def third(a, b, d=d):  # E (x.y/d + 1)^3 for x ~ N(a, I), y ~ N(b, I), all entries of a alike, and of b
            e1 = a * b
            e2 = (1 + a * a + b * b) / d + a * a * b * b
            e3 = a**3 * b**3 + 3 * a * b * (1 + a * a + b * b) / d + (6 * a * b) / d**2
            return 1 + 3 * e1 + 3 * e2 + e3

        true = third(aside, aside) + third(0, 0) - 2 * third(aside, 0)
        assert np.mean([e.value for e in estimates]) == pytest.approx(
            true, abs=4 * np.mean([e.se for e in estimates]) / math.sqrt(draws)
        ), m
        slack = 0.03 if draws > 100 else 0.09
        assert abs(covered(estimates, true) - 0.95) <= slack
        spread = np.std([e.value for e in estimates], ddof=1)
        assert math.sqrt(np.mean([e.se**2 for e in estimates])) == pytest.approx(spread, rel=4 / math.sqrt(2 * draws))


def test_blocks_of_kernels_are_of_no_consequence(rng, monkeypatch):
    """Not for the mean over all pairs: by hand, and whatever the number of rows at work."""
    field, x, n = line(), rng.normal(size=(23, 1)), 23
    whole = kernels.energy(x, field)
    h = (expectations.distance_to_data(field, x)[:, None] + expectations.distance_to_data(field, x)
         - expectations.distance_within_data(field) - np.abs(x - x.T))  # fmt: skip
    apart = ~np.eye(n, dtype=bool)
    assert whole.value == pytest.approx(h[apart].mean())
    centred = h - h.mean(0) - h.mean(1)[:, None] + h.mean()
    a, b = 2 * np.mean(centred[apart] ** 2) / (n * (n - 1)), 4 * h.mean(0).var() / h.mean() / n
    assert whole.interval() == pytest.approx(score(whole.value, a, b, stats.t.ppf(0.975, n - 1)))
    assert whole.se == pytest.approx(math.sqrt(a + b * max(whole.value, 0)))
    monkeypatch.setattr(kernels, "_ROWS", 7)
    parted = kernels.energy(x, field)
    assert (parted.value, *parted.interval()) == pytest.approx((whole.value, *whole.interval()))


@pytest.mark.parametrize("measure", [kernels.mmd, kernels.energy])
@pytest.mark.parametrize("n", [4, 50])
def test_samples_that_are_all_one_point_have_its_distance(rng, measure, n):
    """As of a sampler that has collapsed: differences of equal sums are rounding, of either sign."""
    field = plane("variances")
    for point in rng.normal(size=(12, 3)):
        found = measure(np.tile(point, (n, 1)), field)
        assert found.value == pytest.approx(measure(np.tile(point, (5, 1)), field).value)
        assert found.se < 1e-5 * found.value


def test_kid_says_how_many_samples_it_is_of(rng):
    x, y = rng.normal(size=(2, 65, 4))
    assert kernels.kid(x, y, block=20).n == 60
    assert kernels.kid(x, y, block=20).method == "unbiased, 3 blocks of 20"
    assert kernels.kid(x, y[:50], block=20).n == 40
    with pytest.raises(UsageError, match="two blocks of two samples or more, got 65 samples in blocks of 40"):
        kernels.kid(x, y, block=40)


def test_sliced_distances_of_a_normal_law_moved_and_widened():
    """Along every direction N(0, 1) against N(0.5 theta_1, 1.2^2): |mean|^2/d + (1.2 - 1)^2 on average."""
    field = Mixture([1.0], np.zeros((1, 2)), variances=[1.0], path="edm")
    law = SlicedLaw(field, 64)
    shift = np.array([0.5, 0.0])
    truth = np.mean((law.directions @ shift) ** 2) + 0.04
    estimates = [sliced_w2(1.2 * field.sample(400, seed) + shift, law, seed=seed) for seed in range(40)]
    assert np.mean([e.value for e in estimates]) == pytest.approx(truth, rel=0.05)
    assert covered(estimates, truth) >= 0.87
    assert law.quantiles(1)[0] == pytest.approx(0, abs=1e-9)


def test_samples_of_a_law_of_distant_modes_are_seldom_said_to_be_of_another():
    """What too many samples in one mode cost is of order 1/sqrt n: some half of that bias stays."""
    field = Mixture([0.3, 0.7], [[-1.5], [1.5]], variances=[0.05, 0.05], path="edm")
    law, n = SlicedLaw(field, 1), 64
    sets = [field.sample(n, seed) for seed in range(200)]
    found = [sliced_w2(x, law) for x in sets]
    raw = [np.mean((np.sort(x @ law.directions[0]) - law.quantiles(n)[:, 0]) ** 2) for x in sets]
    assert np.mean([e.value for e in found]) == pytest.approx(0.5 * np.mean(raw), rel=0.3)
    assert covered(found, 0) >= 0.92


def test_quantiles_of_projections_are_where_the_distribution_functions_say():
    law = SlicedLaw(line(), 2)
    sign = law.directions[:, 0]
    q = law.quantiles(50)
    for column, s in zip(q.T, sign, strict=True):
        below = [W @ stats.norm.cdf(v, s * M, S) for v in column]
        np.testing.assert_allclose(below, (np.arange(50) + 0.5) / 50, atol=1e-12)


def test_sliced_distances_of_sets(rng):
    x = rng.normal(size=(500, 3, 2))
    same, moved = sliced_w2_of_sets(x, rng.normal(size=x.shape)), sliced_w2_of_sets(x, x + 1, paired=True)
    assert abs(same.value) < 3 * same.se
    assert moved.value == pytest.approx(1, rel=0.2)
    assert sliced_w2_of_sets(x, x, paired=True).value == 0
    assert moved.se < 1e-9 < 0.01 < sliced_w2_of_sets(x, x + 1).se  # the shift of the same starts is known exactly
    with pytest.raises(UsageError, match="one shape"):
        sliced_w2_of_sets(x, x[1:])


def test_precision_and_recall_see_what_is_missing(rng):
    data = np.concatenate([rng.normal(size=(300, 2)), rng.normal(size=(300, 2)) + 20])
    one_mode = coverage(rng.normal(size=(300, 2)), data)
    assert one_mode["precision"].value > 0.9
    assert one_mode["recall"].value == pytest.approx(0.5, abs=0.05)
    assert one_mode["coverage"].value == pytest.approx(0.5, abs=0.05)
    noise = coverage(rng.normal(size=(300, 2)) - 50, data)
    assert [noise[key].value for key in ("precision", "density", "coverage")] == [0, 0, 0]
    same = coverage(data, data)
    assert [same[key].value for key in ("precision", "recall", "coverage")] == [1, 1, 1]
    with pytest.raises(UsageError, match="5 neighbours need more samples than that, got 5"):
        coverage(data[:5], data)


def test_density_and_coverage_by_hand():
    data = np.array([[0.0], [1.0], [3.0], [10.0]])  # balls to the nearest neighbour: 1, 1, 2, 7
    found = coverage(np.array([[0.5], [2.5], [40.0]]), data, k=1)
    assert found["density"].value == pytest.approx((2 + 1 + 0) / 3)  # 0.5 in two balls, 2.5 in that of 3
    assert found["precision"].value == pytest.approx(2 / 3)
    assert found["coverage"].value == pytest.approx(3 / 4)  # the last's nearest sample is 7.5 away
    assert found["recall"].value == 1  # balls to the nearest neighbour among the samples: 2, 2, 37.5
    wider = coverage(np.array([[0.5], [2.5], [40.0]]), data, k=2)  # balls to the second: 3, 2, 3, 9
    assert wider["density"].value == pytest.approx((3 + 4 + 0) / 3 / 2)
    narrow = coverage(np.array([[0.4], [0.5], [0.6]]), data, k=1)  # balls of 0.1, none of which has any of the data
    assert [narrow[name].value for name in ("precision", "recall", "coverage")] == [1, 0, 0.5]


def test_errors_of_coverage_are_of_both_sets(rng):
    """Those of the judged samples alone, sqrt(v (1 - v)/n), are half of what coverage varies by here."""
    found = [coverage(rng.normal(size=(120, 2)) + 0.5, rng.normal(size=(120, 2)), seed=seed) for seed in range(80)]
    for name in found[0]:
        told = np.sqrt(np.mean([f[name].se ** 2 for f in found]))
        seen = np.std([f[name].value for f in found], ddof=1)
        assert 0.75 * seen < told < 1.5 * seen, name
    value = np.mean([f["coverage"].value for f in found])
    assert math.sqrt(value * (1 - value) / 120) < 0.65 * np.std([f["coverage"].value for f in found], ddof=1)
    few = coverage(rng.normal(size=(11, 2)), rng.normal(size=(30, 2)))
    assert all(math.isnan(e.se) for e in few.values())  # no six in a half
    assert [few[name].n for name in ("precision", "recall", "density", "coverage")] == [11, 30, 11, 30]


def test_copies_of_training_data_have_a_neighbour_at_zero(rng):
    training = rng.normal(size=(50, 3, 2))
    assert nearest(training[:7], training).value == pytest.approx(0, abs=1e-6)
    assert nearest(training[:7] + 2, training).n == 7
    away = nearest(np.full((1, 3, 2), 3.0), np.zeros((4, 3, 2)))
    assert (away.value, math.isnan(away.se)) == (pytest.approx(3.0), True)


def test_modes_have_their_weights_and_losing_one_is_seen():
    field = plane("variances")
    kept = [modes(field.sample(300, seed), field) for seed in range(200)]
    for k in range(2):
        assert 0.9 <= covered([m.shares[k] for m in kept], field.weights[k]) <= 0.99
    assert stats.kstest([m.p_value for m in kept], "uniform").pvalue > 0.01
    few = field.sample(6, 1)
    shares = np.asarray(field.responsibilities(few, 0.0))[:, 0]
    assert modes(few, field).p_value == pytest.approx(stats.ttest_1samp(shares, field.weights[0]).pvalue)
    x = field.sample(3000, 1)
    lost = modes(x[field.responsibilities(x, 0.0)[:, 0] > 0.5], field)
    assert lost.p_value < 1e-6
    assert lost.distance.value == pytest.approx(0.4, abs=0.08)
    assert lost.distance.se == pytest.approx(lost.shares[0].se)  # with two components they are one number
    with pytest.raises(UsageError, match="two samples or more, got 1"):
        modes(x[:1], field)
    assert sum(s.value for s in lost.shares) == pytest.approx(1)
