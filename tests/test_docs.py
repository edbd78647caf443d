"""The documents' examples run, and their claims about them hold."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import solverbench as sb
from solverbench.cli import VERBS
from solverbench.methods import SOLVERS, user

ROOT = Path(__file__).parents[1]


def blocks(page, language):
    """The fenced code blocks of a page in one language."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text("utf-8"), flags=re.S)


@pytest.mark.parametrize("page", ["README.md", "docs/writing-a-solver.md"])
def test_example_solver_is_what_the_text_says(page, tmp_path):
    (example,) = (code for code in blocks(page, "python") if "# mine.py" in code)
    (tmp_path / "mine.py").write_text(example)
    assert user.load_file(str(tmp_path / "mine.py")) == ["mine"]
    edm, grid = sb.path("edm"), sb.grid("edm", "edm", 5)
    assert SOLVERS["mine"].plan(edm, grid).equivalent(SOLVERS["dpmpp-2s"].plan(edm, grid))


def examples(page):
    """The Python blocks of a page that are run: all but those under a comment that says why not."""
    text = (ROOT / page).read_text("utf-8")
    fences = re.findall(r"^(?:<!-- not run: ([^\n]+) -->\n)?```python\n(.*?)^```", text, re.M | re.S)
    assert len(fences) == len(blocks(page, "python"))
    return [code for reason, code in fences if not reason]


PAGES = sorted(str(p.relative_to(ROOT)) for p in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", [page for page in PAGES if examples(page)])
def test_every_python_example_runs(page, tmp_path, monkeypatch):
    """In the order of the page, each with the names of those before; test files by pytest."""
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in examples(page):
        if "def test_" not in code:
            exec(compile(code, page, "exec"), names)  # our own page
            continue
        pytest.importorskip("diffusers")
        (tmp_path / "test_example.py").write_text(code)
        plugin = "-p", "no:solverbench", "-p", "solverbench.gate.plugin"  # installed or not, this copy's
        command = sys.executable, "-m", "pytest", "-q", *plugin, "test_example.py"
        done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_readme_python_example_prints_plans_and_names(capsys):
    exec(compile(examples("README.md")[-1], "README.md", "exec"), {})  # our own page
    assert "dpmpp-2m" in capsys.readouterr().out


def test_the_file_of_auditing_is_what_it_claims(tmp_path):
    from solverbench.peers import checks, file

    (example,) = examples("docs/auditing.md")
    (tmp_path / "mine.py").write_text(example)
    (sampler,) = file.library(str(tmp_path / "mine.py")).peers
    record = checks.examine(sampler)
    assert (record.claimed, record.verdict, record.faults) == (1, "as claimed", [])


def test_adaptive_page_names_every_solver():
    for name in sb.adaptive_solvers():
        assert f"`{name}`" in (ROOT / "docs/adaptive.md").read_text("utf-8")


def test_readme_prints_a_real_plan():
    printed = next(block for block in blocks("README.md", "text") if "solverbench plan" in block)
    table = sb.plan("dpmpp-2m", "edm", sb.grid("edm", "edm", 4)).table()
    for expression in table["expression"]:
        assert expression in printed


def test_readme_shows_the_reference_run():
    page = (ROOT / "README.md").read_text("utf-8")
    for name in ("cifar10-mixture-best", "cifar10-flowmap-rmse"):
        table = (ROOT / f"reports/reference/cifar10/tables/{name}.md").read_text("utf-8")
        assert table.split("\n", 2)[2].strip() in page
    for link in re.findall(r"\]\(([^)]+)\)", page):
        assert (ROOT / link).exists(), link


@pytest.mark.parametrize("suite", sorted(p.name for p in (ROOT / "reports/reference").iterdir() if p.is_dir()))
def test_reference_tables_follow_from_its_records(suite, tmp_path):
    """Rendered again from the committed records, the committed tables come out."""
    from solverbench import report

    reference = ROOT / "reports/reference" / suite
    for kept in (path for path in reference.iterdir() if path.is_file()):
        (tmp_path / kept.name).write_bytes(kept.read_bytes())
    report.render(tmp_path, figures=(), tables=("md",), sheets=False)
    for table in (tmp_path / "tables").iterdir():
        assert table.read_text("utf-8") == (reference / "tables" / table.name).read_text("utf-8"), table.name


def test_readme_names_every_verb():
    page = (ROOT / "README.md").read_text("utf-8")
    for verb in VERBS:
        assert f"`{verb}" in page


def test_version_is_said_once():
    assert f'version = "{sb.__version__}"' in (ROOT / "pyproject.toml").read_text("utf-8")
    assert f"version: {sb.__version__}" in (ROOT / "CITATION.cff").read_text("utf-8")
