"""`solverbench law --field` with fields of the user's own."""

from __future__ import annotations

import json

import numpy as np
import pytest


@pytest.fixture
def spectrum(tmp_path):
    path = tmp_path / "my_spectrum.npz"
    np.savez(path, eigenvalues=np.geomspace(1e-3, 10, 7), mean=np.ones(7))
    return path


def rows(shown):
    assert (shown.code, shown.err) == (0, "")
    return json.loads(shown.out)


def test_law_on_a_spectrum(solverbench, spectrum):
    ask = ("law", "dpmpp-2m", "--nfe", "5,10,20", "--json", "--field", spectrum)
    errors = [row["W2"] for row in rows(solverbench(*ask))]
    assert errors[0] > errors[1] > errors[2] > 0
    assert rows(solverbench(*ask, "--path", "edm")) == rows(solverbench(*ask))
    other = rows(solverbench(*ask, "--path", "vp-linear", "--grid", "log-snr"))
    assert [row["W2"] for row in other] != errors


def test_law_where_nothing_varies(solverbench, tmp_path):
    np.save(tmp_path / "flat.npy", np.zeros(2))
    (row,) = rows(solverbench("law", "ddim", "--nfe", "5", "--json", "--field", tmp_path / "flat.npy"))
    assert row["W2"] == pytest.approx(0, abs=1e-12)


def test_law_of_a_solver_on_a_field_of_the_same_file(solverbench, write, two):
    text = two + "\n\ndef field():\n    return solverbench.fields.Gaussian([0.0], [1.0], 'vp-linear')\n"
    file = write(text)
    ask = ("law", f"{file}:mine", "--nfe", "5", "--grid", "uniform", "--json", "--field", file)
    (row,) = rows(solverbench(*ask))
    assert (row["solver"], row["nfe"]) == ("mine", 5)
    shown = solverbench(*ask, "--path", "edm")
    assert shown.code == 2
    assert "has its own path and takes no other, but path=edm was asked for" in shown.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def field():\n    return 1 / 0\n", "raised ZeroDivisionError: division by zero (mine.py:2)"),
        (
            "def field(x, t):\n    return x\nfield.path, field.shape, field.prediction = 'edm', (1,), 'x0'\n",
            "no exact laws",
        ),
    ],
)
def test_what_has_no_law_is_no_traceback(solverbench, write, text, message):
    shown = solverbench("law", "ddim", "--field", write(text))
    assert (shown.code, shown.out) == (2, "")
    assert message in shown.err
    assert "Traceback" not in shown.err


def test_a_missing_file_is_named(solverbench, tmp_path):
    shown = solverbench("law", "ddim", "--field", tmp_path / "none.npz")
    assert (shown.code, shown.out) == (2, "")
    assert "no such field file" in shown.err
