"""Sample sheets: per solver, what it makes of the same noise at every budget, under the exact or reference solution."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from solverbench.measures.paired import RESOLVES
from solverbench.report.layout import stem, told
from solverbench.report.records import array

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from PIL.Image import Image

    from solverbench.report.records import Run

SCALE = 2
COLUMNS = 16
MARGIN, HEADER, GAP, SIDE = 86, 26, 2, 8
LONGEST = 160
"""Letters of a title: there are limits to the width of a picture."""
WORDS = {"diverged": "diverged", "failed": "failed", "skipped": "not possible"}


def sheets(run: Run, folder: Path, only: Sequence[str] = ("*",)) -> list[Path]:
    """Write <problem>-<solver>.png for every solver whose images the run has kept and whose sheet fits a pattern."""
    paths: list[Path] = []
    for problem, _ in run.alone:
        exact = kept_images(run.folder, f"reference-{problem}")
        for label, rows in run.of(problem).groupby("label", sort=False):
            if not rows["images"].any():
                continue
            path = _free(folder, f"{problem}-{label}", paths)
            if not any(fnmatchcase(path.stem, pattern) for pattern in only):
                continue
            image = _sheet(run.titled(f"{problem}: {label}"), rows.sort_values("budget"), run.folder, exact)
            if image is not None:
                folder.mkdir(parents=True, exist_ok=True)
                image.save(path, compress_level=4)
                paths.append(path)
    return paths


def _sheet(title: str, rows: pd.DataFrame, folder: Path, exact: NDArray[np.uint8] | None) -> Image | None:
    """The sheet of one solver, or None if it has no image; a cell without images is a row that says why."""
    from PIL import Image, ImageDraw, ImageFont

    kept = [kept_images(folder, cell) if has else None for cell, has in zip(rows["cell"], rows["images"], strict=True)]
    first = next((images for images in kept if images is not None), None)
    if first is None:
        return None
    name = "reference" if (rows["kind"] == "trajectory").any() else "exact"
    strips: list[tuple[list[str], NDArray[np.uint8] | None]] = [([name], exact)] if exact is not None else []
    for images, row in zip(kept, rows.to_dict("records"), strict=True):
        strips.append((_caption(row), images))
    count, height, width = min(len(first), COLUMNS), first.shape[2] * SCALE, first.shape[3] * SCALE
    plain, bold = ImageFont.load_default(11), ImageFont.load_default(14)
    title = title if len(title) <= LONGEST else f"{title[: LONGEST - 3]}..."
    wide = max(MARGIN + count * (width + GAP) + SIDE, 2 * SIDE + round(bold.getlength(title)))
    sheet = Image.new("RGB", (wide, HEADER + len(strips) * (height + GAP) + SIDE), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((SIDE, 5), title, fill="black", font=bold)
    for i, (caption, images) in enumerate(strips):
        top = HEADER + i * (height + GAP)
        for line, text in enumerate(caption):
            draw.text((SIDE, top + height // 2 - 7 * len(caption) + 14 * line), text, fill="black", font=plain)
        for j in range(count):
            left = MARGIN + j * (width + GAP)
            if images is None or j >= len(images):
                draw.rectangle((left, top, left + width - 1, top + height - 1), fill="#eeeeee")
            else:
                tile = Image.fromarray(np.ascontiguousarray(images[j].transpose(1, 2, 0)))
                sheet.paste(tile.resize((width, height), Image.Resampling.NEAREST), (left, top))
    return sheet


def _caption(row: dict[Any, Any]) -> list[str]:
    """Budget, what was used of it where that is less, and the error, or why there is none."""
    lines = [f"NFE {row['budget']:g}"]
    if np.isfinite(row["nfe"]) and row["nfe"] != row["budget"]:
        lines.append(f"({row['nfe']:g} used)")
    if row["status"] in WORDS:
        lines.append(WORDS[row["status"]])
    elif np.isfinite(row["rmse"]):
        least = RESOLVES * np.nan_to_num(row["reference_error"])
        lines.append(f"rmse {told(max(row['rmse'], least), 0.0, row['rmse'] < least)}")
    return lines


def kept_images(folder: Path, name: str) -> NDArray[np.uint8] | None:
    """Images (m, 3, h, w) of a cell or a reference; None where none were kept."""
    images = array(folder, name, "images")
    good = images is not None and images.dtype == np.uint8 and images.ndim == 4 and images.shape[1] == 3 and len(images)
    return images if good else None


def _free(folder: Path, name: str, taken: list[Path]) -> Path:
    """A file name for this solver that no other one has got."""
    path, n = folder / f"{stem(name)}.png", 2
    while path in taken:
        path, n = folder / f"{stem(name)}-{n}.png", n + 1
    return path
