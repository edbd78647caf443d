"""Which cells a run has: names, patterns, budgets, and identities that hold."""

from __future__ import annotations

import pytest

from solverbench.errors import NothingSelectedError, UsageError
from solverbench.run import cells, suite

pytestmark = pytest.mark.usefixtures("small_fields")


@pytest.fixture
def select(suite_file):
    return lambda **filters: cells.select(suite.load(suite_file()), **filters)


def asked(selection):
    return [(c.problem.spec.name, str(c.solver), c.budget) for c in selection.cells]


def test_everything(select):
    selection = select()
    assert len(selection.cells) == 2 * 2 * 5
    assert [p.spec.name for p in selection.problems] == ["gaussian", "mixture"]
    assert selection.left_out == ()


def test_solvers_of_one_budget_follow_each_other_by_evaluations_per_step(select):
    names = [name for _, name, _ in asked(select(problems=["gaussian"], nfe=[5]))]
    assert names == ["ddim", "dpmpp-1", "unipc-2[variant=bh1]", "ddpm", "heun"]


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["ddim"], ["ddim"]),
        (["d*"], ["ddim", "dpmpp-1", "ddpm"]),
        (["unipc-2*"], ["unipc-2[variant=bh1]"]),
        (["unipc-2"], ["unipc-2"]),  # named outright
        (["euler", "dd?m"], ["euler", "ddim", "ddpm"]),
        (["ddim[eta=0.5]"], ["ddim[eta=0.5]"]),
        (["ddim", "ddim", "ddim[eta=0.0]"], ["ddim"]),
    ],
)
def test_solvers_by_pattern_and_by_name(select, patterns, names):
    assert [name for _, name, _ in asked(select(solvers=patterns, problems=["gau*"], nfe=[3]))] == names


def test_budgets_replace_the_suites(select):
    assert [n for _, _, n in asked(select(solvers=["ddim"], problems=["gaussian"], nfe=[7, 2, 7]))] == [7, 2]


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"solvers": ["dimm"]}, "unknown solver 'dimm'.*did you mean ddim"),
        ({"solvers": ["zz*"]}, r"unknown solver 'zz\*'"),
        ({"solvers": ["ddim[et=1]"]}, "no option 'et'.*did you mean eta"),
        ({"problems": ["gausian"]}, "unknown problem 'gausian' in suite 'small'.*did you mean gaussian"),
        ({"problems": ["gaussian", "zz*"]}, r"unknown problem 'zz\*'"),
        ({"nfe": [4, 0]}, "positive number of model evaluations, got 0"),
    ],
)
def test_names_that_do_not_exist(select, filters, message):
    with pytest.raises(UsageError, match=message):
        select(**filters)


def test_what_does_not_apply_is_left_out_with_the_reason(select):
    selection = select(solvers=["flow-map", "ddim"])
    assert selection.left_out == ("flow-map on mixture: cifar10-mixture has no flow map to jump with",)
    assert ("gaussian", "flow-map", 3) in asked(selection)


def test_nothing_selected(select):
    with pytest.raises(NothingSelectedError, match="no cell of suite 'small'") as error:
        select(solvers=["flow-map"], problems=["mixture"])
    assert error.value.exit_code == 5


def test_ids_are_distinct_and_depend_on_what_is_asked_alone(select, suite_file):
    ids = [c.id for c in select().cells]
    assert len(set(ids)) == len(ids)
    assert [c.id for c in select().cells] == ids
    assert ids[0] in [c.id for c in select(solvers=["ddim"], nfe=[3, 50]).cells]
    assert set(ids).isdisjoint(c.id for c in select(seed=1).cells)
    other = cells.select(suite.load(suite_file("rtol = 1e-6", "rtol = 1e-7")))
    changed = [c.problem.spec.name for c in other.cells if c.id not in ids]
    assert set(changed) == {"mixture"}
    assert len(changed) == 10


OWN = 'name = "mixture"\nnfe = [4]\nsolvers = ["heun", "ddim"]'


@pytest.fixture
def select_own(suite_file):
    """Of the suite whose second problem has budgets and solvers of its own."""
    return lambda **filters: cells.select(suite.load(suite_file('name = "mixture"', OWN)), **filters)


def test_a_problem_may_have_budgets_and_solvers_of_its_own(select_own):
    assert asked(select_own(problems=["mixture"])) == [("mixture", "ddim", 4), ("mixture", "heun", 4)]
    assert len(select_own(problems=["gaussian"]).cells) == 2 * 5


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["d*"], ["ddim"]),  # a pattern selects among the problem's own
        (["ddpm"], ["ddpm"]),  # a name is run wherever it can be
        (["euler"], ["euler"]),
    ],
)
def test_filters_of_a_problem_with_its_own_solvers(select_own, patterns, names):
    assert asked(select_own(solvers=patterns, problems=["mixture"], nfe=[6])) == [("mixture", n, 6) for n in names]


def test_quick_keeps_what_a_problem_has_of_its_own(suite_file):
    made = suite.load(suite_file('name = "mixture"', OWN), scale="quick")
    assert (made.problems[1].nfe, made.problems[1].solvers) == ((4,), ("heun", "ddim"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nfe = [0]", "positive whole numbers"),
        ('nfe = "5"', "nfe must be a list of positive whole numbers"),
        ("solvers = [1]", "list of names"),
        ("steps = 5", "even and at least 4"),
        ('label = "cat"', "label must be a whole number"),
    ],
)
def test_what_a_problem_may_not_say(suite_file, line, message):
    with pytest.raises(UsageError, match=message):
        suite.load(suite_file('name = "mixture"', f'name = "mixture"\n{line}'))
