"""The figures of solvers, against formulas; and what every figure must keep to."""

from __future__ import annotations

import re

import numpy as np
import pytest
from synthetic import records, write_run

from solverbench.cli import main
from solverbench.errors import UsageError
from solverbench.methods import SOLVERS
from solverbench.report import load
from solverbench.report.figures import KINDS, Wish, draw, write
from solverbench.report.figures.page import PAGE
from solverbench.report.figures.stability import amplification

Z = np.array([[-0.5, -1.9 + 0.3j], [-3.0, 0.4j]])


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    some = ("euler", "heun", "deis-tab3", "unipc-2[variant=bh1]", "ddpm")
    return load(write_run(tmp_path_factory.mktemp("figures") / "run", [c for c in records() if c["solver"] in some],
                          images=2))  # fmt: skip


@pytest.fixture(scope="module")
def drawn(small_run):
    wishes = {"trajectories": Wish(solvers=("ddim",), nfe=4), "along": Wish(nfe=5), "transfer": Wish(nfe=5)}
    return {kind: draw(kind, wishes.get(kind, Wish(small_run))) for kind in KINDS}


@pytest.mark.parametrize("kind", list(KINDS))
def test_figures_fit_a_page_and_hold_their_text(drawn, kind):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    figure = drawn[kind]
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    assert figure.get_figwidth() <= PAGE
    width, height = figure.get_size_inches() * figure.dpi
    ticks = [
        t for axes in figure.axes for t in (*axes.get_xticklabels(which="both"), *axes.get_yticklabels(which="both"))
    ]
    for text in figure.findobj(Text):
        if text.get_text().strip() and text.get_visible() and text not in ticks:
            box = text.get_window_extent(canvas.get_renderer())
            assert box.x0 >= -1, text
            assert box.y0 >= -1, text
            assert box.x1 <= width + 1, text
            assert box.y1 <= height + 1, text


@pytest.mark.parametrize("step", [0.5, 1.0])
def test_stability_of_the_first_order_exponential_step(step):
    """x e^-h + (1 - e^-h)(1 + zeta) x: the region is a disc through 0 of radius h/(1 - e^-h)."""
    expected = np.abs(1 + (1 - np.exp(-step)) * Z / step)
    np.testing.assert_allclose(amplification(SOLVERS["ddim"], Z, step), expected, rtol=1e-6)


def test_stability_of_two_steps_is_that_of_the_characteristic_polynomial():
    """dpmpp-2m with equal steps extrapolates 3/2 D_n - 1/2 D_{n-1}."""
    weight = (1 - np.exp(-1.0)) * (1 + Z)
    largest = [max(abs(np.roots([1, -np.exp(-1.0) - 1.5 * w, 0.5 * w]))) for w in weight.ravel()]
    found = amplification(SOLVERS["dpmpp-2m"], Z).ravel()
    np.testing.assert_allclose(found, largest, rtol=2e-2)


def test_rk4_is_stable_where_gaussian_data_are():
    assert (amplification(SOLVERS["rk4"], np.linspace(-1, -0.1, 5)) < 1).all()


def test_the_order_figure_says_claimed_and_measured():
    figure = draw("order", Wish(solvers=("heun", "ipndm4")))
    texts = [t.get_text() for axes in figure.axes for t in axes.texts]
    assert "heun: 2.0 (2)" in texts
    assert "ipndm4: 2.0 (4)" in texts


def test_transfer_is_the_law_s():
    """The flow map reproduces every direction."""
    from solverbench.report.figures.solvers import gaussian, law_within

    law = law_within(SOLVERS["flow-map"], gaussian(), 4)
    np.testing.assert_allclose(law.variance, law.reference_variance, rtol=1e-9)


def test_fonts_are_embedded_and_text_stays_text(drawn, tmp_path):
    for form in ("pdf", "svg", "png"):
        write(drawn["stability"], tmp_path / f"a.{form}")
    pdf = (tmp_path / "a.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert re.search(r"<text[^>]*>ddim</text>", (tmp_path / "a.svg").read_text("utf-8"))


def test_names_are_text_in_svg(tmp_path):
    odd = {"solver": "<script>alert(1)</script>$x_y^$", "family": "$f^$"}
    cells = [{**c, **odd, "problem": f"{c['problem']}$_^$"} for c in records() if c["solver"] == "heun"]
    run = load(write_run(tmp_path / "run", cells, images=1))
    for kind in ("pareto", "profile", "ranks", "families", "split", "samples", "work-precision"):
        write(draw(kind, Wish(run)), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text("utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;$x_y^$" in text


@pytest.mark.parametrize(
    ("kind", "wish", "message"),
    [
        ("work-precison", Wish(), "work-precision"), ("pareto", Wish(), "name its folder"),
        ("stability", Wish(solvers=("ddpm",)), "ddpm is none"), ("order", Wish(solvers=("nope",)), "unknown solver"),
        ("transfer", Wish(solvers=("ddim",) * 11), "at most 10"),
    ],
)  # fmt: skip
def test_wishes_that_cannot_be_granted(kind, wish, message):
    with pytest.raises(UsageError, match=message):
        draw(kind, wish)


def test_wishes_a_run_cannot_grant(small_run, tmp_path):
    with pytest.raises(UsageError, match="no figure 'split' of problem 'cifar10-mixture'"):
        draw("split", Wish(small_run, "cifar10-mixture"))
    with pytest.raises(UsageError, match=r"no solver of the run is called 'hean'.*heun"):
        draw("pareto", Wish(small_run, solvers=("hean",)))
    bare = load(write_run(tmp_path / "bare", records()[:9]))
    with pytest.raises(UsageError, match="nothing to draw 'samples' from"):
        draw("samples", Wish(bare))


def test_command(small_run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments in (["stability", "--solver", "ddim"], ["split", str(small_run.folder), "--solver", "he*"]):
        with pytest.raises(SystemExit) as ended:
            main(["figure", *arguments, "--out", "a.svg"])
        assert ended.value.code == 0
        assert capsys.readouterr().out == "a.svg\n"
    with pytest.raises(SystemExit):
        main(["figure"])
    listed = capsys.readouterr().out
    assert all(kind in listed for kind in KINDS)
    with pytest.raises(SystemExit) as ended:
        main(["figure", "stability", "--out", "a.gif"])
    assert ended.value.code == 2
    assert "png, pdf or svg" in capsys.readouterr().err
