"""Trajectories over the exact density: the mixture on a line that orders are measured on, and one in the plane.

States are scaled by sqrt(1 + sigma^2), so that noise and data fit one panel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from solverbench.report.figures.page import PAGE, folded, headline, panels
from solverbench.report.figures.solvers import without_noise
from solverbench.report.style import DARK, round_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from solverbench.fields import Mixture
    from solverbench.methods import Solver
    from solverbench.report.figures import Wish

DEFAULT = ("ddim", "dpmpp-2m", "unipc-2")
MOST, LETTERS = 4, 18
"""Solvers of a figure, and letters of a line over a panel."""
NOISE, DATA = 20.0, 0.02
STARTS = 8
CENTRES, WIDTH = ((-1.6, -0.9), (1.7, -0.6), (0.1, 1.5)), 0.35
"""Of the mixture in the plane, equal weights."""


def draw(wish: Wish) -> Figure:
    """Above, position by noise level; below, in the plane. Grey: exact; colour: the solver, a mark a step."""
    from solverbench.fields import Mixture
    from solverbench.methods import SOLVERS

    nfe = wish.nfe or 8
    solvers = without_noise(wish.solvers or DEFAULT, "trajectories", MOST)
    figure, made = panels(2 * len(solvers), len(solvers), 1.75, width=PAGE, gap=(0.28, 0.5), above=0.62)
    plane = Mixture(np.full(3, 1 / 3), CENTRES, path="edm", variances=np.full((3, 2), WIDTH**2))
    x = np.random.default_rng(4).standard_normal((STARTS, 2)) * NOISE
    exact = _scaled(*_states(SOLVERS["rk4"], plane, x, 160))
    for i, (solver, look) in enumerate(solvers):
        line_axes, plane_axes = made[i], made[i + len(solvers)]
        path = {"color": look["color"], "lw": 0.9, "marker": "o", "ms": 2}
        _line(line_axes, solver, path, nfe)
        _plane(plane_axes, plane, exact, _scaled(*_states(solver, plane, x, nfe)), path)
        line_axes.set_title("\n".join(folded(str(solver), LETTERS)))
        if i:
            for axes in (line_axes, plane_axes):
                axes.set_ylabel("")
                axes.tick_params(labelleft=False)
    headline(figure, f"Trajectories at NFE {nfe} over the exact density; grey: exact, ring: where a path ends")
    return figure


def _line(axes: Axes, solver: Solver, path: dict[str, Any], nfe: int) -> None:
    from solverbench.orders.problems import MEAN, NONLINEAR, WEIGHT, WIDTH2, mixed, start

    sigma = np.geomspace(NOISE, DATA, 160)
    y = np.linspace(-2.9, 2.9, 220)[:, None]
    scale = np.sqrt(1 + sigma**2)
    density = sum(
        w * np.exp(-((y * scale - m) ** 2) / (2 * (v + sigma**2))) / np.sqrt(v + sigma**2)
        for w, m, v in zip(WEIGHT, MEAN, WIDTH2, strict=True)
    )
    axes.pcolormesh(sigma, y[:, 0], (density * scale) ** 0.5, cmap="Greys", vmin=0, vmax=1.9, shading="gouraud",
                    rasterized=True)  # fmt: skip
    x = start(NOISE)
    shown = np.append(sigma[:-1:4], DATA)
    exact = np.concatenate([mixed.jump(x, NOISE, float(s)) if s < NOISE else x for s in shown])[:, NONLINEAR]
    axes.plot(shown, exact / np.sqrt(1 + shown[:, None] ** 2), color=DARK, lw=0.6, alpha=0.7)
    levels, states = _states(solver, mixed, x, nfe)
    axes.plot(levels, states[:, 0, NONLINEAR] / np.sqrt(1 + levels[:, None] ** 2), **path)
    axes.set(xscale="log", xlim=(NOISE, DATA), ylim=(-2.9, 2.9), xlabel="noise level σ/α", ylabel="x/√(1 + σ²)")
    round_numbers(axes.xaxis)
    axes.grid(False)


def _plane(
    axes: Axes, field: Mixture, exact: NDArray[np.float64], found: NDArray[np.float64], path: dict[str, Any]
) -> None:
    y = np.linspace(-2.9, 2.9, 121)
    at = np.stack(np.meshgrid(y, y), axis=-1).reshape(-1, 2)
    density = np.exp(field.log_density(at, DATA)).reshape(121, 121)
    axes.contourf(y, y, density**0.5, levels=np.linspace(0.02, 0.7, 15), cmap="Greys", vmax=1.3)
    axes.plot(*np.moveaxis(exact, -1, 0), color=DARK, lw=0.6, alpha=0.7)
    axes.plot(*np.moveaxis(found, -1, 0), **path)
    axes.plot(*found[-1].T, ls="", marker="o", ms=4, mfc="none", mec=path["color"], mew=0.7)
    axes.set(xlim=(-2.9, 2.9), ylim=(-2.9, 2.9), xlabel="x₁/√(1 + σ²)", ylabel="x₂/√(1 + σ²)")
    axes.grid(False)


def _states(
    solver: Solver, denoise: Any, x: NDArray[np.float64], nfe: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Noise levels (k,) and states (k, n, d) of a run, each state that of the run which ends there."""
    from solverbench.orders import subject
    from solverbench.orders.grids import karras

    steps = max(1, nfe // solver.evaluations)
    sigmas = karras([i / steps for i in range(steps + 1)], NOISE, DATA)
    shown = range(1, steps + 1, max(1, steps // 40))
    run = subject(solver).run
    states = [x, *(run(denoise, x, sigmas[: k + 1], np.zeros_like) for k in shown)]
    return np.array([NOISE, *(sigmas[k] for k in shown)]), np.array(states)


def _scaled(levels: NDArray[np.float64], states: NDArray[np.float64]) -> NDArray[np.float64]:
    return states / np.sqrt(1 + levels[:, None, None] ** 2)
