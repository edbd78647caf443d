"""Frechet distance by compute: evaluations, seconds and operations, over the band that exact samples score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from solverbench.report.comparison import sampling_seconds, tidy
from solverbench.report.figures.lines import (
    budgets,
    floor_band,
    height_beside,
    leaders,
    legend,
    lines,
    make_looks,
    seconds_label,
)
from solverbench.report.figures.page import NothingError, headline, panels
from solverbench.report.layout import short
from solverbench.report.quantities import DISTANCE
from solverbench.report.style import nfe_axis, round_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from solverbench.report.figures import Wish

TALL = 5.0
"""Distances above this many times the median at the smallest budget are off the panel."""


def draw(wish: Wish) -> Figure:
    """FD_pixel against NFE, seconds, and operations where these are not a multiple of NFE, over the band."""
    run, problem = wish.run, wish.problem
    assert run is not None
    records = run.of(problem)
    if not tidy(records, DISTANCE)["ok"].any():
        raise NothingError(f"no cell has {DISTANCE.name}")
    data = tidy(records, DISTANCE).assign(gflops=records["flops"] / 1e9, seconds=sampling_seconds(records))
    names = leaders(records, DISTANCE)
    looks = make_looks(run.records, names)
    columns = {"nfe": "NFE", "seconds": seconds_label(records), "gflops": "GFLOPs per sample"}
    each = (data["gflops"] / data["nfe"]).dropna()
    if len(each) and np.allclose(each, each.iloc[0]):
        columns["nfe"] = f"NFE, each of {short(each.iloc[0])} GFLOPs per sample"
        del columns["gflops"]
    columns = {key: text for key, text in columns.items() if (data[key] > 0).any()}
    figure, made = panels(len(columns), 3, height_beside(looks, 2.6), right=1.72, gap=(0.12, 0.5), above=0.4, share="y")
    for i, (axes, (key, text)) in enumerate(zip(made, columns.items(), strict=True)):
        lines(axes, records, data, looks, key, TALL)
        floor_band(axes, records)
        if key == "nfe":
            nfe_axis(axes, budgets(records))
        else:
            round_numbers(axes.xaxis)
        axes.set_xlabel(text)
        if i == 0:
            axes.set_ylabel(f"{DISTANCE.name} (n = {records['n'].median():g})")
    legend(figure, made, looks)
    headline(figure, f"{DISTANCE.name} by compute", problem, run)
    return figure
