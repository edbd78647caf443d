"""Numbers by start of many cells in one file: what a copy of a run has instead of its arrays.

Arrays and file are both read in float32, which samples are computed in: so the tables of a copy are those of the run,
byte for byte.
Cells that are one program have one set of numbers, kept once.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, TypeAlias
from zipfile import BadZipFile

import numpy as np

from solverbench.report.quantities import BY_START

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

Numbers: TypeAlias = "dict[str, np.ndarray[Any, np.dtype[np.float64]]]"

NAME = "by-start.npz"
LARGEST = 4 << 20
"""Bytes of the file: what is to be committed stays small."""
EXPANDED = 8
"""Times its size that it may take in memory; numbers of measurements are hardly compressed at all."""


def rounded(numbers: Any) -> Any:
    """Numbers by start as all readers have them."""
    return np.asarray(numbers, np.float32).astype(np.float64)


def packed(records: pd.DataFrame) -> bytes:
    """The file of these records, empty if they have none: per array the distinct rows, and which of them a cell has."""
    found: dict[str, Any] = {}
    for name in BY_START:
        kept = records[records[name].notna()]
        rows = [np.asarray(row, np.float32) for row in kept[name]]
        distinct = {row.tobytes(): row for row in rows}
        place = {raw: i for i, raw in enumerate(distinct)}
        if rows:
            found[name] = np.concatenate(list(distinct.values()))
            found[f"{name}.sizes"] = np.array([row.size for row in distinct.values()])
            found[f"{name}.cells"] = kept["cell"].to_numpy(str)
            found[f"{name}.rows"] = np.array([place[row.tobytes()] for row in rows])
    if not found:
        return b""
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **found)
    return file.getvalue()


def unpacked(folder: Path) -> dict[str, Numbers]:
    """{cell: {array: numbers}} of a copy, empty for what is none. Raises ValueError for a file that is not `packed`."""
    path, cells = folder / NAME, dict[str, Numbers]()
    if not path.is_file():
        return cells
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            size = sum(member.file_size for member in archive.zip.infolist())
            if size > EXPANDED * LARGEST:
                raise ValueError(f"it would take {size} bytes")
            for name in BY_START:
                if name in archive.files:
                    ends = np.cumsum(archive[f"{name}.sizes"])
                    rows = np.split(rounded(archive[name]), ends[:-1])
                    for cell, row in zip(archive[f"{name}.cells"], archive[f"{name}.rows"], strict=True):
                        cells.setdefault(str(cell), {})[name] = rows[row]
    except (OSError, EOFError, KeyError, IndexError, TypeError, BadZipFile) as error:
        raise ValueError(str(error)) from error
    return cells
