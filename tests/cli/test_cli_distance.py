"""`solverbench distance` on folders, arrays and statistics."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from solverbench.measures import statistics
from solverbench.measures.extractors import extractor
from solverbench.measures.frechet import frechet
from solverbench.measures.moments import Normal


@pytest.fixture
def places(tmp_path, rng):
    """A folder of pictures, an array of as many others with the channels last, and statistics of those."""
    a, b = rng.integers(0, 256, (2, 24, 3, 8, 8), dtype=np.uint8)
    (tmp_path / "a").mkdir()
    for i, picture in enumerate(a):
        Image.fromarray(picture.transpose(1, 2, 0)).save(tmp_path / "a" / f"{i:02}.png")
    np.savez(tmp_path / "b.npz", images=b.transpose(0, 2, 3, 1))
    pixel = extractor("pixel")
    statistics.save(tmp_path / "s.npz", Normal.of(pixel(b)), pixel.key)
    return tmp_path, pixel(a), pixel(b)


def test_every_measure_has_a_value_and_an_error(solverbench, places):
    folder, a, b = places
    chosen = ["--measure=fd", "--measure=kid", "--measure=sw2", "--measure=coverage", "--measure=nearest"]
    shown = solverbench("distance", folder / "a", folder / "b.npz", *chosen, "--extractor=pixel", "--json")
    assert shown.code == 0, shown.err
    rows = {row["measure"]: row for row in json.loads(shown.out)}
    assert list(rows) == [
        "FD_pixel", "KID", "sliced W2 squared", "precision", "recall", "density", "coverage", "nearest neighbour",
    ]  # fmt: skip
    assert rows["FD_pixel"]["value"] == pytest.approx(frechet(Normal.of(a), Normal.of(b)), rel=1e-6)
    assert all(row["n"] == 24 and row["se"] >= 0 for row in rows.values())


def test_statistics_in_place_of_the_reference(solverbench, places):
    folder, a, b = places
    shown = solverbench("distance", folder / "a", folder / "s.npz", "--measure=fd", "--extractor=pixel", "--json")
    assert json.loads(shown.out)[0]["value"] == pytest.approx(frechet(Normal.of(a), Normal.of(b)), rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "s.npz", "--measure=fd"], "extractor 'pixel' instead of 'randconv'"),
        (["a", "s.npz", "--extractor=pixel"], "kid needs the pictures themselves"),
        (["a", "nothing"], "neither a folder nor a file"),
        (["a", "b.npz", "--extractor=pixl"], "did you mean pixel"),
        (["empty", "b.npz"], "has no pictures"),
        (["a", "floats.npy"], "it has float64 (3, 2)"),
        (["mixed", "b.npz"], "is of size (4, 4)"),
    ],
)
def test_what_cannot_be_compared_is_one_line(solverbench, places, arguments, message):
    folder = places[0]
    (folder / "empty").mkdir()
    (folder / "mixed").mkdir()
    for side in (8, 4):
        Image.new("RGB", (side, side)).save(folder / "mixed" / f"{9 - side}.png")
    np.save(folder / "floats.npy", np.zeros((3, 2)))
    arguments = [a if a.startswith("--") else folder / a for a in arguments]
    shown = solverbench("distance", *arguments)
    assert shown.code == 2
    assert message in shown.err
    assert shown.err.count("\n") == 1
