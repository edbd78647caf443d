"""Runs with little or nothing in them: every kind of figure draws what there is, or says in one line why not."""

from __future__ import annotations

import json

import pytest
from synthetic import records, write_run

from solverbench.errors import UsageError
from solverbench.report import load, render
from solverbench.report.figures import KINDS, Wish, draw, save

EMPTY = dict.fromkeys(("rmse", "rmse_se", "w2", "kl", "fd", "nfe", "field_seconds"))
FROM_RUNS = [kind for kind, known in KINDS.items() if known.of != "solvers"]


def some(*solvers, problem="", budgets=None, **change):
    return [
        c | change
        for c in records()
        if c["solver"] in solvers and problem in c["problem"] and (budgets is None or c["budget"] in budgets)
    ]


RUNS = {
    "one solver": some("heun"),
    "one budget": some("heun", "ddim", "euler", budgets=[10]),
    "one problem": some("heun", "dpmpp-2m", problem="gaussian"),
    "one cell": some("heun", problem="mixture", budgets=[10]),
    "failed": some("heun", "ddim", budgets=[5, 10], status="failed", **EMPTY),
    "diverged": some("heun", "ddim", budgets=[5, 10], status="diverged", **EMPTY),
    "no value": some("ddpm", "euler-maruyama", problem="mixture", **EMPTY | {"nfe": 10}),
    "stochastic": some("ddpm", "euler-maruyama", rmse=None, rmse_se=None),
    "exact": some("heun", "ddim", budgets=[5, 10], w2=0.0, kl=0.0, rmse=0.0, rmse_se=0.0),
    "no records": [],
}


@pytest.fixture(scope="module", params=RUNS)
def odd(request, tmp_path_factory):
    return load(write_run(tmp_path_factory.mktemp("odd") / "run", RUNS[request.param], planned=99, images=1))


@pytest.mark.parametrize("kind", FROM_RUNS)
def test_a_figure_is_drawn_or_says_why_not(odd, kind, tmp_path):
    said = []
    paths = save(odd, tmp_path, ["svg"], [kind, f"{kind}-cifar10-*"], said.append)
    assert all("\n" not in line and line.startswith(f"no figure {kind}") for line in said)
    if paths:
        draw(kind, Wish(odd))
    else:
        with pytest.raises(UsageError, match=f"has nothing to draw '{kind}' from: "):
            draw(kind, Wish(odd))
    suited = {k for _, k in odd.problems} & set(KINDS[kind].suits)
    assert bool(paths or said) == bool(suited)


def test_what_is_left_out_is_said_once_a_reason(tmp_path):
    said = []
    paths = render(write_run(tmp_path / "run", RUNS["stochastic"]), ["svg"], [], say=said.append)
    assert "no figure samples-cifar10-mixture: the run has kept no images" in said
    assert {p.stem for p in paths} >= {"families-cifar10-mixture", "work-precision", "pareto", "ranks"}
    assert len(said) == len({line.partition(": ")[2] for line in said}) == 2


def test_a_run_whose_problems_share_a_table_says_so(tmp_path):
    folder = write_run(tmp_path / "run", RUNS["one problem"])
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["problems"][0]["table"] = "joint"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    said = []
    assert save(load(folder), tmp_path, ["svg"], say=said.append) == []
    assert said == ["no figure: all problems share a table"]


def test_families_that_no_page_can_hold_are_to_be_named(tmp_path):
    few, *_ = some("heun", problem="gaussian", budgets=[10])
    cells = [{**few, "solver": f"s-{i}", "cell": f"{i}"} for i in range(101)]
    run = load(write_run(tmp_path / "run", cells))
    with pytest.raises(UsageError, match=r"101 solvers are more than a page can tell apart; .* --solver PATTERN"):
        draw("families", Wish(run))
    titles = [axes.get_title(loc="left") for axes in draw("families", Wish(run, solvers=("s-1*",))).axes]
    assert titles == ["runge-kutta, 1 of 2", "runge-kutta, 2 of 2"]
