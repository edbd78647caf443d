"""Work and precision in seconds: what an error costs on the machine of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from solverbench.report.figures.lines import judged, seconds_label
from solverbench.report.figures.work_precision import error_by
from solverbench.report.style import round_numbers

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from solverbench.report.figures import Wish


def draw(wish: Wish) -> Figure:
    """Error against seconds in the model and the solver, of all samples of a cell; problems that are sampled only."""
    assert wish.run is not None
    return error_by(wish.run, "seconds", judged(wish.run, "field_seconds"), "error by seconds", _seconds)


def _seconds(axes: Axes, records: pd.DataFrame) -> None:
    round_numbers(axes.xaxis)
    axes.set_xlabel(seconds_label(records))
