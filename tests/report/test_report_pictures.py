"""Figures and sheets: that they are written, what is in them, and that the same records give the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from seen import complaints, unseen
from synthetic import records, write_run

from solverbench.errors import UsageError
from solverbench.report import load, render
from solverbench.report.figures import Wish, draw, figures, write
from solverbench.report.figures.lines import leaders
from solverbench.report.quantities import QUANTITIES
from solverbench.report.sheets import sheets
from solverbench.report.style import style

SOME = ("euler", "exp-euler", "ddim", "deis-tab3", "unipc-2[variant=bh1]", "ddpm")


@pytest.fixture
def small(tmp_path):
    """Six solvers of both problems."""
    cells = [c for c in records() if c["solver"] in SOME]
    return load(write_run(tmp_path / "small", cells, planned=200, images=3))


@pytest.fixture(scope="module")
def drawn(big):
    with style():
        return {name: draw() for name, draw in figures(big).items()}


def test_which_figures_there_are(drawn):
    assert sorted(drawn) == [
        "along-paired-cifar10-mixture", "families-cifar10-gaussian", "families-cifar10-mixture",
        "fd-compute-cifar10-mixture", "pareto", "profile", "ranks", "samples-cifar10-mixture", "split-cifar10-gaussian",
        "work-precision", "work-seconds",
    ]  # fmt: skip


def texts(figure):
    from matplotlib.text import Text

    return [t.get_text() for t in figure.findobj(Text)]


def test_figures_say_that_the_run_is_not_complete(drawn):
    for figure in drawn.values():
        assert "incomplete: 665 of 666 cells" in texts(figure)


def test_identical_programs_are_one_line_with_a_joint_label(drawn):
    labels = texts(drawn["families-cifar10-gaussian"])
    assert "exp-euler = dpm-1 = dpmpp-1 = ddim" in [" ".join(t.split()) for t in labels]
    assert "ddim" not in [t for t in labels if t != "ddim" or labels.count(t) > 1]


def test_every_program_is_in_the_family_figure(drawn, big):
    labels = " ".join(texts(drawn["families-cifar10-mixture"]))
    assert all(name in labels for name in big.records["solver"].unique())


def test_text_can_be_read_and_legends_name_what_is_drawn(drawn):
    for name, figure in drawn.items():
        assert complaints(figure) + unseen(figure) == [], name


def test_leaders_are_the_winners_then_the_best_of_each_family(big):
    found = leaders(big.of("cifar10-gaussian"), QUANTITIES["law"][0])
    assert found[:2] == ["deis-tab3", "unipc-3"]
    families = big.records.drop_duplicates("label").set_index("label")["family"]
    assert set(families[found]) >= set(families) - {"ddim"}
    assert len(found) <= 12


def test_few_solvers_all_lead(small):
    found = leaders(small.of("cifar10-gaussian"), QUANTITIES["law"][0])
    assert found == ["euler", "exp-euler", "deis-tab3", "unipc-2[variant=bh1]", "ddpm"]


@pytest.mark.parametrize("form", ["png", "pdf", "svg"])
def test_the_same_records_give_the_same_bytes(tmp_path, small, form):
    one, other = (tmp_path / f"{name}.{form}" for name in "ab")
    for path in (one, other):
        write(draw("split", Wish(small)), path)
    assert one.read_bytes() == other.read_bytes()
    assert one.stat().st_size > 5000


def test_figures_leave_the_caller_s_style_alone():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    with style():
        assert mpl.rcParams["pdf.fonttype"] == 42
    assert dict(mpl.rcParams) == before


def test_sheets(small, tmp_path):
    paths = sheets(small, tmp_path)
    assert len(paths) == 6
    assert tmp_path / "cifar10-mixture-unipc-2-variant=bh1.png" in paths
    with Image.open(tmp_path / "cifar10-mixture-deis-tab3.png") as sheet:
        assert sheet.height == 26 + 10 * 66 + 8
        assert sheet.width > 86 + 3 * 66 + 8  # its title is longer than the pictures beside each other
        pixels = np.asarray(sheet)
    assert (pixels[:, -4:] == 255).all()
    with np.load(small.folder / "arrays" / "reference-cifar10-mixture.npz") as archive:
        exact = archive["images"][1].transpose(1, 2, 0)
    np.testing.assert_array_equal(pixels[26 : 26 + 64 : 2, 86 + 66 : 86 + 130 : 2], exact)
    assert (pixels[26 + 66 : 26 + 130, 86 : 86 + 64] == 0xEE).all()  # diverged at 5 evaluations


def test_damaged_arrays_are_a_row_without_images(small, tmp_path):
    path = small.folder / "arrays" / "cifar10-mixture.euler.10.npz"
    path.write_bytes(path.read_bytes()[:50])
    assert len(sheets(small, tmp_path)) == 6


def test_names_that_become_the_same_file_do_not_overwrite(tmp_path):
    cells = [c for c in records() if c["solver"] == "euler" and c["kind"] == "paired"]
    cells = [{**c, "solver": s, "cell": f"{c['cell']}{i}"} for i, s in enumerate(("a[x]", "a-x")) for c in cells]
    run = load(write_run(tmp_path / "run", cells, images=1))
    assert [p.name for p in sheets(run, tmp_path)] == ["cifar10-mixture-a-x.png", "cifar10-mixture-a-x-2.png"]


def test_render(small):
    paths = render(small.folder, figures=["pdf"])
    assert all(p.is_file() and p.stat().st_size for p in paths)
    assert {p.parent.name for p in paths} == {"tables", "figures", "sheets"}
    assert {p.suffix for p in paths} == {".md", ".csv", ".png", ".pdf"}  # sheets are PNG


@pytest.mark.parametrize("value", [0.0, 1e-3, 1e30])
def test_render_of_one_cell(tmp_path, value):
    cells = [
        {**c, "rmse": value, "rmse_se": value, "fd": value, "w2": value} for c in records() if "heun.10" in c["cell"]
    ]
    assert len(render(write_run(tmp_path / "run", cells), figures=["png"])) == 10 * 2 + 9


def test_render_only_what_is_asked_for(small):
    paths = render(small.folder, figures=(), tables=["md"], sheets=False)
    assert {p.suffix for p in paths} == {".md"}


def test_render_of_nothing(tmp_path):
    assert render(write_run(tmp_path / "run", [], planned=3)) == []


def test_render_of_failures_only(tmp_path):
    cells = [{**c, "status": "failed", "rmse": None, "w2": None, "nfe": None} for c in records()[:4]]
    assert {p.suffix for p in render(write_run(tmp_path / "run", cells))} == {".md", ".csv"}


@pytest.mark.parametrize(("option", "message"), [({"figures": ["gif"]}, "png"), ({"tables": "md"}, "list")])
def test_unknown_formats(small, option, message):
    with pytest.raises(UsageError, match=message):
        render(small.folder, **option)
