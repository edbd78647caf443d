"""Every verb: what it prints and the code it ends with."""

from __future__ import annotations

import json

import pytest

from solverbench import __version__
from solverbench.cli import VERBS


def test_help_names_every_verb(solverbench):
    for flag in ("--help", "-h"):
        shown = solverbench(flag)
        assert shown.code == 0
        assert all(f"  {verb} " in shown.out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(solverbench, verb):
    shown = solverbench(verb, "--help")
    assert shown.code == 0
    assert shown.out.startswith(f"Usage: solverbench {verb} ")
    assert shown.err == ""


def test_version(solverbench):
    assert solverbench("--version").out == f"solverbench, version {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], "No such command 'rnu' (did you mean run?)"),
        (["frobnicate"], f"known: {', '.join(sorted(VERBS))}"),
        (["--frobnicate"], "--frobnicate"),
        (["list", "solver"], "'solver' is not one of"),
        (["show", "frobnicate"], "nothing is called 'frobnicate': `solverbench list` prints what there is"),
        (["show", "absent.toml"], "cannot read suite file absent.toml"),
        (["show", "ddimm"], "nothing is called 'ddimm' (did you mean ddim"),
        (["show", "edm[roh=5]"], "grid 'edm' has no option 'roh' (did you mean rho"),
        (["show", "edm[rho=-5]"], "grid 'edm': rho must be a positive number, got -5.0"),
        (["show", "edm[t_max=nan]"], "grid 'edm': need 0 <= t_min < t_max, finite, got t_max=nan"),
        (["show", "edm[t_min=inf]"], "grid 'edm': need 0 <= t_min < t_max, finite, got t_min=inf"),
        (["show", "edm[t_max=1,t_min=2]"], "finite, got t_min=2.0, t_max=1.0"),
        (["plan", "ddim", "--grid", "edm[t_max=inf]"], "finite, got t_max=inf"),
        (["cite", "edm[rho]"], "grid 'edm': cannot read option 'rho', write option=value"),
        (["show", "cifar10-gausian"], "did you mean cifar10-gaussian"),
        (["show", "ddim[et=1]"], "no option 'et' (did you mean eta?)"),
        (["cite", "heun", "ddimm"], "nothing is called 'ddimm' (did you mean ddim"),
        (["cite", "ddim[et=1]"], "no option 'et' (did you mean eta?)"),
        (["cite", "absent.py"], "no such solver file"),
        (["cite", "--suite", "cifar"], "unknown suite 'cifar' (did you mean cifar10 or ci?)"),
        (["plan", "ddimm"], "unknown solver 'ddimm'"),
        (["plan", "ddim[eta"], "cannot read solver 'ddim[eta'"),
        (["plan", "ddim[eta=x]"], "cannot read eta 'x'"),
        (["plan", "ddim[eta]"], "write option=value"),
        (["plan", "ddim[eta=2]"], "eta must be between 0 and 1"),
        (["plan", "ddim", "--nfe", "3", "--steps", "3"], "give --nfe or --steps, not both"),
        (["plan", "ddim", "--nfe", "0"], "positive whole number"),
        (["plan", "ddim", "--nfe", "x"], "'x' is not a valid integer"),
        (["plan", "ddim", "--steps", "0"], "steps must be a positive whole number"),
        (["plan", "ddim", "--steps", "1000000000"], "at most 100000 steps make a plan, got 1000000000"),
        (["plan", "ddim", "--nfe", "1000000000"], "at most 100000 steps make a plan, got 1000000000"),
        (["plan", "ddim", "--latex", "--json"], "--latex prints a table alone"),
        (["plan", "ddim", "--grid", "emd"], "unknown grid 'emd' (did you mean edm?)"),
        (["plan", "ddim", "--grid", "edm[roh=5]"], "grid 'edm' has no option 'roh' (did you mean rho"),
        (["plan", "ddim", "--grid", "edm[rho"], "cannot read grid 'edm[rho'"),
        (["plan", "ddim", "--grid", "edm[rho]"], "grid 'edm': cannot read option 'rho', write option=value"),
        (["plan", "ddim", "--grid", "edm[rho=nan]"], "rho must be a positive number, got nan"),
        (["plan", "ddim", "--grid", "edm[t_max=x]"], "option t_max='x' is not a number"),
        (["plan", "ddim", "--grid", "edm[zero=maybe]"], "option zero='maybe' is not true or false"),
        (["plan", "ddim", "--grid", "explicit"], "grid 'explicit' takes its times from Python"),
        (["plan", "ddim", "--path", "edn"], "unknown path 'edn' (did you mean edm"),
        (["plan", "ddim", "--prediction", "nois"], "unknown prediction 'nois' (did you mean noise?)"),
        (["law", "ddim", "--field", "cifar10-mixture"], "has no exact laws; cifar10-gaussian has"),
        (["law", "ddim", "--field", "cifar"], "unknown field 'cifar'"),
        (["law", "ddim", "--nfe", "5,x"], "'5,x' is not a list of whole numbers like 5,10,20"),
        (["law", "ddim", "--nfe", "0"], "positive whole number"),
        (["law", "ddim", "--nfe", ""], "'' is not a list of whole numbers like 5,10,20"),
        (["run", "--nfe", ""], "'' is not a list of whole numbers like 5,10,20"),
        (["law", "ddim", "--grid", "edm[roh=5]"], "grid 'edm' has no option 'roh' (did you mean rho"),
        (["run", "--suite", "cifar"], "unknown suite 'cifar' (did you mean cifar10 or ci?)"),
        (["run", "--seed", "-1"], "-1 is not in the range"),
        (["run", "--memory", "nan"], "nan is not a number"),
        (["run", "--cell-timeout", "nan"], "nan is not a number"),
        (["check", "--cell-timeout", "nan"], "nan is not a number"),
        (["run", "--dry-run", "--scheduler", "here:1"], "give --executor dask with them"),
        (["run", "--executor", "dask", "--resource", "GPU=nan"], "--resource is NAME=N, as in GPU=1, got 'GPU=nan'"),
        (["order", "ddimm"], "unknown solver 'ddimm' (did you mean ddim"),
        (["order", "all", "ddim"], "`all` means every solver and stands alone: leave out the others, got all ddim"),
        (["order", "ddim", "--markdown", "--json"], "give --markdown or --json, not both"),
        (["parity", "diffuser"], "unknown library 'diffuser' (did you mean diffusers"),
        (["parity", ""], "unknown library '' (known: azula"),
        (["parity", "--markdown", "--aliases"], "give one of --markdown, --aliases and --json"),
        (["report", "nowhere"], "'nowhere' does not exist"),
    ],
)
def test_what_cannot_be_is_named_on_stderr(solverbench, arguments, message):
    shown = solverbench(*arguments)
    assert shown.code == 2
    assert message in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("arguments", [["plan"], ["law"], ["order"], ["run", "--solver"]])
def test_verbs_that_need_a_plan_refuse_adaptive_solvers(solverbench, arguments):
    shown = solverbench(*arguments, "rk45-adaptive[rtol=0.1]")
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.startswith("error: rk45-adaptive[rtol=0.1] chooses its steps by the samples")


@pytest.mark.parametrize("kind", ["solvers", "adaptive", "paths", "grids", "fields", "suites"])
def test_list(solverbench, kind):
    table, data = solverbench("list", kind), solverbench("list", kind, "--json")
    assert (table.code, data.code, table.err, data.err) == (0, 0, "", "")
    rows = json.loads(data.out)
    first = "solver" if kind == "adaptive" else kind[:-1]
    assert len({row[first] for row in rows}) == len(rows) >= 1
    assert all(row[first] in table.out for row in rows)


def test_list_counts_evaluations_and_finds_noise(solverbench):
    rows = {row["solver"]: row for row in json.loads(solverbench("list", "--json").out)}
    assert [rows[name]["evals"] for name in ("ddim", "heun", "dpm-3", "rk4")] == [1, 2, 3, 4]
    assert [rows[name]["noise"] for name in ("ddim", "ddpm")] == ["", "yes"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ddim", ["solver ddim", "order:        1 (claimed and measured)", "deterministic", "eta=0.0", "Song"]),
        ("ddim[eta=0.5]", ["solver ddim[eta=0.5]", "draws noise"]),
        (
            "dpm-12-adaptive[rtol=0.1]",
            ["adaptive solver dpm-12-adaptive[rtol=0.1]", "2206.00927", "rtol=0.1, atol=0.0078"],
        ),
        ("edm", ["path edm", "Karras"]),
        ("discrete", ["grid discrete", "spacing=leading", "2305.08891"]),
        ("edm", ["path edm", "grid edm", "rho=7.0", "jumps to it after t_min", "eq. 5"]),
        ("edm[rho=5,t_max=9]", ["grid edm[rho=5,t_max=9]\n", "options:      rho=5.0, t_max=9.0\n"]),
        ("kl-optimal", ["grid kl-optimal", "options:      none", "special case: of tangent[scale=1]", "2404.14507"]),
        ("karras", ["special case: of edm\n"]),
        ("cifar10-mixture", ['"sha256"']),
        ("cifar10", ["suite cifar10: ", "budgets: 5, 6", "cifar10-gaussian"]),
    ],
)
def test_show(solverbench, name, expected):
    shown = solverbench("show", name)
    assert (shown.code, shown.err) == (0, "")
    assert all(text in shown.out for text in expected)


def test_show_tells_what_a_suite_states_and_no_more(solverbench, write):
    """The problems of the file are there as it has them; what they leave open is not."""
    problem = '{name = "p", field = "f", kind = "law", grid = "power", grid_options = {order = 3.0}, nfe = [4, 5]}'
    path = write(f'schema = 1\nname = "s"\nnfe = [3]\nsolvers = ["ddim"]\nproblems = [{problem}]\n', "s.toml")
    shown = solverbench("show", path)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.splitlines()[-1] == "  p: field f; kind law; grid power[order=3.0]; nfe 4, 5"


def test_show_finds_the_same_program_under_other_names(solverbench):
    line = next(s for s in solverbench("show", "dpmpp-1").out.splitlines() if s.startswith("same program"))
    assert "ddim" in line
    assert "ddpm" not in line


def test_plan(solverbench):
    text = solverbench("plan", "heun", "--nfe", "5").out
    assert text.startswith("heun on edm, grid edm, 3 steps: 5 evaluations")
    data = json.loads(solverbench("plan", "heun", "--nfe", "5", "--json").out)
    assert (data["nfe"], len(data["times"]), data["times"][0], data["times"][-1]) == (5, 4, 80.0, 0.0)
    assert [row["op"] for row in data["instructions"]].count("Eval") == 5
    latex = solverbench("plan", "heun", "--nfe", "5", "--latex").out
    assert latex.count(r"\\") == 1 + len(data["instructions"])
    assert r"\toprule" in latex
    assert "F_{1}" in latex


def test_a_grid_has_options(solverbench):
    def times(grid, *more):
        return json.loads(solverbench("plan", "ddim", "--nfe", "3", "--grid", grid, "--json", *more).out)["times"]

    assert times("edm[rho=7]") == times("edm") == times("karras")
    assert times("edm[rho=3]")[1] > times("edm")[1]
    assert times("edm[t_max=10,t_min=0.1,zero=no]")[::3] == [10.0, 0.1]
    assert times("discrete[spacing=trailing]", "--path", "vp-discrete")[0] == 1.0


def test_a_prediction_that_does_not_exist_at_the_start_is_no_traceback(solverbench):
    """DDIM's own kind, the noise, says nothing of the data where there is nothing but noise."""
    shown = solverbench("plan", "ddim", "--path", "rectified", "--grid", "uniform")
    assert shown.code == 2
    assert "prediction 'x0' does not follow from a field that predicts 'noise' at t = 1" in shown.err


@pytest.mark.usefixtures("small")
def test_law(solverbench):
    table = solverbench("law", "ddim", "--nfe", "5,10")
    rows = json.loads(solverbench("law", "ddim", "--nfe", "5,10", "--json").out)
    assert [(r["solver"], r["budget"], r["nfe"]) for r in rows] == [("ddim", 5, 5), ("ddim", 10, 10)]
    assert rows[0]["W2"] > rows[1]["W2"] > 0
    assert rows[0]["initialisation"] == rows[1]["initialisation"]
    (other,) = json.loads(solverbench("law", "ddim", "--nfe", "5", "--grid", "edm[rho=3]", "--json").out)
    assert other["W2"] > rows[0]["W2"]
    assert "discretisation" in table.out
    (eta,) = json.loads(solverbench("law", "ddim[eta=1]", "--nfe", "5", "--json").out)
    assert eta["initialisation"] < rows[0]["initialisation"]  # noise forgets the start


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("value", ["", "NO"])
def test_no_color_is_harmless(solverbench, monkeypatch, value):
    monkeypatch.setenv("NO_COLOR", value)
    shown = solverbench("law", "ddim", "--nfe", "5")
    assert shown.code == 0
    assert "\x1b" not in shown.out + shown.err
