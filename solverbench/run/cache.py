"""Finished cells, kept across runs: <cache>/cells/<first two digits>/<identity>.json, and .npz for arrays.

An entry states its own checksums. One that does not verify is worth nothing: it is said, removed and computed again.
The cache is a convenience, so a disk that is full or read-only only means that nothing more is kept.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from solverbench.artifacts.store import folder
from solverbench.problems.base import Judgement

SCHEMA = 2


class Cache:
    """Judgements by identity, below a folder, by default that of everything this package keeps."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or folder() / "cells"

    def get(self, identity: str) -> Judgement | None:
        """What is known of that identity. Warns of an entry that does not verify."""
        path = self._place(identity)
        try:
            entry = json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError):
            entry = None
        try:
            return self._verified(path, identity, entry)
        except (OSError, ValueError, KeyError, TypeError) as error:
            warnings.warn(f"{path} is damaged ({error}): the cell is computed again", RuntimeWarning, stacklevel=2)
            for file in (path, path.with_suffix(".npz")):
                with suppress(OSError):
                    file.unlink()
            return None

    def put(self, identity: str, judgement: Judgement) -> None:
        """Keep a judgement: never one that failed. What cannot be written is not kept."""
        if judgement.status not in ("ok", "diverged"):
            return
        path, arrays = self._place(identity), None
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            if judgement.arrays:
                stream = io.BytesIO()
                np.savez_compressed(stream, **judgement.arrays)  # type: ignore[arg-type]
                arrays = stream.getvalue()
                _replace(path.with_suffix(".npz"), arrays)
            told = {"measures": judgement.measures, "status": judgement.status, "reason": judgement.reason}
            digest = None if arrays is None else hashlib.sha256(arrays).hexdigest()
            entry = {"schema": SCHEMA, "identity": identity, "judgement": told, "arrays": digest}
            text = json.dumps(entry | {"sha256": _checksum(entry)})
            _replace(path, text.encode())  # last: an entry that is there is whole

    def _verified(self, path: Path, identity: str, entry: Any) -> Judgement | None:
        if not isinstance(entry, dict):
            raise ValueError("it is not a record")
        if entry["schema"] != SCHEMA:
            return None
        digest = entry.pop("sha256")
        if entry["identity"] != identity or digest != _checksum(entry):
            raise ValueError("its checksum is another")
        arrays = {}
        if entry["arrays"] is not None:
            content = path.with_suffix(".npz").read_bytes()
            if hashlib.sha256(content).hexdigest() != entry["arrays"]:
                raise ValueError("the checksum of its arrays is another")
            arrays = dict(np.load(io.BytesIO(content), allow_pickle=False))
        return Judgement.of(entry["judgement"], arrays)

    def _place(self, identity: str) -> Path:
        return self.root / identity[:2] / f"{identity}.json"


def _checksum(entry: Any) -> str:
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()


def _replace(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except OSError:
        with suppress(OSError):
            os.unlink(name)
        raise
