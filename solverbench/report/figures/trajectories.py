"""Trajectories over the exact density: the mixture on a line that orders are measured on, and one in the plane.

States are scaled by sqrt(1 + sigma^2), so that noise and data fit one panel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from solverbench.report.figures.page import PAGE, headline, panels
from solverbench.report.figures.solvers import without_noise
from solverbench.report.style import DARK, round_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from solverbench.methods import Solver
    from solverbench.report.figures import Wish

DEFAULT = ("ddim", "dpmpp-2m", "unipc-2")
NOISE, DATA = 20.0, 0.02
STARTS = 8
CENTRES, WIDTH = ((-1.6, -0.9), (1.7, -0.6), (0.1, 1.5)), 0.35
"""Of the mixture in the plane, equal weights."""


def draw(wish: Wish) -> Figure:
    """Above, position by noise level; below, in the plane. Grey: exact; colour: the solver, a mark a step."""
    from solverbench.fields import Mixture

    nfe = wish.nfe or 8
    solvers = without_noise(wish.solvers or DEFAULT, "trajectories")[:4]
    figure, made = panels(2 * len(solvers), len(solvers), 1.75, width=PAGE, gap=(0.28, 0.5), above=0.55)
    plane = Mixture(np.full(3, 1 / 3), CENTRES, path="edm", variances=np.full((3, 2), WIDTH**2))
    for i, (solver, colour) in enumerate(solvers):
        line_axes, plane_axes = made[i], made[i + len(solvers)]
        _line(line_axes, solver, colour, nfe)
        _plane(plane_axes, plane, solver, colour, nfe)
        line_axes.set_title(f"{solver}, NFE {nfe}")
        if i:
            for axes in (line_axes, plane_axes):
                axes.set_ylabel("")
                axes.tick_params(labelleft=False)
    headline(figure, "Trajectories over the exact density; grey: exact")
    return figure


def _line(axes: Any, solver: Solver, colour: Any, nfe: int) -> None:
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
    axes.plot(
        levels, states[:, 0, NONLINEAR] / np.sqrt(1 + levels[:, None] ** 2), color=colour, lw=0.9, marker="o", ms=2
    )
    axes.set(xscale="log", xlim=(NOISE, DATA), ylim=(-2.9, 2.9), xlabel="noise level σ/α", ylabel="x/√(1 + σ²)")
    round_numbers(axes.xaxis)
    axes.grid(False)


def _plane(axes: Any, field: Any, solver: Solver, colour: Any, nfe: int) -> None:
    y = np.linspace(-2.9, 2.9, 121)
    at = np.stack(np.meshgrid(y, y), axis=-1).reshape(-1, 2)
    density = np.exp(field.log_density(at, DATA)).reshape(121, 121)
    axes.contourf(y, y, density**0.5, levels=np.linspace(0.02, 0.7, 15), cmap="Greys", vmax=1.3)
    x = np.random.default_rng(4).standard_normal((STARTS, 2)) * NOISE
    fine, exact = _states(_solver("rk4"), field, x, 160)
    scale = np.sqrt(1 + fine[:, None, None] ** 2)
    axes.plot(*np.moveaxis(exact / scale, -1, 0), color=DARK, lw=0.6, alpha=0.7)
    levels, states = _states(solver, field, x, nfe)
    scale = np.sqrt(1 + levels[:, None, None] ** 2)
    axes.plot(*np.moveaxis(states / scale, -1, 0), color=colour, lw=0.9, marker="o", ms=2)
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


def _solver(name: str) -> Solver:
    from solverbench.methods import SOLVERS

    return SOLVERS[name]
