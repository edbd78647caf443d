"""Tests of differences: planted ties are ties, planted differences are found, and the level is kept."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from synthetic import records, write_run

from solverbench.measures.estimate import mean_of
from solverbench.report import load
from solverbench.report.comparison import by_start as goal_side
from solverbench.report.comparison import tidy
from solverbench.report.duel import duels
from solverbench.report.duel import tables as duel_tables
from solverbench.report.quantities import QUANTITIES
from solverbench.report.statistics import (
    LEVEL,
    holm,
    normal_p,
    normal_ratio,
    paired_p,
    paired_ratio,
    ranks,
    separated,
    zero_mean_p,
)
from solverbench.report.tables import error_table

RMSE, TYPICAL, FD, *_ = QUANTITIES["paired"]


def squared_errors(rng, n, factors, shared=0.35, own=0.1):
    """Mean squared errors by start (n, m): a start is hard for all solvers, and each has luck of its own."""
    hard = rng.normal(0, shared, (n, 1))
    luck = rng.normal(0, own, (n, len(factors)))
    return np.array(factors) ** 2 * np.exp(2 * (hard + luck))


def test_holm_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.6, 0.9])).tolist() == [1.0, 1.0]
    assert holm(np.array([])).size == 0


def test_holm_is_the_closed_test_of_bonferroni_s():
    """A hypothesis is rejected at a level if each set of hypotheses that has it is, by its least p times its size."""
    rng = np.random.default_rng(5)
    for _ in range(40):
        p = rng.integers(1, 12, 6) / 60  # ties among them
        sets = [s for size in range(1, 7) for s in itertools.combinations(range(6), size)]
        closed = [min(1.0, max(len(s) * min(p[list(s)]) for s in sets if i in s)) for i in range(6)]
        assert holm(p) == pytest.approx(closed)


def test_normal_p_is_the_tail_of_the_normal_law():
    p = normal_p(np.array([0.0, 1.96]), np.array([0.6, 0.8]))
    assert p[0, 1] == pytest.approx(0.05, abs=1e-4)
    assert p[0, 0] == 1.0


def test_computed_values_differ_unless_equal():
    p = normal_p(np.array([1.0, 1.0, 1.0 + 1e-9]), np.zeros(3))
    assert p[0, 1] == 1.0
    assert p[0, 2] == 0.0


def test_differences_without_skewness_are_tested_by_students_t(rng):
    half = rng.normal(size=(40, 3))
    d = 0.1 + np.vstack([half, -half])
    assert zero_mean_p(d) == pytest.approx(stats.ttest_1samp(d, 0).pvalue, rel=1e-9)


def test_others_by_johnsons_where_that_is_the_more_careful(rng):
    """Of a solver with a tail it takes more to call it the better, and no less to call it the worse."""
    tail = rng.lognormal(0, 1.2, (60, 1))
    e = np.hstack([tail, np.full_like(tail, 1.6 * tail.mean()), np.full_like(tail, 0.6 * tail.mean())])
    t, g = (f(e[:, 0] - e[:, 1]) for f in (lambda d: d.mean() / stats.sem(d), stats.skew))
    b = g / (3 * math.sqrt(60))
    p = paired_p(e)
    assert p[0, 1] == pytest.approx(2 * stats.t.sf(abs(t + b * t * t + b / 2), 59), rel=1e-9)
    assert p[0, 1] > 2 * stats.ttest_rel(e[:, 0], e[:, 1]).pvalue
    assert p[0, 2] == pytest.approx(stats.ttest_rel(e[:, 0], e[:, 2]).pvalue, rel=1e-9)


def bootstrap_t(d, draws, rng):
    """p of mean zero for d (n,) by the bootstrap of Student's t (Efron & Tibshirani 1993, section 16.4), both tails."""
    drawn = rng.choice(d - d.mean(), (draws, len(d)))
    return np.mean(np.abs(drawn.mean(1) / stats.sem(drawn, axis=1)) >= abs(d.mean() / stats.sem(d)))


def test_the_bootstrap_of_t_agrees_where_differences_are_normal(rng):
    for shift in (0.0, 0.2, 0.45):
        d = rng.normal(shift, 1, 40)
        assert zero_mean_p(d[:, None])[0] == pytest.approx(bootstrap_t(d, 4000, rng), abs=0.03)


def test_the_bootstrap_of_t_errs_more_often_where_means_are_a_few_bad_starts():
    """It is no remedy: what a sample does not have is not drawn from it either."""
    rng = np.random.default_rng(8)
    d = np.exp(1.5 * rng.normal(size=(64, 600)) - 1.5**2 / 2) - 1
    own, other = np.mean(zero_mean_p(d) < LEVEL), np.mean([bootstrap_t(x, 400, rng) < LEVEL for x in d.T])
    assert own < 0.08 + 2 * math.sqrt(0.08 * 0.92 / 600)
    assert other > own + 0.03


def test_pairing_sees_what_standard_errors_hide():
    e = squared_errors(np.random.default_rng(0), 48, [1.0, 1.08])
    mean, se = e.mean(0), e.std(0, ddof=1) / math.sqrt(len(e))
    assert not separated(normal_p(mean, se)).any()
    assert separated(paired_p(e))[0, 1]


def test_scale_and_order_of_solvers_do_not_matter():
    e = squared_errors(np.random.default_rng(1), 30, [1.0, 1.05, 1.3])
    p = paired_p(e)
    assert paired_p(e * 1e-30) == pytest.approx(p)
    turned = [2, 0, 1]
    assert paired_p(e[:, turned]) == pytest.approx(p[np.ix_(turned, turned)])
    np.testing.assert_array_equal(p, p.T)


def test_equal_columns_are_ties_and_constant_differences_are_not():
    e = squared_errors(np.random.default_rng(2), 20, [1.0])
    p = paired_p(np.hstack([e, e, e + 1.0]))
    assert p[0, 1] == 1.0
    assert p[0, 2] < 1e-3


def test_one_row_is_no_test():
    with pytest.raises(ValueError, match="two rows or more, got 1"):
        paired_p(np.ones((1, 3)))


@pytest.mark.parametrize(("n", "shared", "own"), [(24, 0.35, 0.1), (48, 0.6, 0.15)])
def test_level_is_kept_where_nothing_differs(n, shared, own):
    """In at most one of twenty tables anything is separated, though all of 15 pairs are looked at."""
    rng = np.random.default_rng(n)
    tables = 300
    false = sum(separated(paired_p(squared_errors(rng, n, [1.0] * 6, shared, own))).any() for _ in range(tables))
    assert false / tables < LEVEL + 2 * math.sqrt(LEVEL * (1 - LEVEL) / tables)


def test_level_is_used_where_errors_are_normal():
    """Without Holm's correction a third of these tables would separate something; with none left, it would be none."""
    rng = np.random.default_rng(7)
    tables = 300
    e = (1 + 0.3 * rng.normal(size=(48, 1)) + 0.1 * rng.normal(size=(48, 6)) for _ in range(tables))
    false = sum(separated(paired_p(x)).any() for x in e) / tables
    assert 0.01 < false < LEVEL + 2 * math.sqrt(LEVEL * (1 - LEVEL) / tables)


@pytest.mark.parametrize(("n", "tail"), [(24, 0.5), (24, 1.2), (64, 1.0), (64, 1.5), (256, 1.5)])
def test_a_solver_whose_mean_is_a_few_bad_starts_is_told_from_a_steady_one_of_that_mean_in_at_most_8_percent(n, tail):
    """Squared errors e^N(0, tail^2): starts seldom include the bad ones, so it seems better."""
    rng, tables, found = np.random.default_rng(3), 1000, []
    for _ in range(tables):
        e = np.column_stack([np.exp(tail * rng.normal(size=n) - tail**2 / 2), 1 + 0.1 * rng.normal(size=n)])
        found.append(np.sign(e[:, 1].mean() - e[:, 0].mean()) * separated(paired_p(e))[0, 1])
    assert 0.03 < np.mean(np.abs(found)) < 0.08 + 2 * math.sqrt(0.08 * 0.92 / tables)
    assert found.count(1) >= found.count(-1)


def test_level_is_kept_beside_a_solver_whose_mean_is_a_few_bad_starts():
    """20 solvers of one mean, one of them with squared errors e^N(0, 1.5^2)."""
    rng, tables, false = np.random.default_rng(5), 300, 0
    for _ in range(tables):
        bad = np.exp(1.5 * rng.normal(size=(64, 1)) - 1.5**2 / 2)
        false += separated(paired_p(np.hstack([bad, 1 + 0.1 * rng.normal(size=(64, 19))]))).any()
    assert false / tables < LEVEL + 2 * math.sqrt(LEVEL * (1 - LEVEL) / tables)


def test_planted_groups_come_out():
    """Three tied, two tied 30 % worse, one far off: the groups are found, whichever draws are made."""
    factors = [1.0, 1.0, 1.0, 1.3, 1.3, 2.0]
    found = []
    for seed in range(20):
        e = squared_errors(np.random.default_rng(seed), 64, factors)
        first, last = ranks(e.mean(0), separated(paired_p(e)))
        found.append((tuple(first), tuple(last)))
    assert found.count(((1, 1, 1, 4, 4, 6), (3, 3, 3, 5, 5, 6))) >= 18


def test_ranks_count_what_is_beyond_doubt():
    values = np.array([1.0, 2.0, 3.0])
    different = np.zeros((3, 3), bool)
    different[0, 2] = different[2, 0] = True  # 2.0 cannot be told from either neighbour
    first, last = ranks(values, different)
    assert first.tolist() == [1, 1, 2]
    assert last.tolist() == [2, 3, 3]


def test_places_are_what_is_left_by_those_beyond_doubt():
    rng = np.random.default_rng(6)
    for _ in range(40):
        values = rng.integers(0, 6, 8).astype(float)
        different = np.triu(rng.random((8, 8)) < 0.5, 1)
        different = (different | different.T) & (values[:, None] != values)
        first, last = ranks(values, different)
        for i, own in enumerate(values):
            better = [j for j in range(8) if different[i, j] and values[j] < own]
            worse = [j for j in range(8) if different[i, j] and values[j] > own]
            assert (first[i], last[i]) == (1 + len(better), 8 - len(worse))


def test_planted_ties_share_their_places_in_tables(tmp_path):
    """Of two groups that tie inside and one alone, start by start: places, bold, and the mark of a tie."""
    e = squared_errors(np.random.default_rng(3), 64, [1.0, 1.0, 1.0, 1.3, 1.3, 2.0])
    table = error_table(kept(tmp_path, e), "p", RMSE)
    assert table.data["first"].tolist() == [1, 1, 1, 4, 4, 6]
    assert table.data["last"].tolist() == [3, 3, 3, 5, 5, 6]
    assert table.bold["10"].tolist() == [True] * 3 + [False] * 3
    assert table.tied["10"].sum() == 2
    assert not table.tied["10"].iloc[int(np.argmin(e.mean(0)))]


def test_errors_by_start_are_read_from_the_run(tmp_path):
    """Two solvers whose standard errors overlap are separated by their arrays, and tie without them."""
    cells = [c for c in records() if c["cell"] in {f"cifar10-mixture.{s}.10" for s in ("heun", "dpmpp-2m")}]
    e = squared_errors(np.random.default_rng(0), 48, [1.0, 1.08])
    for c, own in zip(cells, e.T, strict=True):
        rmse = math.sqrt(own.mean())
        c |= {"rmse": rmse, "rmse_se": own.std(ddof=1) / math.sqrt(48) / (2 * rmse)}
    bare = load(write_run(tmp_path / "bare", cells))
    assert tidy(bare.records, RMSE)["best"].all()
    folder = write_run(tmp_path / "kept", cells)
    (folder / "arrays").mkdir()
    for c, own in zip(cells, e.T, strict=True):
        np.savez(folder / "arrays" / f"{c['cell']}.npz", squared_errors=own)
    assert tidy(load(folder).records, RMSE)["best"].sum() == 1


def kept(tmp_path, errors):
    """A run of solvers s0, s1, ... at 10 evaluations, with these squared errors by start (n, m)."""
    cells = [
        {"cell": f"s{i}", "problem": "p", "kind": "paired", "solver": f"s{i}", "budget": 10, "nfe": 10, "steps": 10,
         "status": "ok", "rmse": math.sqrt(own.mean()), "rmse_se": 0.1, "n_paired": len(own), "reference_error": 1e-6}
        for i, own in enumerate(errors.T)
    ]  # fmt: skip
    folder = write_run(tmp_path / "run", cells)
    (folder / "arrays").mkdir()
    for i, own in enumerate(errors.T):
        np.savez(folder / "arrays" / f"s{i}.npz", squared_errors=own)
    return load(folder)


def test_one_start_in_another_mode_hides_what_the_typical_error_shows(tmp_path):
    """s0 is better by a quarter at 63 starts of 64, and most of its mean square is the last one's."""
    e = squared_errors(np.random.default_rng(0), 64, [1.0, 1.3])
    e[-1, 0] = 100 * e[-1, 1]
    run = kept(tmp_path, e)
    rmse, typical = (tidy(run.records, quantity) for quantity in (RMSE, TYPICAL))
    assert rmse["best"].tolist() == [True, True]
    assert rmse["value"][0] > rmse["value"][1]
    assert typical["best"].tolist() == [True, False]
    np.testing.assert_allclose(typical["value"], stats.gmean(np.sqrt(e.astype(np.float32)), axis=0), rtol=1e-6)
    logs = np.log(e).std(0, ddof=1) / 8
    np.testing.assert_allclose(typical["se"], typical["value"] * logs / 2, rtol=1e-5)
    table = error_table(run, "p", TYPICAL).markdown()
    assert "Typical error: n = 64; in brackets: the standard error (over starts, to first order)" in table


def test_a_ratio_of_typical_errors_is_of_the_mean_logarithms_start_by_start(tmp_path):
    e = squared_errors(np.random.default_rng(5), 48, [1.0, 1.3], own=0.3)
    row = duels(kept(tmp_path, e), ["s0"]).query("quantity == 'typical'").iloc[0]
    d = np.log(e[:, 0] / e[:, 1]) / 2
    low, high = mean_of(d).interval()
    assert (row["ratio"], row["low"], row["high"]) == pytest.approx(tuple(np.exp([d.mean(), low, high])), rel=1e-5)
    assert row["p"] == pytest.approx(zero_mean_p(d[:, None])[0], rel=1e-3)
    assert (row["p"] < LEVEL) == (row["high"] < 1)


def test_a_start_counts_as_the_reference_where_its_error_is_less(tmp_path):
    """In the value, and in tests."""
    e = squared_errors(np.random.default_rng(5), 8, [1.0, 1.0])
    e[0, 0] = 0
    run = kept(tmp_path, e)
    floored = np.maximum(e.astype(np.float32), 1e-12)
    np.testing.assert_allclose(tidy(run.records, TYPICAL)["value"], stats.gmean(np.sqrt(floored), axis=0), rtol=1e-6)
    np.testing.assert_allclose(goal_side(run.records, TYPICAL)[0], np.log(floored[:, 0]), rtol=1e-6)


def test_numbers_by_start_that_are_no_list_are_left_out(tmp_path):
    folder = kept(tmp_path, squared_errors(np.random.default_rng(5), 8, [1.0, 1.3])).folder
    np.savez(folder / "arrays" / "s0.npz", squared_errors=np.ones((4, 2)))
    np.savez(folder / "arrays" / "s1.npz", squared_errors=np.ones(0))
    assert load(folder).records["squared_errors"].isna().all()


def test_an_error_of_zero_has_a_typical_one_that_is_not_resolved(tmp_path):
    e = squared_errors(np.random.default_rng(5), 8, [1.0, 1.3])
    e[:, 0] = 0
    found = tidy(kept(tmp_path, e).records, TYPICAL)
    assert found["below"].tolist() == [True, False]
    assert found["best"].tolist() == [True, False]


def test_identical_programs_are_no_comparison(tmp_path):
    """A value and standard error that is there ten times over is one solver to Holm."""
    cells = [
        {"cell": f"{name}{i}", "problem": "p", "kind": "paired", "solver": f"{name}{i}", "budget": 10, "nfe": 10,
         "steps": 10, "status": "ok", "rmse": rmse, "rmse_se": 0.1}
        for (name, rmse), i in itertools.product({"a": 1.0, "b": 1.3}.items(), range(10))
    ]  # fmt: skip
    data = tidy(load(write_run(tmp_path / "run", cells)).records, RMSE)
    assert set(data.loc[data["best"], "label"].str[0]) == {"a"}
    assert set(data["last"]) == {10, 20}


def test_the_interval_of_a_ratio_and_the_test_never_disagree():
    e = squared_errors(np.random.default_rng(4), 40, [1.0, 1.0, 1.05, 1.2, 1.4], own=0.15)
    low, high = paired_ratio(e[:, :1].repeat(4, 1), e[:, 1:])
    p = np.array([paired_p(e[:, [0, i]])[0, 1] for i in range(1, 5)])
    assert ((high < 1) == (p < LEVEL)).all()
    assert (p < LEVEL).any()
    assert (p > LEVEL).any()
    assert (low < 1).all()


def test_fieller_by_hand():
    low, high = normal_ratio(1.0, 0.1, 2.0, 0.0)
    assert (low, high) == pytest.approx((0.5 - 0.05 * 1.959964, 0.5 + 0.05 * 1.959964))
    exact = np.random.default_rng(0).lognormal(0, 5, (100, 2))
    assert all(normal_ratio(a, 0.0, b, 0.0) == (a / b, a / b) for a, b in exact)
    assert normal_ratio(1.0, 0.1, 2.0, 1.1) == (0.0, math.inf)
    for ratio in normal_ratio(1.0, 0.1, 2.0, 0.3):
        assert normal_p(np.array([1.0, ratio * 2]), np.array([0.1, ratio * 0.3]))[0, 1] == pytest.approx(0.05)


@pytest.mark.parametrize("draws", [100, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("n", "shared", "own"), [(48, 0.35, 0.1), (24, 0.35, 0.2)])
def test_intervals_of_paired_ratios_hold(draws, n, shared, own):
    rng = np.random.default_rng(n)
    e = [squared_errors(rng, n, [1.0, 1.3], shared, own) for _ in range(draws)]
    low, high = paired_ratio(*(np.stack([x[:, i] for x in e], axis=1) for i in (0, 1)))
    inside = np.mean((low <= 1 / 1.3**2) & (high >= 1 / 1.3**2))
    assert abs(inside - 0.95) <= 0.03 + (0.0 if draws > 1000 else 2 * math.sqrt(0.95 * 0.05 / draws))


@pytest.mark.parametrize("draws", [200, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("n", "tail", "own"), [(64, 1.5, 0.3), (64, 1.0, 1.0), (256, 1.5, 1.5), (24, 1.0, 0.3)])
def test_intervals_of_ratios_hold_where_means_are_a_few_bad_starts(draws, n, tail, own):
    """Squared errors of one solver are e^N(0, tail^2), of the other e^N(0, own^2), and half of the logs are shared."""
    rng = np.random.default_rng(n)
    hard, luck = rng.normal(size=(n, draws)), rng.normal(size=(2, n, draws))
    a, b = (np.exp(s * (hard + z) / math.sqrt(2) - s * s / 2) for s, z in zip((tail, own), luck, strict=True))
    low, high = paired_ratio(a, b)
    inside, slack = np.mean((low <= 1) & (high >= 1)), 2 * math.sqrt(0.92 * 0.08 / draws)
    assert 0.92 - slack <= inside <= 0.98 + (slack if draws < 1000 else 0.0)


def test_intervals_of_ratios_by_standard_errors_hold():
    rng = np.random.default_rng(1)
    ends = [normal_ratio(rng.normal(1, 0.1), 0.1, rng.normal(2, 0.3), 0.3) for _ in range(4000)]
    assert 0.94 < np.mean([low <= 0.5 <= high for low, high in ends]) < 0.96


def by_start(rng, n, means, shared=3.0, own=0.3):
    """Contributions to Frechet distances (n, m): much of what a start adds it adds to all solvers."""
    return np.array(means) + shared * rng.normal(size=(n, 1)) + own * rng.normal(size=(n, len(means)))


def distances(tmp_path, terms, floor=None):
    """A run with these contributions, and one that kept none."""
    cells = [
        {"cell": f"s{i}", "problem": "p", "kind": "paired", "solver": f"s{i}", "budget": 10, "nfe": 10, "steps": 10,
         "status": "ok", "fd": x.mean(), "fd_se": x.std(ddof=1) / math.sqrt(len(x)), "fd_floor": floor, "n": len(x)}
        for i, x in enumerate(terms.T)
    ]  # fmt: skip
    bare, kept = (write_run(tmp_path / name, cells) for name in ("bare", "kept"))
    (kept / "arrays").mkdir()
    for i, x in enumerate(terms.T):
        np.savez(kept / "arrays" / f"s{i}.npz", fd_by_start=x)
    return load(bare), load(kept)


@pytest.mark.parametrize("n", [64, 512])
def test_distances_of_sets_are_compared_start_by_start(tmp_path, n):
    """A planted tie is one and a planted difference is seen, which independent standard errors hide."""
    worse = 20 + 3.2 / math.sqrt(n)
    bare, kept = distances(tmp_path, by_start(np.random.default_rng(0), n, [20.0, 20.0, worse]))
    assert tidy(bare.records, FD)["best"].all()
    assert tidy(kept.records, FD)["best"].tolist() == [True, True, False]
    careful, row = (duels(run, ["s2"]).set_index("against").loc["s0"] for run in (bare, kept))
    tie = duels(kept, ["s1"]).set_index("against").loc["s0"]
    assert (careful["verdict"], row["verdict"], tie["verdict"]) == ("ties", "loses", "ties")
    assert row["low"] < worse / 20.0 < row["high"]
    assert row["low"] < row["ratio"] < row["high"]
    assert row["high"] - row["low"] < 0.3 * (careful["high"] - careful["low"])
    told = ["\n".join(error_table(run, "p", FD).notes) + "\n".join(duel_tables(run, duels(run, ["s1"]))[0].notes)
            for run in (bare, kept)]  # fmt: skip
    assert [text.count("did not keep numbers by start") for text in told] == [2, 0]
    assert ["start by start" in text for text in told] == [False, True]


def test_distances_on_either_side_of_the_goal_are_compared_by_how_far_they_are_from_it(tmp_path):
    """13 and 7 are as far from 10 as each other, though what a start adds moves them apart; 5 is farther than 13."""
    terms = by_start(np.random.default_rng(1), 64, [13.0, 7.0, 5.0], shared=0.3)
    terms += np.array([13.0, 7.0, 5.0]) - terms.mean(0)
    _, kept = distances(tmp_path, terms, floor=10.0)
    assert tidy(kept.records, FD)["best"].tolist() == [True, True, False]
    np.testing.assert_allclose([x.mean() for x in goal_side(kept.records, FD)], [3.0, 3.0, 5.0])


@pytest.mark.parametrize("draws", [100, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("n", [64, 512])
def test_intervals_of_ratios_of_distances_hold(draws, n):
    rng = np.random.default_rng(n)
    e = [by_start(rng, n, [20.0, 20.4]) for _ in range(draws)]
    low, high = paired_ratio(*(np.stack([x[:, i] for x in e], axis=1) for i in (0, 1)))
    inside = np.mean((low <= 20 / 20.4) & (high >= 20 / 20.4))
    assert abs(inside - 0.95) <= 0.03 + (0.0 if draws > 1000 else 2 * math.sqrt(0.95 * 0.05 / draws))
