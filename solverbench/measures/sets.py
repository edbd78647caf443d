"""Sets of pictures from disk: a folder of image files, or an array in a .npy or .npz file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from solverbench.errors import UsageError, damage
from solverbench.measures.extractors import Pictures

SUFFIXES = (".png", ".bmp", ".jpg", ".jpeg", ".webp")


def read_pictures(place: str | Path) -> Pictures:
    """Bytes (n, 3, h, w). Raises UsageError for what is not there, not bytes, or pictures of several sizes."""
    named, place = str(place), Path(place)
    if named and place.is_dir():  # without a name it would be the working directory
        return _folder(place)
    if not place.is_file():
        raise UsageError(f"there is neither a folder nor a file {named!r}")
    try:
        with place.open("rb") as file:
            held = np.load(file, allow_pickle=False)
            arrays = [held] if isinstance(held, np.ndarray) else [held[name] for name in held.files]
    except Exception as error:  # damage comes as errors of many kinds
        raise UsageError(f"{place} is not a readable .npy or .npz file of numbers: {damage(error)}") from None
    pictures = [a for a in arrays if a.ndim == 4 and a.dtype == np.uint8 and 3 in (a.shape[1], a.shape[3])]
    if len(pictures) != 1:
        shapes = ", ".join(f"{a.dtype} {a.shape}" for a in arrays)
        raise UsageError(f"{place} must hold one array of bytes (n, h, w, 3) or (n, 3, h, w), it has {shapes}")
    found = pictures[0]
    if not len(found):
        raise UsageError(f"{place} holds no picture")
    return found if found.shape[1] == 3 else np.ascontiguousarray(found.transpose(0, 3, 1, 2))


def _folder(place: Path) -> Pictures:
    from PIL import Image

    files = sorted(f for f in place.rglob("*") if f.suffix.lower() in SUFFIXES)
    if not files:
        raise UsageError(f"{place} has no pictures ({', '.join(SUFFIXES)})")
    pictures = []
    for file in files:
        try:
            with Image.open(file) as image:
                pictures.append(np.asarray(image.convert("RGB")))
        except OSError as error:
            raise UsageError(f"{file} is not a readable picture: {error}") from None
        if pictures[-1].shape != pictures[0].shape:
            raise UsageError(f"{file} is of size {pictures[-1].shape[:2]}, {files[0].name} of {pictures[0].shape[:2]}")
    return np.stack(pictures).transpose(0, 3, 1, 2)
