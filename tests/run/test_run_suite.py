"""Suite files: what is read, and that what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from solverbench.errors import UsageError
from solverbench.run import suite

EXTRA = ('kind = "law"', 'kind = "law"\n')


def test_what_a_suite_says(suite_file):
    made = suite.load(suite_file())
    assert (made.name, made.title, made.nfe, made.scale) == ("small", "Small fields", (3, 6), "full")
    assert made.solvers == ("ddim", "dpmpp-1", "heun", "unipc-2[variant=bh1]", "ddpm")
    gaussian, mixture = made.problems
    assert (gaussian.kind, gaussian.path, gaussian.grid, gaussian.samples) == ("law", None, "edm", 512)
    assert (mixture.kind, mixture.samples, mixture.paired, mixture.rtol) == ("paired", 6, 2, 1e-6)


def test_quick_changes_what_it_says_and_nothing_else(suite_file):
    full, quick = suite.load(suite_file()), suite.load(suite_file(), scale="quick")
    assert (quick.nfe, quick.solvers, quick.scale) == ((4,), ("ddim",), "quick")
    assert quick.problems[0] == full.problems[0]
    assert (quick.problems[1].samples, quick.problems[1].paired) == (4, 2)
    assert quick.digest != full.digest


def test_title_and_quick_may_be_missing(suite_file):
    path = suite_file('title = "Small fields"\n')
    assert suite.load(path).title == "small"
    text = Path(path).read_text()
    Path(path).write_text(text[: text.index("[quick]")])
    assert suite.load(path, scale="quick").nfe == (3, 6)


@pytest.mark.parametrize("scale", suite.SCALES)
@pytest.mark.parametrize(("name", "problems"), [("cifar10", 4), ("pierret2025", 8), ("sde", 2)])
def test_shipped_suites_read_and_name_known_solvers(name, problems, scale):
    from solverbench.methods import SOLVERS

    assert suite.names() == ["ci", "cifar10", "pierret2025", "sde"]
    made = suite.load(name, scale=scale)
    assert len(made.problems) == problems
    assert len({str(SOLVERS[name]) for name in made.solvers}) == len(made.solvers)


@pytest.mark.parametrize("scale", suite.SCALES)
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema = 1", "schema = 2", "schema 2 is not 1"),
        ("schema = 1", "", "schema None is not 1"),
        ("schema = 1", "schema = ", "not TOML.*line 2"),
        ("nfe = [3, 6]", "budgets = [3, 6]", r"unknown key 'budgets' \(known: name, nfe"),
        ('solvers = ["ddim", "dpm', 'solver = ["ddim", "dpm', "unknown key 'solver'.*did you mean solvers"),
        ("nfe = [3, 6]", "nfe = []", "nfe is missing or empty"),
        ("nfe = [3, 6]", "", "nfe is missing or empty"),
        ("nfe = [3, 6]", "nfe = 5", "nfe must be a list of positive whole numbers, got 5"),
        ("nfe = [3, 6]", "nfe = [3, 0]", r"nfe must be .* got \[3, 0\]"),
        ("nfe = [3, 6]", "nfe = [3.5]", r"nfe must be .* got \[3.5\]"),
        ("nfe = [3, 6]", "nfe = [true]", "nfe must be"),
        ('"ddpm"]', "3]", "solvers must be a list of names"),
        ('["ddim"]', '"ddim"', r"\[quick\]: solvers must be a list of names, got 'ddim'"),
        ("nfe = [4]", "nfe = []", r"\[quick\]: nfe must be"),
        ("nfe = [4]", "nef = [4]", r"\[quick\]: unknown key 'nef'.*did you mean nfe"),
        ("[quick.problems.mixture]", "[quick.problems.mixtur]", "unknown key 'mixtur'.*did you mean mixture"),
        ("samples = 4", "sample = 4", r"quick.problems.mixture\]: unknown key 'sample'.*did you mean samples"),
        ("samples = 4", 'samples = "few"', "samples must be a whole number, got 'few'"),
        ("samples = 4", "samples = 1", "problem 'mixture': need 2 <= samples"),
        ("samples = 6", "samples = 6.5", r"\[\[problems\]\]: samples must be a whole number, got 6.5"),
        ("samples = 6", "smaples = 6", "unknown key 'smaples'.*did you mean samples"),
        ("rtol = 1e-6", "rtol = true", "rtol must be a number"),
        ("rtol = 1e-6", "rtol = 2", "rtol must be between"),
        ("rtol = 1e-6", "path = 3", "path must be a text"),
        ("rtol = 1e-6", "grid_options = 3", "grid_options must be a table"),
        ('kind = "law"', 'kind = "laws"', "unknown kind 'laws'.*did you mean law"),
        ('kind = "law"', "", r"\[\[problems\]\]: kind is missing"),
        ('name = "mixture"', 'name = "gaussian"', "two problems have the same name"),
        ('name = "small"', 'name = "../small"', "name must be a text"),
        ('name = "small"', "name = 7", "name must be a text"),
        ('title = "Small fields"', "title = 7", "title a text"),
        ("[quick]", "[quick]\nseed = 3", "unknown key 'seed'"),
    ],
)
def test_what_is_wrong_is_named(suite_file, old, new, message, scale):
    with pytest.raises(UsageError, match=message):
        suite.load(suite_file(old, new), scale=scale)


@pytest.mark.parametrize(
    "text", ["problems = 3", 'problems = ["a"]', "problems = {name = 1}", "quick = 1\nproblems = 1"]
)
def test_tables_that_are_none(tmp_path, text):
    path = tmp_path / "x.toml"
    path.write_text(f'schema = 1\nname = "x"\nnfe = [1]\nsolvers = ["ddim"]\n{text}\n')
    with pytest.raises(UsageError, match=r"problems must be|expected a table"):
        suite.load(str(path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar", "unknown suite 'cifar'.*did you mean cifar10.*or give a file ending in .toml"),
        ("absent.toml", "cannot read suite file absent.toml: .*No such file"),
        (".toml", "unknown suite"),
    ],
)
def test_suites_that_do_not_exist(name, message):
    with pytest.raises(UsageError, match=message):
        suite.load(name)


def test_a_suite_that_is_too_deep(tmp_path):
    path = tmp_path / "deep.toml"
    path.write_text("nfe = " + "[" * 10**5)
    with pytest.raises(UsageError, match=r"deep\.toml: not TOML: "):
        suite.load(str(path))


def test_a_suite_that_is_no_text(tmp_path):
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot read suite file"):
        suite.load(str(path))
