"""Sample sheets as text that an img element shows."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from solverbench.report.sheets import sheets

if TYPE_CHECKING:
    from solverbench.report.records import Run

ROOM = 4_500_000
"""Characters that all sheets together may take of a page that is to stay below 8 MB."""


@dataclass(frozen=True)
class Picture:
    """A sheet; `source` is None for one there was no room for."""

    name: str
    problem: str
    source: str | None
    width: int
    height: int


def pictures_of(run: Run) -> list[Picture]:
    """The sheets of the images the run has kept, or, where it has kept none, those that were rendered into it."""
    with TemporaryDirectory() as folder:
        paths = sheets(run, Path(folder)) or sorted((run.folder / "sheets").glob("*.png"))
        found, used = [], 0
        for path in paths:
            picture = _picture(path, [name for name, _ in run.problems])
            used += len(picture.source or "")
            found.append(picture if used <= ROOM else Picture(picture.name, picture.problem, None, 0, 0))
    return found


def _picture(path: Path, problems: list[str]) -> Picture:
    from PIL import Image

    stems = {re.sub(r"[^A-Za-z0-9+._=-]+", "-", name).strip("-"): name for name in problems}
    problem = next((stems[s] for s in sorted(stems, key=len, reverse=True) if path.stem.startswith(f"{s}-")), "")
    with Image.open(path) as sheet:
        file = io.BytesIO()
        sheet.convert("RGB").save(file, "WEBP", quality=88, method=4)
        text = base64.b64encode(file.getvalue()).decode()
        return Picture(path.stem, problem, f"data:image/webp;base64,{text}", *sheet.size)
