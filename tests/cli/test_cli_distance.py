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
        (["", "b.npz"], "neither a folder nor a file ''"),
        (["a", ""], "neither a folder nor a file ''"),
        (["objects.npy", "b.npz"], "is not a readable .npy or .npz file of numbers: it is damaged or holds objects"),
        (["a", "text.npz"], "is not a readable .npy or .npz file of numbers: it is damaged or holds objects"),
        (["a", "b.npz", "--extractor=pixl"], "did you mean pixel"),
        (["empty", "b.npz"], "has no pictures"),
        (["a", "floats.npy"], "it has float64 (3, 2)"),
        (["mixed", "b.npz"], "is of size (4, 4)"),
        (["large.npy", "b.npz", "--extractor=pixel"], "pixel makes 243 numbers of a picture of"),
        (["large.npy", "s.npz", "--measure=fd", "--extractor=pixel"], "and 192 of"),
        (["none.npy", "b.npz"], "none.npy holds no picture"),
        (["a", "b.npz", "--extractor=mine.py:one"], "mine.py:one made (1,) of 24 pictures, not (n, d)"),
        (["a", "b.npz", "--extractor=mine.py:nan"], "mine.py:nan made features that are not finite"),
        (["a", "b.npz", "--extractor=mine.py:on"], "mine.py has no function 'on' (did you mean one?)"),
        (["a", "b.npz", "--extractor=mine.py:two"], "mine.py has no function 'two' (known: nan, one)"),
        (["one.npy", "one.npy", "--measure=coverage"], "manifolds of 5 neighbours need more samples than that, got 1"),
    ],
)
def test_what_cannot_be_compared_is_one_line(solverbench, places, monkeypatch, arguments, message):
    folder = places[0]
    (folder / "empty").mkdir()
    (folder / "mixed").mkdir()
    for side in (8, 4):
        Image.new("RGB", (side, side)).save(folder / "mixed" / f"{9 - side}.png")
    np.save(folder / "floats.npy", np.zeros((3, 2)))
    np.save(folder / "objects.npy", np.array([None]))
    (folder / "text.npz").write_text("no archive")
    for name, shape in {"large": (24, 3, 9, 9), "none": (0, 3, 8, 8), "one": (1, 3, 8, 8)}.items():
        np.save(folder / f"{name}.npy", np.zeros(shape, np.uint8))
    (folder / "mine.py").write_text("two = 2\ndef one(x): return 1.0\ndef nan(x): return [[float('nan')]] * len(x)\n")
    monkeypatch.chdir(folder)
    arguments = [a if a.startswith("--") or not a else folder / a for a in arguments]
    shown = solverbench("distance", *arguments)
    assert shown.code == 2
    assert message in shown.err
    assert shown.err.count("\n") == 1


def test_a_seed_is_none_below_zero_and_a_measure_asked_for_twice_is_told_once(solverbench, places):
    folder = places[0]
    shown = solverbench("distance", folder / "a", folder / "b.npz", "--seed", -1)
    assert (shown.code, shown.out) == (2, "")
    assert "-1 is not in the range x>=0" in shown.err
    shown = solverbench("distance", folder / "a", folder / "b.npz", *["--measure=nearest"] * 2, "--json")
    assert [row["measure"] for row in json.loads(shown.out)] == ["nearest neighbour"]
