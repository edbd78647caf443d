"""What figures draw is what the records say: values are read off them and computed again from cells.jsonl alone."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from seen import complaints, unseen
from synthetic import records, write_run

from solverbench.report import load
from solverbench.report.figures import Wish, draw
from solverbench.report.figures.page import folded, panels
from solverbench.report.style import GREY, hues, round_between, round_numbers, style

SOME = ("euler", "heun", "rk4", "dpmpp-2m", "unipc-3", "ddpm")


def run_of(folder, cells, **more):
    return load(write_run(folder / "run", cells, **more))


@pytest.fixture
def run(tmp_path):
    return run_of(tmp_path, [c for c in records() if c["solver"] in SOME], images=1)


def cells_of(run, problem):
    lines = (run.folder / "cells.jsonl").read_text().splitlines()
    cells = [json.loads(line) for line in lines]
    return [c for c in cells if c["problem"] == problem and c["status"] == "ok"]


def expected(run, problem, column, x="nfe"):
    """Solver -> its points, by x."""
    found = {}
    for c in cells_of(run, problem):
        value = c[column]
        if column == "rmse":
            value = max(value, 100 * c["reference_error"])
        work = c["nfe"] if x == "nfe" else c["field_seconds"] + c["overhead_seconds"]
        found.setdefault(c["solver"], []).append((work, value))
    return {name: sorted(set(points)) for name, points in found.items()}


def lines_of(figure, panel):
    """Name in the legend -> points of the line of that look in a panel."""
    (legend,) = figure.legends
    looks = {(h.get_color(), h.get_marker()): t.get_text() for h, t in _entries(legend) if h.get_marker() != "None"}
    drawn = {(line.get_color(), line.get_marker()): line for line in figure.axes[panel].lines if len(line.get_xdata())}
    return {looks[key]: sorted(map(tuple, line.get_xydata())) for key, line in drawn.items() if key in looks}


def _entries(legend):
    pairs = zip(legend.legend_handles, legend.get_texts(), strict=True)
    return [(handle, text) for handle, text in pairs if hasattr(handle, "get_marker")]


@pytest.mark.parametrize(("kind", "x"), [("work-precision", "nfe"), ("work-seconds", "seconds")])
def test_errors_are_those_of_the_records(run, kind, x):
    figure = draw(kind, Wish(run))
    for panel, axes in enumerate(figure.axes):
        problem = axes.get_title(loc="left")
        column = "w2" if "gaussian" in problem else "rmse"
        found, wanted = lines_of(figure, panel), expected(run, problem, column, x)
        assert set(found) == set(wanted)
        for name, points in wanted.items():
            np.testing.assert_allclose(found[name], points, rtol=1e-12, err_msg=name)


def test_a_panel_of_parts_adds_nothing_to_the_records(run):
    figure = draw("split", Wish(run))
    for axes in figure.axes:
        cells = [c for c in cells_of(run, "cifar10-gaussian") if c["solver"] == axes.get_title(loc="left")]
        for part, column in (("total", "w2"), ("discretisation", "w2_discretisation"), ("truncation", "w2_truncation")):
            (line,) = [line for line in axes.lines if line.get_label() == part]
            np.testing.assert_allclose(line.get_xydata(), sorted((c["nfe"], c[column]) for c in cells), rtol=1e-12)


def test_profiles_are_the_shares_of_dolan_and_more(run):
    figure = draw("profile", Wish(run))
    error = {}
    for problem, column in (("cifar10-gaussian", "w2"), ("cifar10-mixture", "rmse")):
        for c in cells_of(run, problem):
            least = 100 * c["reference_error"] if column == "rmse" else 0.0
            error[c["solver"], problem, c["budget"]] = max(c[column], least)
    instances = {(p, b) for _, p, b in error}
    for name, points in lines_of(figure, 0).items():
        ratios = [
            error.get((name, *i), math.inf) / min(e for (_, *j), e in error.items() if tuple(j) == i) for i in instances
        ]
        for within, share in points:
            assert share == pytest.approx(np.mean([r <= within for r in ratios])), (name, within)


def test_no_choice_undercuts_a_front(run):
    for axes in draw("pareto", Wish(run)).axes:
        problem = axes.get_title(loc="left")
        points = [
            p for line in expected(run, problem, "w2" if "gaussian" in problem else "rmse").values() for p in line
        ]
        front = sorted({p for p in points if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)})
        (line,) = axes.lines
        np.testing.assert_allclose(sorted(set(map(tuple, line.get_xydata()))), front, rtol=1e-12)


@pytest.mark.parametrize("kind", ["work-precision", "order"])
def test_the_fan_has_the_slopes_that_it_names(run, kind):
    figure = draw(kind, Wish(run, solvers=("heun", "rk4")))
    orders = []
    for axes in figure.axes:
        drawn = [line for line in axes.lines if len(line.get_xydata())]
        for text in (t for t in axes.texts if t.get_text().isdigit()):
            (line,) = [line for line in drawn if np.allclose(line.get_xydata()[-1], text.xy, atol=0)]
            (x0, x1), (y0, y1) = np.log(line.get_xydata()).T
            assert (y1 - y0) / (x1 - x0) == pytest.approx(-int(text.get_text()))
            orders.append(int(text.get_text()))
    assert orders[:3] == [1, 2, 3]


def test_a_legend_names_floors_only_where_they_are_seen(tmp_path):
    cells = [c for c in records() if c["solver"] in SOME]
    for far, rmse in ((True, 1.0), (False, 0.0)):
        changed = [{**c, "rmse": c["rmse"] + rmse, "rmse_truncation": 1e-4} if "rmse" in c else c for c in cells]
        figure = draw("work-precision", Wish(run_of(tmp_path / str(far), changed)))
        said = [t.get_text() for t in figure.legends[0].get_texts()]
        assert ("100 × reference's error" in said) is not far
        assert ("a perfect solver of the ODE" in said) is not far
        assert unseen(figure) == []


def test_a_solver_without_error_is_not_in_the_legend(tmp_path):
    cells = [{**c, "rmse": None, "rmse_se": None} if c["solver"] == "ddpm" else c for c in records()]
    cells = [c for c in cells if c["solver"] in SOME and c["kind"] == "paired"]
    said = [t.get_text() for t in draw("work-precision", Wish(run_of(tmp_path, cells))).legends[0].get_texts()]
    assert "euler" in said
    assert {"ddpm", "stochastic (dashed)", "other solvers"}.isdisjoint(said)


def test_rounding_does_not_flatten_the_others(tmp_path):
    cells = [c for c in records() if c["solver"] in SOME and c["kind"] == "law"]
    cells = [{**c, "w2": 1e-15} if (c["solver"], c["budget"]) == ("unipc-3", 100) else c for c in cells]
    figure = draw("work-precision", Wish(run_of(tmp_path, cells)))
    bottom, _ = figure.axes[0].get_ylim()
    assert 1e-9 < bottom < 1e-3
    assert "below the panel" in [t.get_text() for t in figure.legends[0].get_texts()]


def test_arrows_are_of_what_is_off_the_panel(tmp_path):
    cells = [c for c in records() if c["solver"] in SOME and c["kind"] == "paired"]
    for c in cells:
        if c["solver"] == "euler" and c["budget"] < 9:
            c["fd"] *= 30
    figure = draw("fd-compute", Wish(run_of(tmp_path, cells)))
    for axes in figure.axes:
        arrows = [c for c in axes.collections if c.get_label() == "above the panel"]
        (marked,) = (len(c.get_offsets()) for c in arrows)
        assert marked == sum(c["fd"] > axes.get_ylim()[1] for c in cells if c["status"] == "ok")
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "NFE, each of 0.0250 GFLOPs per sample", "seconds (512 samples, once)"
    ]  # fmt: skip


def test_operations_have_a_panel_where_they_are_no_multiple_of_evaluations(tmp_path):
    cells = [c for c in records() if c["solver"] in SOME and c["kind"] == "paired"]
    cells = [{**c, "flops": c["flops"] * (2 if c["solver"] == "heun" else 1)} for c in cells if c["nfe"]]
    figure = draw("fd-compute", Wish(run_of(tmp_path, cells)))
    assert [axes.get_xlabel() for axes in figure.axes][::2] == ["NFE", "GFLOPs per sample"]
    assert complaints(figure) == []


def test_awkward_names_and_titles_fit(tmp_path):
    long = {c["solver"]: f"a-long-solver-name-{i}[option=0.25,other=True]" for i, c in enumerate(records()[::9])}
    cells = [{**c, "solver": long[c["solver"]], "same_as": None} for c in records() if c["solver"] in SOME]
    folder = write_run(tmp_path / "run", cells, planned=999, images=1)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "title": "A title that goes on and on " * 5}))
    run = load(folder)
    for kind in ("work-precision", "pareto", "ranks", "profile", "families", "fd-compute", "split", "samples"):
        assert complaints(draw(kind, Wish(run))) == [], kind


def test_many_problems_fit(tmp_path):
    cells = [
        {**c, "problem": f"{c['problem']}-of-several-{i}", "cell": f"{c['cell']}.{i}"}
        for i in range(3)
        for c in records()
        if c["solver"] in SOME
    ]
    run = run_of(tmp_path, cells)
    for kind in ("work-precision", "pareto", "ranks", "profile"):
        assert complaints(draw(kind, Wish(run))) == [], kind


def test_complaints_are_made(run):
    """The judge of these tests sees what it is to see."""
    figure = draw("split", Wish(run))
    figure.text(0.97, 0.5, "out of the figure")
    figure.text(0.5, 0.2, "small", fontsize=5)
    axes = figure.axes[0]
    axes.text(0.2, 0.5, "one", transform=axes.transAxes)
    axes.text(0.22, 0.5, "two", transform=axes.transAxes)
    axes.plot([5, 100], [1e-4, 1e-4])
    axes.text(20, 1e-4, "crossed", va="center")
    said = " ".join(complaints(figure))
    for text in (
        "'out of the figure' leaves",
        "'small' is of 5.0 pt",
        "'one' stands on 'two'",
        "runs through 'crossed'",
    ):
        assert text in said
    axes.axhline(1e-30, label="never")
    figure.legend(*axes.get_legend_handles_labels())
    assert unseen(figure) == ["never"]


def test_names_are_folded_where_one_would_break_them():
    assert folded("heun = rho-2heun = edm-heun", 20) == ["heun = rho-2heun", "= edm-heun"]
    assert folded("unipc-3[corrector=False,variant=bh1]", 18) == ["unipc-3", "[corrector=False,", "variant=bh1]"]
    assert folded("cifar10-gaussian", 10) == ["cifar10-", "gaussian"]
    assert folded("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]


@pytest.mark.parametrize(
    ("low", "high", "apart", "ticks"),
    [
        (0.9, 110, 1.0, [1, 10, 100]), (0.03, 0.055, 1.0, [0.03, 0.04, 0.05]),
        (0.015, 0.055, 1.4, [0.02, 0.05]), (2.1, 2.9, 1.0, [2.2, 2.4, 2.6, 2.8]), (1e-14, 1e2, 1.0, None),
    ],
)  # fmt: skip
def test_ticks_are_round_and_apart(low, high, apart, ticks):
    found = round_between(low, high, apart)
    assert 2 <= len(found) <= 6
    assert all(low <= t <= high for t in found)
    assert all(b / a >= apart for a, b in pairwise(found))
    if ticks:
        np.testing.assert_allclose(found, ticks)


def test_numbers_at_ticks_stand_apart_in_a_narrow_panel():
    with style():
        figure, (axes,) = panels(1, 1, 0.6, width=2.0)
        axes.set(xscale="log", yscale="log", xlim=(0.015, 0.085), ylim=(0.015, 0.085))
        for axis in (axes.xaxis, axes.yaxis):
            round_numbers(axis)
        assert complaints(figure) == []
    assert len(axes.get_xticks()) > 1 < len(axes.get_yticks())


DEUTAN = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
PROTAN = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]


@pytest.mark.parametrize("eye", [np.eye(3), DEUTAN, PROTAN], ids=["all", "deutan", "protan"])
def test_colours_are_apart_for_the_colour_blind(eye):
    """In CIELAB, by the matrices of Machado, Oliveira & Fernandes (2009) at severity 1, on linear light."""
    from matplotlib.colors import to_rgb

    colours = np.array([*hues(()).values(), to_rgb(GREY), (0, 0, 0)])
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(eye), 0, 1) @ np.transpose(TO_XYZ) / [0.9505, 1, 1.089]
    x, y, z = np.where(seen > 0.008856, np.cbrt(seen), 7.787 * seen + 16 / 116).T
    lab = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
    apart = np.linalg.norm(lab[:, None] - lab, axis=-1) + 99 * np.eye(len(lab))
    assert apart.min() > 8
