"""Checks on results: shape, number type, evaluations as the field counts them, seeds, batches and noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np

from solverbench.contract.base import ROUNDING, SHAPE, Array, Finding, N, field, generators, on, start
from solverbench.engines import numpy as reference
from solverbench.engines.noise import normals
from solverbench.methods import Solver
from solverbench.orders.ruler import apart
from solverbench.paths import path
from solverbench.plans import Map
from solverbench.sampling import sample

Engine = Literal["numpy", "torch"]
ENGINES: tuple[Engine, ...] = ("numpy", "torch")
MAP = "functions given to map() return new numbers, each from the old one by itself, in its own type; they draw nothing"


def run(solver: Solver, engine: Engine = "numpy", kind: str = "float64", **options: Any) -> Any:
    """Samples of a nonlinear field on the VP path from fixed starts, `x=` others; an array of the engine's."""
    made = path("vp-linear")
    grid = on(made, data=True)
    x = options.pop("x", start(made, grid))
    return sample(field(solver, made), solver, grid, x, engine=engine, dtype=kind, **options)


def shape(solver: Solver) -> Iterator[Finding]:
    """Samples come back in the shape they went in, whatever the shape of the batch, and nothing is written to them."""
    made = path("vp-linear")
    x = start(made, on(made), 6).reshape(2, 3, *SHAPE)
    for i in _plan(solver).code:
        if isinstance(i, Map) and (fault := _fault(i.function, x)):
            yield Finding("shape", "fail", f"the function {i.name} {fault}", MAP)
            return
    wrong = [got for engine in ENGINES if (got := tuple(run(solver, engine, x=x).x.shape)) != x.shape]
    if wrong:
        yield Finding("shape", "fail", f"states {x.shape} came back as {wrong[0]}", MAP)
    else:
        yield Finding("shape", "pass", f"states {x.shape} on numpy and torch")


def _fault(function: Callable[[Any], Any], x: Array) -> str:
    """What a function given to map() does wrong with an array and a tensor."""
    import torch

    for given in (x.copy(), torch.from_numpy(x.copy())):
        kind, made = type(given).__name__, function(given)
        if type(made) is not type(given):
            return f"makes {type(made).__name__} of {kind}"
        if made.shape != given.shape:
            return f"makes a {kind} {tuple(made.shape)} of one {tuple(given.shape)}"
        if not np.array_equal(given, x):
            return f"writes to the {kind} that it is given"
    return ""


def dtype(solver: Solver) -> Iterator[Finding]:
    """float32 stays float32, float64 stays float64, and no digits are lost in between."""
    for engine in ENGINES:
        for kind in ("float32", "float64"):
            got = str(run(solver, engine, kind).x.dtype).removeprefix("torch.")
            if got != kind:
                yield Finding("dtype", "fail", f"{kind} states came back as {got} on {engine}", MAP)
                return
    deaf = _deaf(solver)
    if deaf > 0.01:
        seen = f"a float64 result does not follow a change of {NUDGE:.0e} in its start (off by {deaf:.0%})"
        yield Finding("dtype", "fail", f"{seen}: digits are lost on the way", MAP)
    else:
        yield Finding("dtype", "pass", "float32 and float64 are kept, and every digit of them")


NUDGE = 1e-9


def _deaf(solver: Solver) -> float:
    """How far a tiny change of the result is from a thousandth of what a thousand times the change does; the median
    over numbers, so that the corners of a clipping do not count. A cast to float32 and back gives steps of 1e-7."""
    made = path("vp-linear")
    x = start(made, on(made, data=True))
    here, near, far = (run(solver, x=x * (1 + c * NUDGE)).x for c in (0, 1, 1000))
    small, large = near - here, (far - here) / 1000
    moved = large != 0
    return float(np.median(np.abs(small - large)[moved] / np.abs(large)[moved])) if moved.any() else 0.0


class Counted:
    """A field that counts the samples it is asked for."""

    def __init__(self, inner: Any) -> None:
        self.path, self.prediction, self.shape = inner.path, inner.prediction, inner.shape
        self.inner, self.asked = inner, 0

    def __call__(self, x: Any, t: Any) -> Any:
        self.asked += len(x)
        return self.inner(x, t)

    def jump(self, x: Any, s: Any, t: Any) -> Any:
        """The flow map of a field that has one."""
        self.asked += len(x)
        return self.inner.jump(x, s, t)

    def transit(self, x: Any, *given: Any) -> Any:
        """The exact process of a field that knows it."""
        self.asked += len(x)
        return self.inner.transit(x, *given)

    def lacks(self, eta: Any) -> Any:
        """Of the field."""
        return self.inner.lacks(eta)


def nfe(solver: Solver) -> Iterator[Finding]:
    """Evaluations as the plan says and as the field counts, also chunk by chunk."""
    made = path("vp-linear")
    grid = on(made, data=True)
    plan = solver.plan(made, grid)
    for engine in ENGINES:
        for memory in (1, 1 << 20):
            counted = Counted(field(solver, made))
            sample(counted, solver, grid, start(made, grid), engine=engine, memory=memory)
            if counted.asked != plan.nfe * N:
                seen = f"the plan says {plan.nfe}, the field was asked {counted.asked / N:g} times a sample"
                yield Finding("nfe", "fail", f"{seen} ({engine})", "evaluate with x.predict() only")
                return
    per_step = solver.evaluations
    text = f"{plan.nfe} on {len(grid)} steps as the field counts them, {per_step} a step, {plan.rows} states in memory"
    yield Finding("nfe", "pass", text)
    if maps := sum(isinstance(i, Map) for i in plan.code):
        yield Finding(
            "nfe", "note", f"{maps} pointwise functions, whose cost is not counted", "exact laws stop at them"
        )


def seed(solver: Solver) -> Iterator[Finding]:
    """A seed gives the same samples again, on either engine; another seed others where noise is drawn."""
    draws = bool(_plan(solver).draws)
    first, again, other = (run(solver, seed=s).x for s in (5, 5, 6))
    engines = apart(first, run(solver, "torch", seed=5).x)
    if not np.array_equal(first, again):
        yield Finding("seed", "fail", f"the same seed again differs by {apart(first, again):.1e}", _DRAW)
    elif draws and np.array_equal(first, other):
        yield Finding("seed", "fail", "another seed gives the same samples though noise is drawn", "use x.noise(s, t)")
    elif not draws and not np.array_equal(first, other):
        yield Finding("seed", "fail", f"draws nothing, but seeds differ by {apart(first, other):.1e}", _DRAW)
    elif engines > ROUNDING:
        yield Finding("seed", "fail", f"numpy and torch differ by {engines:.1e}", MAP)
    else:
        yield Finding("seed", "pass", f"bit for bit the same again; numpy and torch agree to {engines:.0e}")


_DRAW = "draw with x.noise(s, t), which depends on the seed, the sample and the interval alone"


def batch(solver: Solver) -> Iterator[Finding]:
    """A sample is the same in any batch, whatever is cut into chunks."""
    made = path("vp-linear")
    x = start(made, on(made))
    whole = run(solver, x=x).x
    parts = [run(solver, x=x[i : i + 1], first=i).x[0] for i in range(N)]
    chunked = [run(solver, engine, x=x, memory=1).x for engine in ENGINES]
    worst = max(apart(whole, parts), *(apart(whole, c) for c in chunked))
    if worst > ROUNDING:
        yield Finding("batch", "fail", f"a sample by itself differs by {worst:.1e} from the same in a batch", MAP)
    else:
        yield Finding("batch", "pass", f"alone, in a batch and in chunks the same to {worst:.0e}")


def noise(solver: Solver) -> Iterator[Finding]:
    """All that is random are the plan's draws: with these given, the result is given."""
    plan, before = _plan(solver), generators()
    made = plan.path
    x = start(made, plan.grid)
    width = x[0].size

    def drawn(k: int) -> Array:
        return normals(7, k + 1, 0, N, width).reshape(x.shape)

    one, two = (reference.run(plan, field(solver, made), x, drawn) for _ in range(2))
    alike = np.repeat(x[:1], N, axis=0)
    still: Callable[[int], Array] = lambda _: np.zeros_like(x)  # noqa: E731
    quiet = reference.run(plan, field(solver, made), alike, still)
    spread = apart(quiet, np.repeat(quiet[:1], N, axis=0))
    if generators() != before:
        yield Finding("noise", "fail", "the random generator of Python, numpy or torch is used or seeded", _DRAW)
    elif not np.array_equal(one, two):
        yield Finding("noise", "fail", f"with the same draws, results differ by {apart(one, two):.1e}", _DRAW)
    elif spread > ROUNDING:
        yield Finding("noise", "fail", f"with draws of zero, equal starts end {spread:.1e} apart", _DRAW)
    elif plan.draws:
        yield Finding("noise", "pass", f"{plan.draws} draws on {len(plan.grid)} steps, and nothing else is random")
    else:
        yield Finding("noise", "pass", "draws none, and nothing is random")


def _plan(solver: Solver) -> Any:
    made = path("vp-linear")
    return solver.plan(made, on(made, data=True))
