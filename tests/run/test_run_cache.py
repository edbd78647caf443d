"""Finished cells across runs: what an identity depends on, and entries that cannot be trusted."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import small

import solverbench as sb
from solverbench.eta import ZERO, Eta
from solverbench.methods import SOLVERS
from solverbench.numbers import expm1
from solverbench.problems.base import Judgement, ProblemSpec, build
from solverbench.problems.trajectory import TrajectoryProblem
from solverbench.run import runner
from solverbench.run.cache import Cache
from solverbench.run.identity import _MEASURING, identity

SPEC = ProblemSpec("a", "cifar10-gaussian", "law")
PICTURES = np.arange(48, dtype=np.uint8).reshape(1, 3, 4, 4)


def plan(solver="dpmpp-2m", steps=5, path="edm"):
    return sb.plan(solver, path, sb.grid("edm", path, steps))


def test_an_identity_is_of_all_that_numbers_depend_on():
    base = identity(SPEC, plan(), 0)
    others = [
        identity(SPEC, plan(), 1),
        identity(SPEC, plan("ddim"), 0),
        identity(SPEC, plan(steps=6), 0),
        identity(SPEC, None, 0),
        identity(replace(SPEC, field="cifar10-mixture"), plan(), 0),
        identity(replace(SPEC, samples=64), plan(), 0),
    ]
    assert len({base, *others}) == 1 + len(others)
    assert len(base) == 64


def test_an_identity_is_of_nothing_else():
    base = identity(SPEC, plan(), 0)
    assert base == identity(replace(SPEC, name="b", nfe=(3,), solvers=("ddim",)), plan(), 0)

    @sb.solver("half-step")
    def half_step(x, path, grid, *, factor: float = 0.5):
        for s, t in grid.steps:
            x = path.sigma(t) / path.sigma(s) * x - path.alpha(t) * expm1(
                (path.lam(s) - path.lam(t)) * factor
            ) * x.predict("x0", at=s)
        return x

    before = identity(SPEC, plan("half-step"), 0)
    assert identity(SPEC, plan("half-step[factor=0.5000000001]"), 0) != before  # any coefficient


def with_eta(eta):
    """A solver with DDIM's program whatever its option says."""
    return replace(SOLVERS["ddim"], name="other", options={"eta": Eta.of(eta)}, defaults={"eta": ZERO}, function=euler)


def euler(x, path, grid, *, eta: Eta = ZERO):
    return SOLVERS["ddim"].function(x, path, grid, eta=ZERO)


def named(spec, solver, steps=5):
    problem = build(spec, 0)
    made = solver.plan(problem.field.path, problem.grid(steps), problem.field.prediction)
    return identity(spec, made, 0, problem.asks(solver, made))


def test_an_identity_is_of_what_a_law_asks_the_solver_itself():
    """Two cells of one program whose numbers differ: an error is split by the strength of the solver's process."""
    one, two = with_eta(0.0), with_eta(0.5)
    problem = build(SPEC, 0)
    plans = [s.plan(problem.field.path, problem.grid(5), "x0") for s in (one, two)]
    assert plans[0].equivalent(plans[1])
    split = [problem.judge(s, p).measures["w2_initialisation"] for s, p in zip((one, two), plans, strict=True)]
    assert split[0] != split[1]
    assert named(SPEC, one) != named(SPEC, two)


def upwards(factor):
    """The first-order step, and going up one that is off by a factor."""

    def bent(x, path, grid):
        down = path.sigma(grid.times[0]) > path.sigma(grid.times[-1])
        for s, t in grid.steps:
            step = expm1(path.lam(s) - path.lam(t)) * (1.0 if down else factor)
            x = path.sigma(t) / path.sigma(s) * x - path.alpha(t) * step * x.predict("x0", at=s)
        return x

    return replace(SOLVERS["ddim"], name="bent", options={}, defaults={}, function=bent)


def test_an_identity_is_of_the_plan_a_likelihood_rises_by():
    assert named(SPEC, upwards(1.0), 3) == named(SPEC, upwards(1.01), 3)
    asking = replace(SPEC, likelihood=True)
    assert named(asking, upwards(1.0), 3) != named(asking, upwards(1.01), 3)


def test_an_identity_is_of_the_solvers_a_reference_comes_from(monkeypatch):
    problem = TrajectoryProblem.__new__(TrajectoryProblem)
    problem.field = small.mixture()
    before = identity(SPEC, None, 0, problem.asks())
    assert before == identity(SPEC, None, 0, problem.asks())
    monkeypatch.setattr("solverbench.problems.trajectory.REFERENCE", "heun")
    assert identity(SPEC, None, 0, problem.asks()) != before


def test_the_sources_that_judge_are_those_that_problems_import():
    """Every folder of this package that a problem's module reaches is hashed, or its part is in the plans."""
    code = "import sys, solverbench.problems.{0}; print(*(m for m in sys.modules if m.startswith('solverbench.')))"
    reached = set()
    for kind in ("law", "paired", "trajectory"):
        found = subprocess.run([sys.executable, "-c", code.format(kind)], check=True, capture_output=True, text=True)
        reached |= {m.split(".")[1] for m in found.stdout.split() if m.count(".") > 1}
    assert reached - {"methods", "artifacts"} <= set(_MEASURING)  # solvers enter by plans, artifacts by checksums


def test_what_cannot_be_seen_through_has_no_identity(tmp_path):
    program = tmp_path / "mine.py"
    program.write_text("")
    assert identity(replace(SPEC, field=f"{program}:field"), plan(), 0) is None
    spectrum = tmp_path / "spectrum.npy"
    np.save(spectrum, np.ones(3))
    assert identity(replace(SPEC, field=str(spectrum)), plan(), 0) is not None


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cells")


def test_what_is_kept_comes_back(cache):
    cache.put("ab12", Judgement({"w2": 0.25, "n": 3, "flops": None}, images=PICTURES))
    found = cache.get("ab12")
    assert (found.measures, found.status, found.reason) == ({"w2": 0.25, "n": 3, "flops": None}, "ok", None)
    assert np.array_equal(found.images, PICTURES)
    assert cache.get("ab13") is None


def test_a_failure_is_not_kept(cache):
    cache.put("ab12", Judgement({}, "failed", "why"))
    cache.put("ab13", Judgement({"n": 2}, "diverged", "1 of 2 samples is not finite"))
    assert cache.get("ab12") is None
    assert cache.get("ab13").status == "diverged"


@pytest.mark.parametrize("suffix", [".json", ".npz"])
@pytest.mark.parametrize(
    "how", [lambda c: c[: len(c) // 2], lambda c: c[:-9] + bytes([c[-9] ^ 1]) + c[-8:], lambda c: b"", lambda c: b"[]"]
)
def test_a_damaged_entry_is_said_and_forgotten(cache, suffix, how):
    cache.put("ab12", Judgement({"w2": 0.125}, images=PICTURES))
    file = (cache.root / "ab" / "ab12").with_suffix(suffix)
    file.write_bytes(how(file.read_bytes()))
    with pytest.warns(RuntimeWarning, match="ab12.json is damaged .*computed again"):
        assert cache.get("ab12") is None
    assert not list((cache.root / "ab").iterdir())
    cache.put("ab12", Judgement({"w2": 0.125}, images=PICTURES))
    assert cache.get("ab12").measures == {"w2": 0.125}


@pytest.mark.filterwarnings("ignore:.*is damaged")
@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_an_entry_with_any_bit_changed_is_never_another(cache, suffix):
    """Every byte of it, one bit each: nothing comes back, or what was kept, arrays and all."""
    kept = Judgement({"w2": 0.125, "n": 3}, images=PICTURES, by_start={"rmse": np.arange(3.0)})
    chance = random.Random(suffix)
    cache.put("ab12", kept)
    file = (cache.root / "ab" / "ab12").with_suffix(suffix)
    whole = file.read_bytes()
    for place in range(len(whole)):
        cache.put("ab12", kept)
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << chance.randrange(8)]) + whole[place + 1 :])
        if (found := cache.get("ab12")) is not None:
            assert (found.measures, found.status) == (kept.measures, kept.status)
            assert {k: a.tolist() for k, a in found.arrays.items()} == {k: a.tolist() for k, a in kept.arrays.items()}


def test_pictures_are_part_of_the_entry(cache):
    cache.put("ab12", Judgement({"w2": 0.125}, images=PICTURES))
    (cache.root / "ab" / "ab12.npz").unlink()
    with pytest.warns(RuntimeWarning, match="damaged"):
        assert cache.get("ab12") is None


def test_an_entry_of_another_cell_is_not_taken(cache):
    cache.put("ab12", Judgement({"w2": 0.125}))
    (cache.root / "ab" / "ab13.json").write_bytes((cache.root / "ab" / "ab12.json").read_bytes())
    with pytest.warns(RuntimeWarning, match=r"ab13.json is damaged \(its checksum is another\)"):
        assert cache.get("ab13") is None


def test_a_cache_that_cannot_be_written_is_none(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = Cache(tmp_path / "file" / "cells")
    cache.put("ab12", Judgement({"w2": 0.125}))
    assert cache.get("ab12") is None


def test_a_second_run_computes_nothing_again(run, cache, monkeypatch):
    """The small fields go by the names of shipped ones, so their cells have identities."""
    execute = runner.InProcess(cache)
    monkeypatch.setattr(runner, "InProcess", lambda: execute)
    first = run("first")
    assert first.outcome.reused == 0
    monkeypatch.setattr("solverbench.problems.law.LawProblem.judge", lambda *_: pytest.fail("judged again"))
    monkeypatch.setattr("solverbench.problems.paired.PairedProblem.prepare", lambda *_: pytest.fail("prepared again"))
    again = run("again")
    assert again.outcome.reused == len(again.records) == 20
    whose = {"seconds", "reused"}
    for a, b in zip(first.records, again.records, strict=True):
        assert {k: v for k, v in a.items() if k not in whose} == {k: v for k, v in b.items() if k not in whose}
    for folder in ("first", "again"):
        names = {f.name for f in (first.folder.parent / folder / "arrays").iterdir()}
        assert {"reference-gaussian.npz", "reference-mixture.npz"} <= names
    assert json.loads((again.folder / "cells.jsonl").read_text().splitlines()[0])["identity"]


BASE = SPEC, ("dpmpp-2m", 5, "edm"), 0


def _instead(monkeypatch, name, value):
    monkeypatch.setattr(f"solverbench.run.identity.{name}", value)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda m: (replace(SPEC, kind="paired"), *BASE[1:]), "the kind of a problem"),
        (lambda m: (replace(SPEC, path="vp-linear"), *BASE[1:]), "its path"),
        (lambda m: (replace(SPEC, grid_options={"rho": 5.0}), *BASE[1:]), "its grid"),
        (lambda m: (replace(SPEC, samples=64), *BASE[1:]), "its samples"),
        (lambda m: (replace(SPEC, field="cifar10-mixture"), *BASE[1:]), "its weights"),
        (lambda m: (SPEC, ("ddim", 5, "edm"), 0), "a solver"),
        (lambda m: (SPEC, ("unipc-2", 5, "edm"), 0), "another solver"),
        (lambda m: (SPEC, ("unipc-2[variant=bh1]", 5, "edm"), 0), "its options"),
        (lambda m: (SPEC, ("dpmpp-2m", 6, "edm"), 0), "the budget"),
        (lambda m: (SPEC, ("dpmpp-2m", 5, "vp-linear"), 0), "the path of a plan"),
        (lambda m: (*BASE[:2], 1), "the seed"),
        (lambda m: (_instead(m, "_device", lambda name: ["another GPU"]), *BASE)[1:], "the class of device"),
        (lambda m: (_instead(m, "_machine", lambda: ["numpy 0", "z80"]), *BASE)[1:], "libraries and processor"),
        (lambda m: (_instead(m, "_package", lambda: "other"), *BASE)[1:], "what executes and measures, so dtypes"),
        (lambda m: (_instead(m, "_field", lambda name: "0" * 64), *BASE)[1:], "the checksum of weights"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_identity_changes_with(change, what, monkeypatch):
    def of(spec, made, seed):
        return identity(spec, plan(*made), seed)

    before = of(*BASE)
    assert of(*BASE) == before
    assert of(*change(monkeypatch)) != before, what


def test_the_device_of_a_problem_enters(monkeypatch):
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "H100")
    assert identity(replace(SPEC, device="cuda"), plan(), 0) != identity(SPEC, plan(), 0)
