"""`solverbench cite`: the BibTeX of what was used, each entry once."""

from __future__ import annotations

import json
import re

import pytest

from solverbench import references
from solverbench.grids import GRIDS
from solverbench.methods import SOLVERS
from solverbench.run import suite

THEIRS = """
import solverbench


@solverbench.solver("theirs", cite="karras2022edm, eq. 5; my notes")
@solverbench.solver("nameless")
def theirs(x, path, grid):
    return x
"""


@pytest.fixture
def keys(solverbench):
    """keys(*arguments): the keys printed, of a call that must succeed; the text is what the file says."""

    def call(*arguments):
        shown = solverbench("cite", *arguments)
        assert (shown.code, shown.err) == (0, "")
        found = references.read(shown.out, "stdout")
        assert all(references.known()[key] == entry for key, entry in found.items())
        return list(found)

    return call


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], ["solverbench"]),
        (["heun"], ["hairer1993"]),
        (["ddim[eta=0.5]", "ddim", "ddpm"], ["song2021ddim", "ho2020ddpm"]),  # ddpm is ddim with eta = 1
        (["edm"], ["karras2022edm"]),  # a path and a grid
        (["edm[rho=5]"], ["karras2022edm"]),
        (["ve", "edm"], ["song2021sde", "karras2022edm"]),
        (["gits-cifar10", "cosine"], ["chen2024gits", "sabour2024ays"]),
        (["vp-scaled-linear"], ["rombach2022ldm"]),
        (["cifar10-gaussian", "cifar10-unet"], ["krizhevsky2009cifar", "karras2022edm"]),
    ],
)
def test_names(keys, names, expected):
    assert keys(*names) == expected


def test_everything_a_suite_uses(keys):
    found = keys("--suite", "cifar10")
    assert found == keys("cifar10")
    assert found[0] == "solverbench"
    loaded = suite.load("cifar10")
    used = [SOLVERS[s].cite for p in (loaded, *loaded.problems) for s in p.solvers]
    used += [GRIDS[p.grid].cite for p in loaded.problems]
    assert {e.key for cite in used for e, _ in references.parts(cite)} < {*found}
    assert {"krizhevsky2009cifar", "boffi2024flowmap"} < {*found}
    assert "cox2002etd" in found
    assert "cui2023ersde" not in found
    assert keys("er-sde-1", "--suite", "cifar10") == ["cui2023ersde", *found]


def test_a_suite_of_ones_own(keys, small):
    solvers = ["song2021ddim", "hairer1993", "ho2020ddpm"]
    assert keys(*small[:2]) == ["solverbench", *solvers, "karras2022edm", "krizhevsky2009cifar"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('grid = "emd"', "unknown grid 'emd' (did you mean edm?)"),
        ('path = "edn"', "unknown path 'edn' (did you mean edm"),
        ('solvers = ["ddimm"]', "unknown solver 'ddimm' (did you mean ddim"),
    ],
)
def test_a_suite_of_what_is_not_there(solverbench, tmp_path, line, message):
    head = 'schema = 1\nname = "mine"\nnfe = [4]\nsolvers = ["ddim"]\n'
    problem = '[[problems]]\nname = "p"\nfield = "spectrum.npz"\nkind = "law"\n'
    (tmp_path / "mine.toml").write_text(f"{head}{problem}{line}\n")
    shown = solverbench("cite", "--suite", tmp_path / "mine.toml")
    assert (shown.code, shown.out) == (2, "")
    assert message in shown.err
    (tmp_path / "mine.toml").write_text(f'{head}{problem}grid = "explicit"\n')
    shown = solverbench("cite", "--suite", tmp_path / "mine.toml")
    assert (shown.code, shown.err) == (0, "spectrum.npz cites nothing\n")
    assert re.findall(r"@\w+{(\w+)", shown.out) == ["solverbench", "song2021ddim", "karras2022edm"]


def test_json(solverbench):
    rows = json.loads(solverbench("cite", "ddim[eta=0.5]", "iddpm", "edm", "edm", "--json").out)
    assert [(row["name"], row["key"]) for row in rows] == [
        ("ddim[eta=0.5]", "song2021ddim"),
        ("iddpm", "nichol2021iddpm"),
        ("iddpm", "karras2022edm"),
        ("edm", "karras2022edm"),
    ]
    assert all(row["bibtex"] == references.known()[row["key"]].bibtex for row in rows)


def test_a_file_of_solvers(solverbench, write):
    path = write(THEIRS)
    shown = solverbench("cite", path)
    assert shown.code == 0
    assert re.findall(r"@\w+{(\w+)", shown.out) == ["karras2022edm"]
    assert shown.err == "nameless cites nothing\ntheirs has no BibTeX, its author cites: my notes\n"
    nothing = solverbench("cite", f"{path}:nameless")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "nameless cites nothing\n")
    assert solverbench("cite", f"{path}:nameless", "--json").out == "[]\n"
