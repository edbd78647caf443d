"""What a reader would complain of in a figure: words that are cut off, stand on each other or on a line, or lie."""

from __future__ import annotations

import numpy as np

LEAST = 6.0
"""Points, of text that can be read."""


def complaints(figure):
    """Lines that say what is wrong; none for a figure as it should be."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    ticks = {label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in _labels(axis)}
    shown = {label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in _labels(axis, True)}
    words = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible() and t not in ticks - shown]
    boxes = [Text.get_window_extent(t, renderer) for t in words]  # without the line from an annotation to its place
    width, height = figure.get_size_inches() * figure.dpi
    found = [f"{t.get_text()!r} is of {t.get_fontsize():.1f} pt" for t in words if t.get_fontsize() < LEAST - 1e-9]
    found += [
        f"{t.get_text()!r} leaves the figure"
        for t, box in zip(words, boxes, strict=True)
        if min(box.x0, box.y0) < -1 or box.x1 > width + 1 or box.y1 > height + 1
    ]
    found += [
        f"{one.get_text()!r} stands on {other.get_text()!r}"
        for i, one in enumerate(words)
        for j, other in enumerate(words[i + 1 :], i + 1)
        if _overlap(boxes[i], boxes[j])
    ]
    for axes in figure.axes:
        own = [(t, box) for t, box in zip(words, boxes, strict=True) if t in axes.texts and not t.get_bbox_patch()]
        found += [f"a line runs through {t.get_text()!r}" for t, box in own for at in _lines(axes) if _inside(at, box)]
    for legend in [*figure.legends, *(axes.get_legend() for axes in figure.axes)]:
        if legend is None:
            continue
        box = legend.get_window_extent(renderer)
        found += [f"a legend stands on {a.get_title(loc='left')!r}" for a in figure.axes if _overlap(box, a.bbox)]
    return found


def _labels(axis, within=False):
    low, high = sorted(axis.get_view_interval())
    ticks = axis.get_major_ticks()
    if within:
        ticks = [t for t in ticks if low <= t.get_loc() <= high]
    return [label for t in ticks for label in (t.label1, t.label2)]


def _overlap(one, other):
    """By more than the pixel that rounding makes."""
    across = min(one.x1, other.x1) - max(one.x0, other.x0)
    upwards = min(one.y1, other.y1) - max(one.y0, other.y0)
    return across > 1 and upwards > 1


def _lines(axes):
    """Points along every line of a panel, in pixels."""
    from matplotlib.collections import LineCollection

    lines = [line.get_transform().transform(line.get_xydata()) for line in axes.lines if line.get_linestyle() != "None"]
    lines += [
        c.get_transform().transform(path.vertices)
        for c in axes.collections
        if isinstance(c, LineCollection)
        for path in c.get_paths()
    ]
    part = np.linspace(0, 1, 200)[:, None, None]
    return [(at[:-1] + part * np.diff(at, axis=0)).reshape(-1, 2) for at in lines if len(at) > 1]


def _inside(at, box):
    return bool(np.any((at[:, 0] > box.x0) & (at[:, 0] < box.x1) & (at[:, 1] > box.y0) & (at[:, 1] < box.y1)))


def unseen(figure):
    """Entries of legends of which no panel shows anything."""
    said = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    panels = figure.axes
    there = {label for axes in panels for handle, label in _handles(axes) if _visible(axes, handle)}
    known = {label for axes in panels for _, label in _handles(axes)}
    return sorted((said & known) - there)


def _handles(axes):
    return zip(*axes.get_legend_handles_labels(), strict=True)


def _visible(axes, handle):
    """Whether some of it is within its panel; what has no data stands for others of its kind."""
    if not hasattr(handle, "get_xydata") or not len(handle.get_xydata()):
        return True
    at = axes.transAxes.inverted().transform(handle.get_transform().transform(handle.get_xydata()))
    part = np.linspace(0, 1, 50)[:, None, None]
    along = at if len(at) == 1 else (at[:-1] + part * np.diff(at, axis=0)).reshape(-1, 2)
    return bool(np.any(np.all((along >= 0) & (along <= 1), axis=1)))
