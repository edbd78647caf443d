"""Faults that users make, planted one at a time in the templates: what `check-solver` says of each, and what to do."""

from __future__ import annotations

import time

import pytest

import solverbench as sb
from solverbench.contract import _asked, check, checks
from solverbench.contract.limit import OutOfTime, limited
from solverbench.methods import user
from solverbench.templates import write

LOOP, END, STATE = "for s, t in grid.steps:", "return x\n", "x = path.sigma(t) / path.sigma(s) * x"
HALF, NOISE, CLAIM = "(D_m - D) / (2 * r)", "sqrt(-expm1(-2 * h)) * x.noise(s, t)", "order=2, strong=1"
TORCH = "import torch\nfrom solverbench.numbers"
MAP = "return x.map(f)\n\n\ndef f(a):\n    "

STEPPED = [  # what is replaced in the template, by what, the check that fails, words of what it says and of the remedy
    (LOOP, "for s, t in grid.steps[:-1]:", "steps", "where these are: 8", "return the state at the last t"),
    (LOOP, "for s, t in grid.steps[:1]:", "steps", "where these are: 3, 4, 5, 6, 7, 8", "take all of grid.steps"),
    (LOOP, f"grid.steps[1]\n    {LOOP}", "traces", "1 steps: solver mine raised IndexError: tuple index",
     "with one step"),
    (LOOP, f"{LOOP}\n        if x > 0: break", "traces", "decides by the value of a state is not", "on every path"),
    (END, "", "traces", "must return the state, got NoneType", "on every path"),
    (END, "return x, 1\n", "traces", "must return the state, got tuple", "on every path"),
    (END, "return x * float('nan')\n", "traces", "is not finite (in the step from t =", "on every path"),
    (END, "raise RuntimeError('boom')\n", "traces", "RuntimeError: boom (mine.py:", "on every path"),
    (END, "import json; json.loads('')\n", "traces", "Expecting value: line 1 column 1 (char 0) (mine.py:", "on every"),
    ("path.alpha(t)", "(1 - path.sigma(t) ** 2) ** 0.5", "traces", "a state times a complex", "on every path"),
    (HALF, f"{HALF} * torch.ones(())", "traces", "a state times a Tensor: coefficients are", "on every path"),
    (HALF, f"{HALF} * (1 + 1e-9 * numpy.random.normal())", "repeats", "generator of Python, numpy or torch", "nothing"),
    (HALF, f"{HALF} * (1 + 1e-9 * len(calls)); calls.append(h)", "repeats", "coefficients differ", "no module-level"),
    (END, "calls.append(x); return x if calls[1:] else x + 1e-9 * x.predict('x0', at=t)\n", "repeats",
     "14 when traced again", "no module-level"),
    ("h = path.lam(t) - path.lam(s)", "h = numpy.float32(path.lam(t) - path.lam(s))", "digits",
     "differ from those to 40", "no float32"),
    (END, MAP + "return a.astype('f') if hasattr(a, 'astype') else a.float()\n", "dtype",
     "came back as float32", "its own type"),
    (END, MAP + "a *= 2\n    return a\n", "shape", "f writes to the ndarray that it is given", "return new numbers"),
    (END, MAP + "a.clip(-1, 1)\n", "shape", "f makes NoneType of ndarray", "return new numbers"),
    (END, MAP + "return a[0]\n", "shape", "makes a ndarray (3, 2, 3) of one (2, 3, 2, 3)", "return new numbers"),
    (END, MAP + "return a + 1e-9 * numpy.random.normal()\n", "noise", "generator of Python, numpy", "x.noise(s, t)"),
    (END, MAP + "torch.randn(1)\n    return a + 0\n", "noise", "generator of Python, numpy", "x.noise(s, t)"),
    (END, MAP + "return a - 1e-6 * a.mean(0)\n", "batch", "a sample by itself differs by", "by itself"),
    (END, MAP + "return a / 0\n", "finite", "not finite", "a division"),
    (HALF, "0", "order", "claims 2, measured 1.00 ± 0.00", "a coefficient of the claimed order is missing"),
    ("at=m)", "at=s)", "order", "below claim: coefficients", "a coefficient"),
    ("expm1(-h)", "expm1(-h) * 1.01", "order", "inconsistent", "a factor alpha or sigma"),
    ("order=2", "order=3, attains=(3, 'coefficients')", "order", "attains 3 (coefficients), measured", "a coefficient"),
]  # fmt: skip
DRAWN = [  # the same of the stochastic one
    ("h / h_old / 2", "1 / 2", "order", "claims 2, measured 1.", "need the ratio h / h_old"),
    (NOISE, f"1.1 * {NOISE}", "order", "mean of the law exact: inconsistent", "strength 1.0"),
    (NOISE, NOISE.replace("s, t", "*grid.steps[0]"), "strong", "nothing", "draw x.noise(s, t) for every step"),
    (CLAIM, "order=2, strong=1.5", "strong", "claims 1.5, measured 1.00 ± 0.00 (gaussian), 1.0", "claim strong=1"),
    (CLAIM, "order=2, weak=3", "weak", "claims 3, measured 2.00 ± 0.00 (variance)", "claim weak=2"),
]  # fmt: skip


def written(folder, old, new, stochastic=False):
    """A template's solver with one fault."""
    path, _ = write("mine", folder, stochastic)
    text = path.read_text("utf-8")
    assert text.count(old) >= 1
    head = "import numpy\nimport torch\n\nfrom solverbench.numbers"
    text = text.replace(old, new).replace("from solverbench.numbers", head, 1).replace("\n\n# ", "\ncalls = []\n# ", 1)
    path.write_text(text, "utf-8")
    (name,) = user.load_file(str(path))
    return sb.solvers()[name]


@pytest.mark.parametrize(
    ("stochastic", "old", "new", "name", "seen", "remedy"),
    [(kind, *fault) for kind, faults in ((False, STEPPED), (True, DRAWN)) for fault in faults],
)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_a_planted_fault_is_said(tmp_path, stochastic, old, new, name, seen, remedy):
    solver = written(tmp_path, old, new, stochastic)
    found = [f for f in _asked(name, checks()[name], solver) if f.status == "fail"]
    assert [(f.check, seen in f.measured, remedy in f.remedy) for f in found] == [(name, True, True)], found
    assert "\n" not in found[0].measured + found[0].remedy


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        (LOOP, "while True:\n        s, t = grid.steps[0]", ["traces"]),
        (END, MAP + "while True: pass\n", ["traces", "repeats", "steps", "digits", "shape"]),
        (END, "", ["traces"]),
        (HALF, f"{HALF} * numpy.random.normal()", ["traces", "repeats"]),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # hypothesis watches the collector
def test_what_makes_all_else_pointless_is_said_once(tmp_path, old, new, names):
    """No end, no plan, another plan each time: nothing more is asked."""
    findings = check(written(tmp_path, old, new), limit=0.3)
    assert [f.check for f in findings] == names
    assert findings[-1].status == "fail"
    if "while" in new:
        assert "no end after 0.3 s (mine.py:" in findings[-1].measured


def test_a_limit_that_is_swallowed_comes_again_and_ends_with_its_block():
    """As in a callback of the garbage collector, whose exceptions Python prints and forgets."""
    end = time.monotonic() + 20

    def run(times):
        """Swallow it so often."""
        try:
            while time.monotonic() < end:
                pass
        except OutOfTime:
            if not times:
                raise
            run(times - 1)

    with pytest.raises(OutOfTime), limited(0.1):
        run(2)
    began = time.process_time()  # what were still sent would come here
    while time.process_time() < began + 0.3:
        pass
