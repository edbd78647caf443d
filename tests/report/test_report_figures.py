"""The figures of solvers, against formulas; and what every figure must keep to."""

from __future__ import annotations

import re

import numpy as np
import pytest
from seen import complaints, unseen
from synthetic import records, write_run

from solverbench.cli import main
from solverbench.errors import UsageError
from solverbench.methods import SOLVERS
from solverbench.report import load
from solverbench.report.figures import KINDS, Wish, draw, write
from solverbench.report.figures.page import PAGE, TALLEST
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
def test_figures_are_as_a_reader_wants_them(drawn, kind):
    assert drawn[kind].get_figwidth() <= PAGE
    assert drawn[kind].get_figheight() <= TALLEST
    assert complaints(drawn[kind]) == []
    assert unseen(drawn[kind]) == []


@pytest.mark.parametrize("kind", ["order", "along", "transfer", "stability"])
def test_long_names_find_their_places(kind):
    names = ("dpmpp-2m", "unipc-3[corrector=False]", "unipc-2[variant=bh1]", "ipndm4", "exp-rk4-krogstad", "dpm-3")
    assert complaints(draw(kind, Wish(solvers=names, nfe=10))) == []


def test_four_long_names_stand_over_their_trajectories():
    names = ("dpmpp-2m", "unipc-3[corrector=False]", "unipc-2[variant=bh1]", "exp-rk4-krogstad")
    assert complaints(draw("trajectories", Wish(solvers=names, nfe=4))) == []


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
    texts = [t.get_text().replace("\u00a0", " ") for axes in figure.axes for t in axes.texts]
    assert "heun: 2.0 (2)" in texts
    assert "ipndm4: 2.0 (4)" in texts


def test_transfer_is_the_law_s():
    """The flow map reproduces every direction."""
    from solverbench.report.figures.solvers import gaussian, law_within

    law = law_within(SOLVERS["flow-map"], gaussian(), 4)
    np.testing.assert_allclose(law.variance, law.reference_variance, rtol=1e-9)


def test_fonts_are_embedded_and_text_stays_text(drawn, tmp_path):
    for kind in ("work-precision", "samples", "stability"):
        for form in ("pdf", "svg", "png"):
            write(drawn[kind], tmp_path / f"a.{form}")
        pdf = (tmp_path / "a.pdf").read_bytes()
        assert b"/FontFile2" in pdf
        assert b"/Type3" not in pdf
    assert re.search(r"<text[^>]*>ddim</text>", (tmp_path / "a.svg").read_text("utf-8"))


def test_names_are_text_in_svg(tmp_path):
    odd = {"solver": "<script>$x_y^$", "family": "$f^$"}
    cells = [{**c, **odd, "problem": f"{c['problem']}$_^$"} for c in records() if c["solver"] == "heun"]
    run = load(write_run(tmp_path / "run", cells, images=1))
    for kind in ("pareto", "profile", "ranks", "families", "split", "samples", "work-precision"):
        write(draw(kind, Wish(run)), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text("utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;$x_y^$" in text


@pytest.mark.parametrize(
    ("kind", "wish", "message"),
    [
        ("work-precison", Wish(), "work-precision"), ("pareto", Wish(), "name its folder"),
        ("stability", Wish(solvers=("ddpm",)), "ddpm is none"), ("order", Wish(solvers=("nope",)), "unknown solver"),
        ("transfer", Wish(solvers=("ddim",) * 11), "at most 10"),
        ("trajectories", Wish(solvers=("ddim",) * 5), "at most 4"), ("stability", Wish(metric="kl"), "takes no metric"),
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
    with pytest.raises(UsageError, match=r"no problem of the run is judged by 'klo' \(did you mean kl\?\)"):
        draw("pareto", Wish(small_run, metric="klo"))
    bits = [{**c, "bits_error": 0.1} for c in records() if c["kind"] == "law" and c["solver"] == "heun"]
    with pytest.raises(UsageError, match="bits/dim error is not split"):
        draw("split", Wish(load(write_run(tmp_path / "bits", bits)), metric="bits_error"))
    with pytest.raises(UsageError, match="figure 'fd-compute' takes no metric, got 'kl'"):
        draw("fd-compute", Wish(small_run, metric="kl"))
    bare = load(write_run(tmp_path / "bare", records()[:9]))
    with pytest.raises(UsageError, match="nothing to draw 'samples' from"):
        draw("samples", Wish(bare))


def test_a_metric_counts_where_a_problem_has_it(small_run):
    """By KL: the other problem has none and keeps its own; parts are those of KL, and all is as it was afterwards."""
    shown = draw("work-precision", Wish(small_run, metric="kl"))
    assert {axes.get_ylabel() for axes in shown.axes} == {"KL", "paired RMSE"}
    assert any("KL" in text for text in words(draw("split", Wish(small_run, metric="kl"))))
    assert "KL" in " ".join(words(draw("ranks", Wish(small_run, metric="kl"))))
    assert {axes.get_ylabel() for axes in draw("work-precision", Wish(small_run)).axes} == {"W2", "paired RMSE"}
    assert small_run.primary("cifar10-gaussian").key == "w2"


def words(figure):
    """All that is written in a figure."""
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


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
