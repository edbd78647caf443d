"""The shipped parameters: each a safetensors file with a JSON card that carries its sha256.

Files are read only after their checksum agrees, and safetensors holds numbers, never code.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.numpy import load

from solverbench.errors import ArtifactError, UsageError, nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_REINSTALL = "reinstall solverbench (in a checkout: git checkout -- pretrained), or make it again; pretrained/README.md"


def names() -> list[str]:
    """Names of the shipped artifacts, sorted. Raises ArtifactError when their folder is missing."""
    folder = _folder()
    return sorted({path.stem for suffix in ("json", "safetensors") for path in folder.glob(f"*.{suffix}")})


def card(name: str) -> dict[str, Any]:
    """What the artifact is: its field, tensors, sha256, data, command and measurements.

    Raises UsageError for an unknown name, ArtifactError for a missing or malformed card.
    """
    return read_card(path(name))


def tensors(name: str) -> dict[str, NDArray[np.generic]]:
    """The artifact's arrays by name, with the shapes and dtypes its card lists; each call returns fresh arrays.

    Raises UsageError for an unknown name, ArtifactError when the file is missing or is not the one the card describes.
    """
    return read_tensors(path(name))


def read_card(path: Path) -> dict[str, Any]:
    """The card beside the artifact `path`: the same name ending in .json. Raises ArtifactError as `card` does."""
    path = path.with_suffix(".json")
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing: {_remedy(path)}") from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} is not a readable card ({error}): {_remedy(path)}") from error
    if not isinstance(found, dict) or not isinstance(found.get("sha256"), str):
        raise ArtifactError(f"{path} states no sha256: {_remedy(path)}")
    return found


def read_tensors(path: Path) -> dict[str, NDArray[np.generic]]:
    """The arrays in the artifact `path` (.safetensors), whose card is beside it. Raises ArtifactError as `tensors`."""
    expected = read_card(path)["sha256"]
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read ({error.strerror}): {_remedy(path)}") from error
    actual = hashlib.sha256(content).hexdigest()
    if actual != expected:
        raise ArtifactError(f"{path} is damaged or altered: sha256 {actual}, its card says {expected}; {_remedy(path)}")
    try:
        return dict(load(content))
    except SafetensorError as error:
        raise ArtifactError(f"{path} is not a safetensors file ({error}): {_remedy(path)}") from error


def path(name: str) -> Path:
    """Where the artifact of that name is. Raises UsageError for an unknown name."""
    known = names()
    if name not in known:
        raise UsageError(f"no pretrained parameters named {name!r}{nearest(name, known)}")
    return _folder() / f"{name}.safetensors"


def _folder() -> Path:
    """Beside this module in an installed package, at the root of a checkout otherwise."""
    here = Path(__file__).resolve().parent
    for folder in (here / "_pretrained", here.parent / "pretrained"):
        if folder.is_dir():
            return folder
    raise ArtifactError(f"the folder of pretrained parameters is missing beside {here}: {_REINSTALL}")


def _remedy(path: Path) -> str:
    """What helps against a file that is missing or damaged: it depends on whether it is one of ours."""
    here = path.resolve().parent == _folder().resolve()
    return _REINSTALL if here else "an artifact is two files, .safetensors and .json, side by side: get both again"
