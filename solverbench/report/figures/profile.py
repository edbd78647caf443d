"""Performance profiles (Dolan & Moré 2002): how often is a solver within a factor of the best?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from solverbench.report.figures.lines import DASHED, MOST, OTHERS, height_beside, judged, legend, make_looks
from solverbench.report.figures.page import headline, panels
from solverbench.report.layout import listed
from solverbench.report.profiles import errors, profile, ratios
from solverbench.report.style import GREY, round_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from solverbench.report.figures import Wish

WIDEST = 100.0


def draw(wish: Wish) -> Figure:
    """Share of (problem, budget) on which the error is within a factor of the best one there; the best twelve named."""
    run = wish.run
    assert run is not None
    judged(run)
    ratio = ratios(errors(run))
    widest = min(WIDEST, float(np.nanmax(ratio.where(np.isfinite(ratio)).to_numpy()))) * 1.05
    within = np.geomspace(1.0, max(widest, 2.0), 200)
    share = profile(ratio, within)
    best = share.mean(axis=1).sort_values(ascending=False, kind="stable")
    looks = make_looks(run.records, [str(name) for name in best[best > 0].index[:MOST]])
    figure, (axes,) = panels(1, 1, height_beside(looks, 2.4), right=1.72)
    for name in share.index:
        if name not in looks:
            axes.step(within, share.loc[name], where="post", color=GREY, lw=0.6, zorder=1, label=OTHERS)
    for i, (name, look) in enumerate(looks.items()):
        rises = max(int(np.argmax(share.loc[name] > 0)) - 1, 0)
        line = {**look.line(), "markevery": (1 + 6 * i % 30, 30)}
        axes.step(within[rises:], share.loc[name].iloc[rises:], where="post", zorder=3, **line)
    if any(look.dashed for look in looks.values()):
        axes.plot([], [], color=GREY, lw=0.8, ls="--", label=DASHED)
    axes.set(xscale="log", xlim=(1, within[-1]), ylim=(0, 1.02))
    axes.set_xlabel("factor of the least error at the same problem and budget")
    axes.set_ylabel("share of problems and budgets")
    round_numbers(axes.xaxis)
    legend(figure, [axes], looks, f"the best {len(looks)}")
    problems = list(dict.fromkeys(ratio.columns.get_level_values(0)))
    axes.set_title(f"{len(share)} programs; {listed(problems, 2)}", weight="normal", fontsize=6.5)
    headline(figure, "performance profile", run.title, run)
    return figure
