"""Read a run folder: the manifest, one record per finished cell, and what is wrong with either.

Everything that is rendered comes from here, so a table can be made again without computing anything again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

from solverbench.errors import UsageError, damage
from solverbench.measures.paired import typical
from solverbench.report import starts
from solverbench.report.quantities import BY_START, QUANTITIES
from solverbench.run.store import SCHEMA, last_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from solverbench.report.quantities import Quantity
    from solverbench.report.starts import Numbers

T = TypeVar("T")
TEXT = ("cell", "problem", "kind", "solver", "family", "status", "reason", "same_as", "grid")
MEASURED = (
    "w2", "w2_initialisation", "w2_truncation", "w2_discretisation",
    "w2_initialisation_truncation", "w2_initialisation_discretisation", "w2_truncation_discretisation",
    "kl", "kl_initialisation", "kl_truncation", "kl_discretisation",
    "kl_initialisation_truncation", "kl_initialisation_discretisation", "kl_truncation_discretisation",
    "frechet", "reverse_kl", "hellinger", "bits", "bits_exact", "bits_error", "bits_error_se", "n_bits",
    "mean_error", "std_error_min", "std_error_max",
    "rmse", "rmse_se", "rmse_max", "rmse_truncation", "relative", "relative_se", "psnr", "psnr_se", "reference_error",
    "fd", "fd_se", "fd_floor", "fd_floor_sd", "fd_reference", "fd_reference_se", "fd_data", "fd_data_se",
    "fd_data_floor", "set_error", "n", "n_paired",
)  # fmt: skip
NUMBERS = (
    "order", "budget", "nfe", "steps", "seed", "seconds", "sampling_seconds", "field_seconds", "overhead_seconds",
    "timed_seconds", "timed_seconds_se", "timed_field_seconds", "timed_overhead_seconds", "timed_rounds",
    "flops", "flops_per_evaluation", "rows", "peak_memory",
    *MEASURED,
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """A run folder that has been read. `records` has one row per cell, every column of the format, and `label`."""

    folder: Path
    manifest: dict[str, Any]
    records: pd.DataFrame
    warnings: list[str] = field(default_factory=list)
    elsewhere: int = 0
    """Records that the run has and `records` leaves out."""
    part: str = ""
    """Which part of the run `records` are, for titles."""
    by: str = ""
    """The key of the quantity that is primary where it was measured, instead of the first of its problem's kind."""
    _of: dict[str, pd.DataFrame] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def title(self) -> str:
        """What the suite calls itself."""
        return str(self.manifest.get("title") or self.manifest.get("suite") or self.folder.name)

    @property
    def planned(self) -> int:
        """Cells the run was to have."""
        return int(self.manifest["cells"])

    @property
    def finished(self) -> int:
        """Cells that have a record."""
        return len(self.records) + self.elsewhere

    @property
    def complete(self) -> bool:
        """Whether every planned cell has a record, be it a failure."""
        return self.finished >= self.planned

    @property
    def progress(self) -> str:
        """'incomplete: 37 of 180 cells', or 'complete: 180 cells'."""
        if self.complete:
            return f"complete: {self.finished} cells"
        return f"incomplete: {self.finished} of {self.planned} cells"

    @cached_property
    def problems(self) -> list[tuple[str, str]]:
        """(name, kind) of the problems that have records, in the manifest's order."""
        found = dict(zip(self.records["problem"], self.records["kind"], strict=True))
        listed = [p["name"] for p in self.manifest.get("problems", ()) if p["name"] in found]
        return [(name, found[name]) for name in dict.fromkeys([*listed, *found])]

    @property
    def shared(self) -> dict[str, str]:
        """Problem -> the table it shares with others."""
        return {p["name"]: p["table"] for p in self.manifest.get("problems", ()) if p.get("table")}

    @property
    def alone(self) -> list[tuple[str, str]]:
        """(name, kind) of the problems with tables and figures of their own."""
        return [(name, kind) for name, kind in self.problems if name not in self.shared]

    def of(self, problem: str) -> pd.DataFrame:
        """The records of one problem: the same frame each time, not to be written to."""
        if problem not in self._of:
            self._of[problem] = self.records[self.records["problem"] == problem]
        return self._of[problem]

    def measured(self, problem: str) -> list[Quantity]:
        """What a problem is judged by: of its kind's quantities those that some cell has, the primary one first."""
        records, known = self.of(problem), QUANTITIES[dict(self.problems)[problem]]
        found = [q for q in known if records[q.key].notna().any()] or [known[0]]
        return sorted(found, key=lambda quantity: quantity.key != self.by)

    def primary(self, problem: str) -> Quantity:
        """What solvers are first compared by on a problem."""
        return self.measured(problem)[0]

    def silent(self) -> Run:
        """The same without its warnings, for who has said them; it shares what is known of the records."""
        other = replace(self, warnings=[])
        other._of.update(self._of)
        return other

    @property
    def caveat(self) -> str:
        """What every title has to say: an unusual scale of the run, what part of it this is, that it lacks cells."""
        scale = self.manifest.get("scale", "full")
        unfinished = "" if self.complete else self.progress
        return "; ".join(filter(None, ["" if scale == "full" else f"{scale} settings", self.part, unfinished]))

    def titled(self, text: str) -> str:
        """A title with its caveat."""
        return f"{text} ({self.caveat})" if self.caveat else text

    def left_out(self, problem: str) -> list[str]:
        """Solvers that were not run on a problem, and why."""
        return [f"Not run: {text}." for text in self.manifest.get("left_out", ()) if f" on {problem}:" in text]


def load(folder: str | Path | Run) -> Run:
    """Read a run folder, unless it has been read. Raises UsageError if it or its manifest is missing or unreadable.

    Lines that are no records, such as the last one of a run that was killed, are left out and named in `warnings`.
    """
    if isinstance(folder, Run):
        return folder
    folder = Path(folder)
    manifest = _manifest(folder)
    records, warnings = _records(folder / "cells.jsonl")
    frame = pd.DataFrame(records).reindex(columns=[*TEXT, "stochastic", *NUMBERS])
    for column in NUMBERS:
        frame[column] = pd.to_numeric(frame[column], errors="coerce")
    frame[list(TEXT)] = frame[list(TEXT)].astype(object).where(frame[list(TEXT)].notna(), None)
    drew = frame["stochastic"].isin([True])  # unknown of what was skipped
    frame["stochastic"] = drew.groupby(frame["solver"]).transform("any")
    kept = _kept(folder, frame["cell"], warnings)
    for name in BY_START:
        frame[name] = pd.Series([numbers.get(name) for numbers, _ in kept], index=frame.index, dtype=object)
    pairs = zip(frame["squared_errors"], frame["reference_error"].fillna(0.0), strict=True)
    found = np.array([_typical(squares, least) for squares, least in pairs]).reshape(-1, 2)
    frame["typical"], frame["typical_se"] = found.T
    frame["images"] = [images for _, images in kept]
    frame["label"] = _labels(frame)
    return Run(folder, manifest, _by_family(_filled(frame)), warnings)


def _typical(squares: NDArray[np.float64] | None, reference_error: float) -> tuple[float, float]:
    """The typical error and its standard error, which records do not have."""
    if squares is None:
        return np.nan, np.nan
    found = typical(squares, reference_error)
    return found.value, found.se


def array(folder: Path, name: str, key: str) -> NDArray[Any] | None:
    """An array that a run has kept; None where there is none or the file is damaged, as after a crash."""
    return _of_archive(folder, name, lambda archive: np.asarray(archive[key]))


def _of_archive(folder: Path, name: str, read: Callable[[Any], T]) -> T | None:
    from zipfile import BadZipFile

    try:
        with (folder / "arrays" / f"{name}.npz").open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return read(archive)
    except (OSError, EOFError, KeyError, ValueError, BadZipFile):
        return None


def _kept(folder: Path, cells: Iterable[str], warnings: list[str]) -> list[tuple[Numbers, bool]]:
    """Of each cell its numbers by start, from its arrays or a copy's one file, and whether it has images."""

    def read(archive: Any) -> tuple[Numbers, bool]:
        numbers = {k: starts.rounded(archive[k]) for k in BY_START if k in archive.files}
        return {k: v for k, v in numbers.items() if v.ndim == 1 and v.size}, "images" in archive.files

    copied: dict[str, Numbers] = {}
    try:
        copied = starts.unpacked(folder)
    except ValueError as error:
        warnings.append(f"{starts.NAME} is damaged and was left out: {damage(error)}")
    there = {path.stem for path in (folder / "arrays").glob("*.npz")}
    return [
        (_of_archive(folder, cell, read) if cell in there else None) or (copied.get(cell, {}), False) for cell in cells
    ]


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    if not path.is_file():
        what = "has no manifest.json" if folder.exists() else "does not exist"
        raise UsageError(f"run folder {str(folder)!r} {what}{_near(folder)}")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        schema, cells = manifest["schema"], int(manifest["cells"])
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"cannot read {str(path)!r}: {error!r}") from None
    if schema != SCHEMA:
        raise UsageError(f"{str(path)!r} has schema {schema!r}, this version reads {SCHEMA}: update solverbench")
    return {**manifest, "cells": cells}


def _near(folder: Path) -> str:
    """The runs a mistyped folder may have meant: below it, or beside it."""
    for place in (folder, folder.parent, folder.parent.parent):
        if place == place.parent and place.is_absolute():
            break  # not all of the disk
        patterns = ("*/", "*/*/", "reports/*/*/")
        runs = sorted({p.parent for pattern in patterns for p in place.glob(f"{pattern}manifest.json")})
        if runs:
            return "; runs near it: " + ", ".join(str(r) for r in runs[-8:])
    return "; no runs near it"


def _records(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """One record per cell, the last word on each, and the lines that could not be read."""
    if not path.is_file():
        return [], ["cells.jsonl is missing: no cell has finished"]
    content = path.read_bytes()
    records, others = last_words(content)
    what = ["torn" if number > content.count(b"\n") else "not a record" for number in others]
    return list(records.values()), [
        f"cells.jsonl line {number} is {word} and was left out; the run can be resumed"
        for number, word in zip(others, what, strict=True)
    ]


def _labels(frame: pd.DataFrame) -> pd.Series:
    """The solver's name, with grid, seed or cell where two cells would otherwise share a row and a column."""
    label = frame["solver"].astype(object)
    for column, text in (("grid", " @{}"), ("seed", " seed {:g}"), ("cell", " #{}")):
        keys = pd.DataFrame({"problem": frame["problem"], "label": label, "budget": frame["budget"]})
        shared = keys.duplicated(keep=False) & (frame[column].groupby([keys[k] for k in keys]).transform("nunique") > 1)
        crowded = set(map(tuple, keys.loc[shared, ["problem", "label"]].to_numpy()))
        values = [
            name + text.format(value) if (problem, name) in crowded and pd.notna(value) else name
            for problem, name, value in zip(frame["problem"], label, frame[column], strict=True)
        ]
        label = pd.Series(values, index=frame.index, dtype=object)
    return label


def _by_family(frame: pd.DataFrame) -> pd.DataFrame:
    """Solvers of a family one after the other, budgets ascending, in whatever order the cells were run."""
    place = pd.DataFrame({c: pd.factorize(frame[c])[0] for c in ("family", "label")}, index=frame.index)
    order = place.assign(budget=frame["budget"]).sort_values(["family", "label", "budget"], kind="stable").index
    return frame.loc[order].reset_index(drop=True)


def _filled(frame: pd.DataFrame) -> pd.DataFrame:
    """Give a cell that was not run, because another solver's program is identical, that one's results."""
    measured = [*MEASURED, "status", "typical", "typical_se", *BY_START]
    bare = frame["same_as"].notna() & frame["status"].isin(["ok", "skipped"]) & frame[list(MEASURED)].isna().all(axis=1)
    for i in frame.index[bare]:
        row = frame.loc[i]
        twin = frame[
            (frame["problem"] == row["problem"])
            & (frame["solver"] == row["same_as"])
            & (frame["budget"] == row["budget"])
            & ~bare
        ]
        if len(twin) == 1:
            frame.loc[i, measured] = twin.iloc[0][measured]
    return frame
