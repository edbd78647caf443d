"""Numbers, marks and words of the tables."""

from __future__ import annotations

import io
import math

import numpy as np
import pandas as pd
import pytest
from synthetic import records, write_run

from solverbench.report import load, summary
from solverbench.report.comparison import tidy, twins
from solverbench.report.formats import typed
from solverbench.report.latex import latex
from solverbench.report.layout import escape, short, uncertain
from solverbench.report.quantities import DISTANCE, QUANTITIES
from solverbench.report.tables import best_table, compute_frame, compute_table, error_table, split_table, tables

W2, KL, *_ = QUANTITIES["law"]
RMSE, TYPICAL, FD, *_ = QUANTITIES["paired"]


def cell(solver, problem="p", kind="paired", budget=10, **values):
    """A record with little in it."""
    common = {"cell": f"{solver}.{budget}", "problem": problem, "kind": kind, "solver": solver, "budget": budget}
    return {**common, "nfe": budget, "steps": budget, "status": "ok", "order": 2, **values}


def load_cells(tmp_path, cells, **options):
    return load(write_run(tmp_path / "run", cells, **options))


def row(markdown, solver):
    """The cells of a solver's row."""
    (line,) = (x for x in markdown.split("\n") if x.startswith(f"| {solver} "))
    return [x.strip() for x in line.strip("|").split("|")]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.012345, "0.0123"), (1.0, "1.00"), (123.4, "123"), (1234.0, "1.23e3"), (1.2e-5, "1.20e-5"), (0.0, "0.00"),
        (3.1e-4, "3.10e-4"), (999.9, "1.00e3"), (-0.5, "-0.500"), (1e-12, "1.00e-12"), (np.nan, "-"), (np.inf, "inf"),
    ],
)  # fmt: skip
def test_three_significant_digits(value, text):
    assert short(value) == text


def test_words_for_cells_without_a_number(big):
    text = error_table(big, "cifar10-gaussian", W2).markdown()
    assert row(text, "deis-tab3")[2:4] == ["div", "div"]
    assert row(text, "dpm-3")[2] == "fail"
    assert row(text, "rk4")[2] == "-"
    assert "div: diverged; fail: failed; -: budget too small" in text
    assert "deis-tab3 at 5, deis-tab3 at 6: not finite after step 3" in text


def test_numbers_are_the_records(big):
    text = error_table(big, "cifar10-mixture", RMSE).markdown()
    expected = big.of("cifar10-mixture").set_index("cell").loc["cifar10-mixture.heun.20"]
    assert row(text, "heun")[:2] == ["heun", "2"]
    assert row(text, "heun")[7] == uncertain(expected["rmse"], expected["rmse_se"])


def test_best_of_a_computed_value_is_alone(big):
    data = error_table(big, "cifar10-gaussian", W2).data
    best = data[data["best"] & (data["budget"] == 10)]
    at_10 = data[data["budget"] == 10]
    assert list(best["value"]) == [at_10["value"].min()]


def test_ties_of_a_sampled_value(tmp_path):
    values = {"a": (1.0, 0.1), "b": (1.35, 0.1), "c": (1.41, 0.1), "d": (1.6, 0.25), "e": (1.5, np.nan)}
    cells = [cell(k, rmse=v, rmse_se=None if np.isnan(se) else se) for k, (v, se) in values.items()]
    run = load_cells(tmp_path, cells)
    data = tidy(run.records, RMSE).set_index("label")
    # z of a against b, c, d, e: 2.47, 2.90, 2.23, 5; of ten pairs the first two rejected need p < 0.05/10, 0.05/9
    # e, whose standard error is not known, is told from none
    assert data["best"].to_dict() == {"a": True, "b": True, "c": False, "d": True, "e": True}
    assert data["first"].to_dict() == {"a": 1, "b": 1, "c": 2, "d": 1, "e": 1}
    assert data["last"].to_dict() == {"a": 4, "b": 5, "c": 5, "d": 5, "e": 5}
    text = error_table(run, "p", RMSE).markdown()
    assert row(text, "b")[2] == "**1.35(10)**"
    assert row(text, "c")[2] == "1.41(10)"


def test_errors_that_the_reference_does_not_resolve_are_not_told(tmp_path):
    """Known to 1e-3, it resolves errors from 0.1."""
    errors = {"a": 1e-5, "b": 0.099, "c": 0.2}
    run = load_cells(tmp_path, [cell(k, rmse=v, rmse_se=1e-3, reference_error=1e-3) for k, v in errors.items()])
    data = tidy(run.records, RMSE)
    assert list(data["best"]) == [True, True, False]
    assert list(data["value"]) == pytest.approx([0.1, 0.1, 0.2])
    assert list(data["below"]) == [True, True, False]
    table = error_table(run, "p", RMSE)
    assert [row(table.markdown(), k)[2] for k in "abc"] == [r"**\<0.100**", r"**\<0.100**", "0.2000(10)"]
    assert "less than 100 times that is not resolved" in table.markdown()
    assert r"\textbf{\textless{}0.100}" in latex(table)
    from solverbench.report.sheets import _caption

    assert _caption(run.records.iloc[1].to_dict())[-1] == "rmse <0.100"


def test_a_standard_error_that_is_left_out_is_said_to_be(tmp_path):
    for name, se, said in (("small", 9e-4, True), ("enough", 2e-3, False), ("none", 0.0, False)):
        run = load_cells(tmp_path / name, [cell("a", rmse=1.0, rmse_se=se, n_paired=8)])
        assert ("below a thousandth of the value it is left out" in error_table(run, "p", RMSE).markdown()) == said


def test_errors_of_a_few_starts_are_named(tmp_path):
    shares = {"a": 0.11, "b": 0.4, "c": 0.09}
    run = load_cells(tmp_path, [cell(name, rmse=2.0, rmse_se=2 * share, n_paired=8) for name, share in shares.items()])
    assert "- Standard errors above 10% of the value: b at 10, a at 10. A few" in error_table(run, "p", RMSE).markdown()
    run = load_cells(tmp_path / "steady", [cell("c", rmse=2.0, rmse_se=0.18, n_paired=8)])
    assert "Standard errors above" not in error_table(run, "p", RMSE).markdown()


def test_and_have_the_typical_error_beside_them(tmp_path):
    e = np.array([1e-4, 4e-4, 4e-4, 9e-4, 1.0])
    one = cell("a", rmse=math.sqrt(e.mean()), rmse_se=0.2, n_paired=5)
    folder = load_cells(tmp_path, [one, cell("b", rmse=0.5, rmse_se=0.1, n_paired=5)]).folder
    (folder / "arrays").mkdir()
    np.savez(folder / "arrays" / f"{one['cell']}.npz", squared_errors=e)
    assert "of the value: a at 10 (0.0413), b at 10. A few" in (told := error_table(load(folder), "p", RMSE).markdown())
    assert "In brackets: the typical error." in told


def test_distances_of_sets_are_shown_with_their_standard_errors(tmp_path):
    errors = {"a": {"fd_se": 2.0}, "b": {"fd_se": 3.0}, "c": {"fd_se": None}, "d": {"fd_se": None, "fd_floor_sd": None}}
    values = zip(errors.items(), (101.0, 104.5, 106.0, 130.0), strict=True)
    common = {"fd_floor": 100.0, "fd_floor_sd": 1.0, "n": 64}
    run = load_cells(tmp_path, [cell(k, fd=v, **{**common, **e}) for (k, e), v in values])
    data = tidy(run.records, FD)
    assert list(data["se"].fillna(-1)) == [2.0, 3.0, 1.0, -1]  # without one of its own that of exact samples stands in
    assert list(data["best"]) == [True, True, True, True]  # what has none at all cannot be told from another
    for made in (error_table(run, "p", FD), compute_table(run, "p")):
        assert [row(made.markdown(), k)[2].strip("*") for k in "abcd"] == [
            "101(2)", "104(3)", "106.0(10)", "130",
        ]  # fmt: skip
        assert "n = 64; values at other n are not comparable; in brackets: the standard error (jackknife, leaving out "
        assert "samples or that of exact samples), in units of the last digit." in made.markdown()
        assert "two standard errors" in made.markdown() or made.name == "p-fd"


def test_diverged_cells_win_nothing(tmp_path):
    cells = [cell("a", rmse=0.0, rmse_se=0.0, status="diverged"), cell("b", rmse=1.0, rmse_se=0.1)]
    cells += [cell("a", budget=5, status="failed"), cell("b", budget=5, status="diverged")]
    data = tidy(load_cells(tmp_path, cells).records, RMSE)
    assert list(data.loc[data["best"], ["label", "budget"]].itertuples(index=False, name=None)) == [("b", 10)]


def test_distance_below_the_floor_is_no_merit(tmp_path):
    cells = [cell(k, fd=v, fd_floor=100.0, fd_floor_sd=1.0, n=64) for k, v in (("a", 90.0), ("b", 101.0), ("c", 103.0))]
    run = load_cells(tmp_path, cells)
    assert list(tidy(run.records, FD)["best"]) == [False, True, True]
    text = compute_table(run, "p").markdown()
    assert [row(text, k)[-1] for k in "abc"] == ["-", "10", "-"]


def test_passing_the_floor_is_not_reaching_it(tmp_path):
    cells = [
        cell(name, budget=budget, fd=fd, fd_floor=100.0, fd_floor_sd=1.0, n=64)
        for name, values in {"passes": (100.0, 90.0, 80.0), "stays": (120.0, 101.0, 100.0)}.items()
        for budget, fd in zip((5, 10, 20), values, strict=True)
    ]
    text = compute_table(load_cells(tmp_path, cells), "p").markdown()
    assert [row(text, name)[-1] for name in ("passes", "stays")] == ["-", "10"]


def test_identical_programs_are_shown_as_such(big):
    text = error_table(big, "cifar10-gaussian", W2).markdown()
    assert row(text, "ddim = exp-euler")[2:] == row(text, "exp-euler")[2:]
    assert "Identical programs: exp-euler = dpm-1 = dpmpp-1 = ddim." in text


def test_identity_is_a_class_whoever_names_whom(tmp_path):
    cells = [cell("a", same_as="b"), cell("b", same_as="a"), cell("c", same_as="b"), cell("d", same_as="elsewhere")]
    assert twins(load_cells(tmp_path, cells).records)[0] == {"b": "a", "c": "a", "d": "elsewhere"}


def test_identity_at_some_budgets_is_a_note(tmp_path):
    cells = [cell("a"), cell("a", budget=5), cell("b", same_as="a", budget=5), cell("b")]
    run = load_cells(tmp_path, cells)
    assert twins(run.records) == ({}, {"b": {"a": [5]}})
    assert "b = a at NFE 5: the identical program there." in error_table(run, "p", RMSE).markdown()


def test_stochastic_solvers_carry_a_dagger(big):
    text = error_table(big, "cifar10-mixture", RMSE).markdown()
    assert row(text, "ddpm †")
    assert "†: stochastic" in text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a|b", r"a\|b"), ("x*y_z`<b>", r"x\*y\_z\`\<b>"), ("$y^2$", r"\$y^2\$"), ("~~no~~", r"\~\~no\~\~"),
        ("&lt;b&#62;", r"\&lt;b\&#62;"), ("Pierret & Galerne", "Pierret & Galerne"), ("[a](b)", r"[a]\(b)"),
        ("[a][b]", r"[a]\[b]"), ("unipc-2[variant=bh1]", "unipc-2[variant=bh1]"), ("two\nlines", "two lines"),
    ],
)  # fmt: skip
def test_markdown_shows_names_as_they_are(text, escaped):
    assert escape(text) == escaped


def test_pipes_and_brackets_are_escaped(tmp_path):
    text = error_table(load_cells(tmp_path, [cell("a|b[x=*]", rmse=1.0)]), "p", RMSE).markdown()
    assert r"| a\|b[x=\*]" in text


def test_every_title_says_that_the_run_is_not_complete(big):
    for table in tables(big):
        assert "incomplete: 665 of 666 cells" in table.markdown().split("\n")[0]


def test_split_shows_cancellation(tmp_path):
    common = {"kind": "law", "w2_initialisation": 0.1, "w2_truncation": 0.1}
    cells = [cell("a", w2=0.5, w2_discretisation=2.0, **common), cell("b", w2=0.5, w2_discretisation=0.4, **common)]
    table = split_table(load_cells(tmp_path, cells), "p", W2)
    assert "no merit: a." in table.markdown()
    assert list(table.body.columns[2:6]) == ["total", "initialisation", "truncation", "discretisation"]
    assert list(table.body.columns[6:]) == ["mean off", "std off min", "std off max"]
    assert "Off: error of the output's mean" in table.markdown()


def test_csv_round_trip(big):
    for table in tables(big):
        back = pd.read_csv(io.StringIO(typed(table, big).to_csv(index=False)))
        assert len(back) == len(table.data)
        for column in table.data.select_dtypes("number"):
            np.testing.assert_array_equal(back[column].to_numpy(float), table.data[column].to_numpy(float))


def test_every_sampled_number_of_the_data_has_its_n_error_and_method(big):
    for table in tables(big):
        data = typed(table, big)
        if "method" in data and "value" in data:
            told = data[data["value"].notna() & ~data["below"]]
            drawn = told[told["method"] != "computed"]
            assert drawn["n"].notna().all()
            assert (drawn["se"] > 0).all()
            assert (told.loc[told["method"] == "computed", "se"] == 0).all()
            assert set(drawn["method"]) <= {"over starts, to first order", "that of exact samples"}
            assert len(drawn) or not table.name.startswith("cifar10-mixture-")


def test_columns_have_one_type_whatever_is_missing_and_say_that_the_run_is_not_complete(big, tmp_path):
    whole = load(write_run(tmp_path / "run"))
    for run in (big, whole, load_cells(tmp_path / "few", [cell("a", status="failed", nfe=None, steps=None)])):
        for table in tables(run):
            data = typed(table, run)
            types = {str(data[c].dtype) for c in ("budget", "nfe", "steps", "n", "first", "last") if c in data}
            assert types <= {"Int64"}
            for column in data.select_dtypes(["object", "string"]):
                assert data[column].dtype == "string"
            assert ("caveat" in data) == (not run.complete)
            assert run is not big or set(data["caveat"]) == {"incomplete: 665 of 666 cells"}


def test_a_distance_reaches_the_floor_by_its_own_standard_error(tmp_path):
    """Two standard errors are 1.8 of its own, or 0.4 by the spread of sets of exact samples."""
    common = {"fd_floor": 100.0, "fd_floor_sd": 0.2, "n": 64}
    cells = [cell("a", fd=101.5, fd_se=0.9, **common), cell("b", fd=101.5, **common)]
    text = compute_table(load_cells(tmp_path, cells), "p").markdown()
    assert [row(text, name)[-1] for name in "ab"] == ["10", "-"]


def test_compute(big):
    data = compute_frame(big.of("cifar10-mixture"), DISTANCE).set_index(["solver", "budget"])
    heun, euler = data.loc[("heun", 10)], data.loc[("euler", 10)]
    assert heun["overhead_per_step"] == pytest.approx(0.002)
    assert heun["flops"] == 2.5e8
    assert heun["seconds_ratio"] == pytest.approx((0.18 + 0.01) / (0.18 + 0.02))
    assert euler["seconds_ratio"] == 1
    text = compute_table(big, "cifar10-mixture").markdown()
    assert "not comparable with FID" in text
    assert "FD\\_pixel by compute at NFE 10" in text


def test_best_solver_of_each_budget(big):
    table = best_table(big, "cifar10-gaussian")
    data = tidy(big.of("cifar10-gaussian"), W2)
    for budget, name in zip(table.body["NFE"], table.body["best by W2"], strict=True):
        at = data[data["budget"] == float(budget)]
        assert name == at.loc[at["value"].idxmin(), "label"]


def test_nothing_finished(tmp_path):
    run = load_cells(tmp_path, [], planned=3)
    assert tables(run) == []
    assert "incomplete: 0 of 3 cells" in summary(run)


def test_only_failures(tmp_path):
    run = load_cells(tmp_path, [cell("a", status="failed", reason="why", nfe=None, steps=None)])
    assert all("fail" in t.markdown() or "best" in t.name for t in tables(run))
    assert "why" in summary(run)


@pytest.mark.parametrize("width", [60, 80, 140, 200])
def test_summary_keeps_to_the_width(big, width):
    text = summary(big, width)
    assert max(len(line) for line in text.split("\n")) <= max(width, 78)  # a title is one line
    assert " ".join(text.split()).count(big.warnings[0]) == 1
    assert ("for want of width" in text) == (width < 150)


def test_problems_of_records_only(tmp_path):
    folder = write_run(tmp_path / "run", records()[:3])
    (folder / "manifest.json").write_text('{"schema": 1, "cells": 3}')
    run = load(folder)
    assert next(iter(tables(run))).name == "cifar10-gaussian-w2"


TRAINED = {
    "flops": 2e9,
    "flops_per_evaluation": 2e8,
    "rmse_se": 0.001,
    "reference_error": 2e-4,
    "n": 64,
    "n_paired": 24,
    "set_error": 3e-4,
}

SETS = {"fd_data_floor": 13.4, "fd_reference_se": 0.1, "fd_data_se": 0.1}


def test_a_trained_field_has_its_distances_and_their_goal(tmp_path):
    values = {"a": (0.1, 4.0, 14.2), "b": (0.2, 3.0, 12.9), "c": (0.3, 9.0, 20.0)}
    cells = [
        cell(name, kind="trajectory", rmse=rmse, fd_reference=own, fd_data=data, **SETS, **TRAINED)
        for name, (rmse, own, data) in values.items()
    ]
    run = load_cells(tmp_path, cells)
    made = {table.name: table.markdown() for table in tables(run)}
    assert set(made) == {"p-rmse", "p-fd_reference", "p-fd_data", "p-compute", "p-best"}
    assert row(made["p-compute"], "a")[2:6] == ["4.00(10)", "10", "0.200", "2.00"]
    assert row(made["p-rmse"], "a")[2] == "**0.1000(10)**"
    assert row(made["p-fd_reference"], "b")[2] == "**3.00(10)**"
    assert row(made["p-fd_data"], "b")[2] == "**12.90(10)**"  # half a unit below the goal, the others are further above
    assert "FD\\_data: n = 64; values at other n are not comparable; in brackets" in made["p-fd_data"]
    assert "Paired RMSE: n = 24; in brackets: the standard error (over starts" in made["p-rmse"]
    for key in ("Paired RMSE: n = 24", "FD\\_reference: n = 64", "FD\\_data: n = 64"):
        assert key in made["p-best"]
    assert "Paired RMSE of these references: 3.00e-4." in made["p-fd_reference"]
    assert "Goal, the score of the reference trajectories' ends: 13.4." in made["p-fd_data"]
    assert "no solver is nearer to the goal" in made["p-fd_data"]
    assert "FD_data by NFE" in summary(run)


def test_a_trained_field_without_pictures_has_its_errors_alone(tmp_path):
    run = load_cells(tmp_path, [cell("a", kind="trajectory", rmse=0.1, **TRAINED)])
    assert {table.name for table in tables(run)} == {"p-rmse", "p-compute", "p-best"}
    assert "FD" not in summary(run)


def sampled(solver, **values):
    """A cell of a problem whose solvers draw noise, but for one."""
    return cell(solver, stochastic=solver != "ddim", fd=150.0, fd_floor=141.0, fd_floor_sd=0.8, **values)


def test_a_problem_without_paired_errors_is_judged_by_distances(tmp_path):
    run = load_cells(tmp_path, [sampled("ddim"), sampled("ddpm")])
    assert [table.name for table in tables(run)] == ["p-fd", "p-compute", "p-best"]
    assert run.primary("p").key == "fd"
    assert "p: FD_pixel by NFE" in summary(run)
    assert not any("paired error" in note for table in tables(run) for note in table.notes)


def test_likelihoods_are_of_those_that_have_them(tmp_path):
    bits = {"bits": 3.1, "bits_exact": 3.0, "bits_error": 0.1, "bits_error_se": 0.002, "n_bits": 16}
    run = load_cells(tmp_path, [sampled("ddim", **bits), sampled("ddpm")])
    (table,) = (t for t in tables(run) if t.name == "p-bits_error")
    assert list(table.body["solver"]) == ["ddim"]
    assert table.precise is not None
    assert table.precise()["10"].iloc[0] == "0.100(2)"
    assert "Solvers without such a number are left out." in table.notes
    (note,) = (note for note in table.notes if "n = 16" in note)
    assert note.endswith("in brackets: the standard error (over samples), in units of the last digit.")
    assert not any("computed, not sampled" in note for note in table.notes)
