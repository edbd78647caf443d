"""The audit on files: what is right passes, and each planted fault is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from solverbench.cli import main
from solverbench.errors import UsageError
from solverbench.peers.audit import audit, find
from solverbench.peers.checks import examine

FILES = Path(__file__).parent / "files"
FAULTS = {
    "factor_dropped": "order",
    "remembers": "repeats",
    "own_draws": "batch",
    "single": "float64",
    "logarithmic": "finite",
    "too_noisy": "consistency",
    "normalised": "batch",
    "raises": "runs",
    "claims_more": "strong order",
}


@pytest.fixture(scope="module")
def right():
    return audit(str(FILES / "right.py"))


@pytest.fixture(scope="module")
def wrong():
    return {r.sampler: r for r in audit(f"{FILES / 'wrong.py'}").records}


def test_right_samplers_pass(right):
    assert {r.sampler: r.faults for r in right.records} == {"heun": [], "ancestral": []}
    assert {r.sampler: r.verdict for r in right.records} == {"heun": "as claimed", "ancestral": "as claimed"}
    assert right.own == []
    assert right.worse() == []


@pytest.mark.parametrize(("sampler", "check"), FAULTS.items())
def test_planted_faults_are_seen(wrong, sampler, check):
    assert check in {f.check for f in wrong[sampler].faults}, wrong[sampler].findings


def test_spending_more_than_promised_is_noted(wrong):
    (finding,) = [f for f in wrong["spends_more"].findings if f.check == "evaluations"]
    assert "20 evaluations in 10 steps, 10 promised" in finding.text


def test_noise_levels_that_repeat_are_seen():
    found = audit(f"{FILES / 'wrong.py'}:single").own
    assert [(o.sampler, o.finding.check) for o in found if o.finding.fault] == [("single", "grid")]


def test_exact_law_equals_that_of_our_engine(right):
    """Impulses through a black box give W2 of the same solver of ours, by exact laws."""
    import solverbench as sb
    from solverbench.fields import Gaussian
    from solverbench.peers.checks import edm_grid
    from solverbench.pretrained import tensors

    record = next(r for r in right.records if r.sampler == "heun")
    variance = np.asarray(tensors("cifar10-gaussian")["variance"], float)
    field = Gaussian(np.zeros(variance.size), variance, "edm")
    for budget, w2 in record.w2.items():
        law = sb.law(field, "rho-2heun", sb.Grid(sb.path("edm"), edm_grid(int(budget) // 2)), target="end")
        assert w2 == pytest.approx(law.w2, rel=1e-9)


def test_a_registered_solver_is_audited(tmp_path):
    file = tmp_path / "mine_audited.py"
    file.write_text(
        "import solverbench as sb\n"
        "@sb.solver('audited-euler', order=1)\n"
        "def f(x, path, grid):\n"
        "    for s, t in grid.steps:\n"
        "        x = path.sigma(t) / path.sigma(s) * x + (path.alpha(t) - path.sigma(t) / path.sigma(s)"
        " * path.alpha(s)) * x.predict('x0', at=s)\n"
        "    return x\n"
    )
    record = examine(find(str(file)).peers[0])
    assert (record.sampler, record.verdict, record.faults) == ("audited-euler", "as claimed", [])


def test_command_line(capsys):
    with pytest.raises(SystemExit) as done:
        main(["audit", f"{FILES / 'right.py'}:heun", "--json"])
    assert done.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert found["samplers"][0]["sampler"] == "heun"
    assert set(found["samplers"][0]["w2"]) == {"10", "50"}


@pytest.mark.parametrize(("allow", "code"), [((), 1), (("single",), 0), (("singel",), 2)])
def test_allow(allow, code, capsys):
    arguments = [part for name in allow for part in ("--allow", name)]
    with pytest.raises(SystemExit) as done:
        main(["audit", f"{FILES / 'wrong.py'}:single", *arguments])
    assert done.value.code == code
    if code == 2:
        assert "did you mean single?" in capsys.readouterr().err


def test_unknown_names(tmp_path):
    with pytest.raises(UsageError, match="did you mean diffusers"):
        find("difusers")
    with pytest.raises(UsageError, match="no such file"):
        find(str(tmp_path / "none.py"))
    with pytest.raises(UsageError, match="did you mean heun"):
        find(f"{FILES / 'right.py'}:heum")
    empty = tmp_path / "empty.py"
    empty.write_text("x = 1\n")
    with pytest.raises(UsageError, match="define sample"):
        find(str(empty))


def test_a_library_that_is_not_installed(monkeypatch):
    import sys

    from solverbench import peers

    monkeypatch.setitem(sys.modules, "azula.sample", None)
    with pytest.raises(UsageError, match="pip install azula"):
        peers.library("azula")
