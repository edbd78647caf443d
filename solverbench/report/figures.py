"""The figures of a run: work and precision, Frechet distance and compute, families, and the parts of the error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from solverbench.report.comparison import floor, sampling_seconds, tidy, twins, usual_budget
from solverbench.report.layout import short
from solverbench.report.quantities import DISTANCE, PARTS, QUANTITIES, Quantity
from solverbench.report.style import DARK, GREY, MARKERS, hues, nfe_axis, plain_axis, shade, slope_guide, style

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from solverbench.report.records import Run

BAND = "± 2 standard errors"
LEGEND_ROW = 0.17
"""Inches."""
DEEPEST = 1e-6
"""Parts smaller than this, relative to the largest, are rounding and leave the panel."""
EDGES = {"x": "diverged or failed", "^": "above the panel"}
MOST = 12
"""Solvers that are drawn to be told apart in one panel; the others stand behind them in grey."""
LEGEND = "best at some NFE,\nand best of each family"
NEAR = 30.0
"""A reference whose error is less than the smallest one by more than this factor is named, not shown."""
TALL = 40.0
"""Errors above this many times the median at the smallest budget are drawn at the edge, as arrows."""


@dataclass(frozen=True)
class Look:
    """How a solver is drawn, in every panel of a figure."""

    name: str
    colour: tuple[float, float, float]
    marker: str
    dashed: bool
    own: bool = False
    """Whether it is the user's, which is drawn black and thick."""

    def line(self) -> dict[str, Any]:
        """Properties of its line, and of its entry in the legend."""
        look = {"color": self.colour, "marker": self.marker, "ls": "--" if self.dashed else "-"}
        return {**look, "ms": 3.8, "mew": 0.5, "mec": "white", "lw": 2.4 if self.own else 1.4}


def figures(run: Run) -> dict[str, Callable[[], Figure]]:
    """Name of the file -> function that draws it; empty where nothing has finished."""
    problems = [(p, k) for p, k in run.alone if (run.of(p)["status"] == "ok").any()]
    made: dict[str, Callable[[], Figure]] = {}
    if problems:
        made["work-precision"] = lambda: work_precision(run, problems)
    for problem, kind in problems:
        made[f"families-{problem}"] = lambda p=problem, k=kind: families(run, p, QUANTITIES[k][0])  # type: ignore[misc]
        if kind == "paired" and run.of(problem)["fd"].notna().any():
            made[f"fd-compute-{problem}"] = lambda p=problem: distance_by_compute(run, p)  # type: ignore[misc]
        if kind == "law":
            made[f"split-{problem}"] = lambda p=problem, k=kind: split(run, p, QUANTITIES[k][0])  # type: ignore[misc]
    return made


def save(run: Run, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Draw every figure and write it in every format; the same records give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with style():
        for name, draw in figures(run).items():
            figure = draw()
            for form in formats:
                path = folder / f"{name}.{form}"
                metadata = {"CreationDate": None} if form == "pdf" else {"Software": None}
                figure.savefig(path, format=form, metadata=metadata)
                paths.append(path)
    return paths


def work_precision(run: Run, problems: list[tuple[str, str]]) -> Figure:
    """Error against NFE, a panel per problem; the best of each budget stand out."""
    chosen = {p: leaders(run.of(p), QUANTITIES[k][0]) for p, k in problems}
    looks = _looks(run.records, [name for names in chosen.values() for name in names])
    # every problem may add a line about its reference
    height = _room(len(looks) + 2 * len(problems), 3.1)
    figure, panels = _canvas(len(problems), 3.3, height, legend=2.0)
    for axes, (problem, kind) in zip(panels, problems, strict=True):
        quantity, records = QUANTITIES[kind][0], run.of(problem)
        _lines(axes, records, tidy(records, quantity), looks, "nfe")
        _error_axes(axes, records, quantity, problem)
        if axes.get_yscale() == "log":
            slope_guide(axes)
    _legend(figure, run.records, panels, looks)
    _headline(figure, run, f"{run.title}: error by model evaluations")
    return figure


def distance_by_compute(run: Run, problem: str) -> Figure:
    """FD_pixel against NFE, operations and seconds; the band is what exact samples score."""
    records = run.of(problem)
    data = tidy(records, DISTANCE).assign(gflops=records["flops"] / 1e9, seconds=sampling_seconds(records))
    names = leaders(records, DISTANCE)
    looks = _looks(run.records, names)
    columns = {"nfe": "NFE", "gflops": "GFLOPs per sample", "seconds": "seconds"}
    columns = {key: text for key, text in columns.items() if (data[key] > 0).any()}
    height = _room(len(looks), 2.9)
    figure, panels = _canvas(len(columns), 2.5, height, legend=2.0, above=0.55, sharey=True)
    least, spread = floor(records)
    for i, (axes, (key, text)) in enumerate(zip(panels, columns.items(), strict=True)):
        _lines(axes, records, data, looks, key)
        if math.isfinite(least):
            band = 2 * spread if math.isfinite(spread) else 0.0
            axes.axhspan(least - band, least + band, color="#f3d9a4", lw=0, zorder=0.5, label="exact samples ± 2 sd")
        _limits(axes, data)
        if key == "nfe":
            nfe_axis(axes, _budgets(records))
        else:
            plain_axis(axes, data[key])
        axes.set_xlabel(text)
        if i == 0:
            axes.set_ylabel(f"{DISTANCE.name} (n = {records['n'].median():g})")
    _legend(figure, records, panels, looks)
    _headline(figure, run, f"{problem}: {DISTANCE.name} by compute")
    return figure


def families(run: Run, problem: str, quantity: Quantity) -> Figure:
    """Error against NFE with a panel per family, so that each solver can be found; all others in grey."""
    records = run.of(problem)
    data = tidy(records, quantity)
    same = twins(records)[0]
    groups: dict[str, list[str]] = {}
    for name, rows in records.groupby("label", sort=False):
        if name not in same and data["value"][rows.index].notna().any():
            groups.setdefault(rows["family"].iloc[0] or "user", []).append(str(name))
    figure, panels = _grid(len(groups), 2, legend=1.45)
    for axes, (family, names) in zip(panels, groups.items(), strict=True):
        looks = _looks(records, names, rainbow=True)
        _lines(axes, records, data, looks, "nfe")
        _error_axes(axes, records, quantity, family)
        handles, labels = _entries(looks)
        axes.legend(handles, labels, loc="upper left", bbox_to_anchor=(1.0, 1.03), fontsize=7, handlelength=1.8,
                    labelspacing=0.35, frameon=False)  # fmt: skip
    _outer(panels, 2)
    _headline(figure, run, f"{problem}: {quantity.name} by NFE, family by family; all others in grey")
    return figure


def split(run: Run, problem: str, quantity: Quantity) -> Figure:
    """The parts of the error against NFE for the leading solvers, and the baseline."""
    records = run.of(problem)
    names = leaders(records, quantity, 5)
    names = list(dict.fromkeys([*names, *pd.unique(records["label"])]))[: max(3, min(6, len(names) + 1))]
    colours = dict(zip(PARTS, hues(()).values(), strict=False))
    figure, panels = _grid(len(names), 3, legend=0.2, below=0.75)
    for axes, name in zip(panels, names, strict=True):
        rows = records[(records["label"] == name) & (records["status"] == "ok")].drop_duplicates("nfe")
        axes.plot(rows["nfe"], rows[quantity.key], color="black", lw=2.4, alpha=0.3, label="total")
        for part, marker in zip(PARTS, "vso", strict=True):
            values = rows[f"{quantity.key}_{part}"]
            axes.plot(rows["nfe"], values.where(values > 0), color=colours[part], marker=marker, ms=3, lw=1, label=part)
        axes.set_ylabel(quantity.name)
        axes.set_title(name)
    shown = records[records["label"].isin(names) & (records["status"] == "ok")]
    all_parts = shown[[quantity.key, *(f"{quantity.key}_{p}" for p in PARTS)]].to_numpy(dtype=float)
    drawn = all_parts[np.isfinite(all_parts) & (all_parts > 0)]
    for axes in panels:
        nfe_axis(axes, _budgets(shown))
        if drawn.size:
            axes.set_yscale("log")
            axes.set_ylim(max(drawn.min(), drawn.max() * DEEPEST) / 2, drawn.max() * 2)
    _outer(panels, 3)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="lower center", ncols=4, frameon=False)
    _headline(figure, run, f"{problem}: parts of {quantity.name}")
    return figure


def leaders(records: pd.DataFrame, quantity: Quantity, most: int = MOST) -> list[str]:
    """Solvers of one's own, winners at some budget, most wins first, then the best of each family at the usual budget.

    Of identical programs the first stands for all; where solvers are few, they all lead.
    """
    same = twins(records)[0]
    names = [str(n) for n in pd.unique(records["label"]) if n not in same]
    if len(names) <= most:
        return names
    data = tidy(records, quantity)
    data = data[data["ok"] & ~data["label"].isin(list(same))]
    wins = data.loc[data.groupby("budget")["rank"].idxmin(), "label"].value_counts(sort=False)
    winners = sorted((str(n) for n in wins.index), key=lambda n: (-wins[n], names.index(n)))
    usual = data[data["budget"] == usual_budget(records)].sort_values("rank", kind="stable")
    best = usual.drop_duplicates("family")["label"].astype(str)
    own = pd.unique(data.loc[data["family"] == "user", "label"]).tolist()
    return list(dict.fromkeys([*own, *winners, *best]))[:most]


def _looks(records: pd.DataFrame, names: list[str], rainbow: bool = False) -> dict[str, Look]:
    """A family has one hue and its members shades of it; `rainbow`, for a family alone, gives each its own."""
    same = twins(records)[0]
    known = records.drop_duplicates("label").set_index("label")
    palette = hues(known["family"].fillna("user"))
    every = list(hues(()).values())
    seen: dict[str, int] = {}
    looks = {}
    for i, name in enumerate(dict.fromkeys(names)):
        family = known["family"][name] or "user"
        step = seen[family] = seen.get(family, -1) + 1
        colour = every[i % len(every)] if rainbow else shade(palette[family], step)
        alike = [name, *(twin for twin, root in same.items() if root == name)]
        every_name = rainbow or len(alike) < 4  # the figure of families names them all
        joint = " = ".join(alike) if every_name else f"{name} and {len(alike) - 1} twins"
        own = family == "user"
        colour = (0.0, 0.0, 0.0) if own and not rainbow else colour
        looks[name] = Look(joint, colour, MARKERS[i % len(MARKERS)], bool(known["stochastic"][name]), own)
    return looks


def _lines(axes: Axes, records: pd.DataFrame, data: pd.DataFrame, looks: dict[str, Look], x: str) -> None:
    """One line per distinct program: those with a look in it, the rest thin and grey."""
    same = twins(records)[0]
    for name, rows in data[data["ok"] & (data[x] > 0)].groupby("label", sort=False):
        rows = rows.drop_duplicates("nfe")
        look = looks.get(str(name))
        if look:
            low, high = (rows["value"] + side * rows["se"] for side in (-2, 2))
            if (rows["se"] > 0).any():
                axes.fill_between(
                    rows[x], low.where(low > 0), high, color=look.colour, alpha=0.2, lw=0, zorder=2.5, label=BAND
                )
            axes.plot(rows[x], rows["value"], zorder=3, **look.line())
        elif name not in same:
            dashes = "--" if rows["stochastic"].all() else "-"
            axes.plot(rows[x], rows["value"], color=GREY, lw=0.6, ls=dashes, zorder=2)
    axes.set_xscale("log")
    _limits(axes, data)
    _edge(axes, data[~data["label"].isin(list(same))], looks, x)


def _budgets(records: pd.DataFrame) -> list[float]:
    """Budgets, and the fewest evaluations a solver made of one."""
    return [float(v) for v in [*records["budget"].dropna(), records["nfe"].min()] if v > 0]


def _limits(axes: Axes, data: pd.DataFrame) -> None:
    """Let the ordinary errors fill the panel: a few enormous ones may not flatten it."""
    good = data[data["ok"] & (data["value"] > 0)]
    if good.empty:
        return
    axes.set_yscale("log")
    first = good[good["budget"] == good["budget"].min()]["value"]
    top = min(good["value"].max() * 1.6, float(first.median()) * TALL)
    axes.set_ylim(good["value"].min() / 1.6, max(top, good["value"].min() * 4))


def _edge(axes: Axes, data: pd.DataFrame, looks: dict[str, Look], x: str) -> None:
    """At the upper edge: a cross for a cell that diverged or failed, an arrow for one that is off the panel."""
    if x != "nfe":
        return
    top = axes.get_ylim()[1]
    for marker, height, rows in (
        ("x", 0.97, data[data["status"].isin(["diverged", "failed"])]),
        ("^", 0.93, data[data["ok"] & (data["value"] > top)]),
    ):
        where = rows["nfe"].fillna(rows["budget"])
        colours = [looks[n].colour if n in looks else GREY for n in rows["label"]]
        if len(rows):
            axes.scatter(where, np.full(len(rows), height), c=colours, marker=marker, s=14, lw=0.9, zorder=4,
                         transform=axes.get_xaxis_transform(), label=EDGES[marker])  # fmt: skip


def _error_axes(axes: Axes, records: pd.DataFrame, quantity: Quantity, title: str) -> None:
    nfe_axis(axes, _budgets(records))
    axes.set_xlabel("NFE")
    axes.set_ylabel(quantity.name)
    axes.set_title(title)
    truncation, own = (records[c].median() for c in ("rmse_truncation", "reference_error"))
    if quantity.key == "rmse" and truncation > 0:
        axes.axhline(truncation, color="black", lw=0.8, ls="-.", zorder=1, label="truncation: a perfect solver")
    if quantity.key == "rmse" and own > 0:
        bottom, top = axes.get_ylim()
        near = own > bottom / NEAR
        label = "error of the reference" + ("" if near else f":\n{short(own)}, below the panel")
        axes.axhline(own, color="black", lw=0.8, ls=":", zorder=1, label=label)
        axes.set_ylim(min(bottom, own / 1.6) if near else bottom, top)


def _room(entries: int, least: float) -> float:
    """Height of panels beside a legend of so many solvers and what else it explains, in inches."""
    return max(least, LEGEND_ROW * (entries + 7))


def _canvas(
    count: int, width: float, height: float, legend: float, above: float = 0.75, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """Panels in a row with room for a legend to their right, in inches."""
    from matplotlib.figure import Figure

    gap = 0.15 if sharey else 0.6
    left, right, bottom, top = 0.65, legend + 0.15, 0.5, above
    total = left + count * width + (count - 1) * gap + right
    figure = Figure(figsize=(total, height + bottom + top))
    panels = figure.subplots(1, count, squeeze=False, sharey=sharey)
    figure.subplots_adjust(
        left=left / total,
        right=1 - right / total,
        bottom=bottom / (height + bottom + top),
        top=1 - top / (height + bottom + top),
        wspace=gap / width,
    )
    return figure, list(panels.flat)


def _grid(count: int, columns: int, legend: float = 0.06, below: float = 0.45) -> tuple[Figure, list[Axes]]:
    """Small panels that share their axes, in rows, each with room for a legend to its right, in inches."""
    from matplotlib.figure import Figure

    columns = min(columns, count)
    rows = math.ceil(count / columns)
    width, height, gap, left, above = 2.25, 1.65, 0.36, 0.65, 0.7
    across = left + columns * (width + legend) + 0.1
    down = above + rows * height + (rows - 1) * gap + below
    figure = Figure(figsize=(across, down))
    panels = list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat)
    for axes in panels[count:]:
        axes.remove()
    figure.subplots_adjust(
        left=left / across,
        right=1 - (0.1 + legend) / across,
        bottom=below / down,
        top=1 - above / down,
        wspace=legend / width,
        hspace=gap / height,
    )
    return figure, panels[:count]


def _outer(panels: list[Axes], columns: int) -> None:
    """Label the left column and the lowest panel of each column only."""
    for i, axes in enumerate(panels):
        lowest = i + columns >= len(panels)
        axes.set_xlabel("NFE" if lowest else "")
        axes.tick_params(labelbottom=lowest)
        if i % columns:
            axes.set_ylabel("")


def _entries(looks: dict[str, Look]) -> tuple[list[Artist], list[str]]:
    from matplotlib.lines import Line2D

    handles: list[Artist] = [Line2D([], [], **look.line()) for look in looks.values()]
    return handles, [k.name.replace(" = ", "\n = ") if len(k.name) > 24 else k.name for k in looks.values()]


def _legend(figure: Figure, records: pd.DataFrame, panels: list[Axes], looks: dict[str, Look]) -> None:
    """To the right of the panels: the solvers in colour, then what else is drawn."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles, labels = _entries(looks)
    if records["label"].nunique() - len(twins(records)[0]) > len(looks):
        handles.append(Line2D([], [], color=GREY, lw=0.8))
        labels.append("other solvers")
    if records["stochastic"].any():
        handles.append(Line2D([], [], color=GREY, lw=0.8, ls="--"))
        labels.append("stochastic (dashed)")
    marks = {text: mark for mark, text in EDGES.items()}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            if label not in labels:
                if label in marks:
                    handle = Line2D([], [], color=DARK, marker=marks[label], ms=4, mew=0.9, ls="")
                handles.append(Patch(color=GREY, alpha=0.5, lw=0) if label == BAND else handle)
                labels.append(label)
    right = panels[-1].get_position()
    every = len(looks) + len(twins(records)[0]) >= records["label"].nunique()
    figure.legend(handles, labels, title="solvers" if every else LEGEND, loc="upper left",
                  bbox_to_anchor=(right.x1 + 0.01, right.y1 + 0.02), frameon=False, alignment="left",
                  title_fontproperties={"weight": "bold", "size": 8}, handlelength=2, labelspacing=0.45)  # fmt: skip


def _headline(figure: Figure, run: Run, text: str) -> None:
    """What is shown; on a line of its own, that the run is not complete."""
    height = float(figure.get_figheight())
    left = min(a.get_position().x0 for a in figure.axes)
    figure.text(left, 1 - 0.1 / height, text, fontsize=10, va="top", weight="bold")
    if run.caveat:
        figure.text(left, 1 - 0.29 / height, run.caveat, fontsize=8, va="top", color="#a03020")
