"""Sample sheets as text that an img element shows."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from solverbench.report.comparison import tidy, twins, usual_budget
from solverbench.report.layout import stem
from solverbench.report.sheets import sheets

if TYPE_CHECKING:
    from solverbench.report.records import Run

ROOM = 4_500_000
"""Characters that all sheets together may take of a page that is to stay below 8 MB."""


@dataclass(frozen=True)
class Picture:
    """A sheet; `source` is empty for one there was no room for."""

    name: str
    source: str = ""
    width: int = 0
    height: int = 0


def pictures_of(run: Run) -> list[Picture]:
    """The sheets of the images the run has kept, or, where it has kept none, those that were rendered into it.

    Where there is no room for all of them it goes to the best solvers of each problem, those last that are the same
    program as another.
    """
    with TemporaryDirectory() as folder:
        paths = sheets(run, Path(folder)) or sorted((run.folder / "sheets").glob("*.png"))
        place, found, left = _places(run), {}, ROOM
        for path in sorted(paths, key=lambda p: place.get(p.stem, len(place))):
            picture = _picture(path) if left > 0 else Picture(path.stem)
            left -= len(picture.source)
            found[path] = picture if left >= 0 else Picture(path.stem)
        return [found[path] for path in paths]


def _places(run: Run) -> dict[str, int]:
    """The place of each solver on its problem at the usual budget, by the name of its sheet."""
    places = {}
    for problem, _ in run.problems:
        records = run.of(problem)
        same = twins(records)[0]
        data = tidy(records, run.primary(problem))
        ranked = data[data["budget"] == usual_budget(records)].sort_values("rank", kind="stable")
        for place, label in enumerate(sorted(ranked["label"], key=same.__contains__)):
            places[stem(f"{problem}-{label}")] = place
    return places


def _picture(path: Path) -> Picture:
    from PIL import Image

    with Image.open(path) as sheet:
        file = io.BytesIO()
        sheet.convert("RGB").save(file, "WEBP", quality=88, method=4)
        text = base64.b64encode(file.getvalue()).decode()
        return Picture(path.stem, f"data:image/webp;base64,{text}", *sheet.size)
