"""LaTeX that compiles whatever a solver is called, numbers with their errors, and Parquet."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from synthetic import records, write_run

from solverbench.errors import UsageError
from solverbench.report import load, render
from solverbench.report.latex import ROWS, SPECIAL, escape, latex
from solverbench.report.layout import uncertain
from solverbench.report.quantities import QUANTITIES
from solverbench.report.tables import error_table, tables

W2 = QUANTITIES["law"][0]
RMSE = QUANTITIES["paired"][0]
ODD = r"50%_of \input{x} $y^2$ & #1 ~ <script> 中 η"


@pytest.fixture
def odd(tmp_path):
    """A run whose solver has a name that LaTeX would obey."""
    names = {"heun": ODD, "dpmpp-2m": "dpmpp-2m"}
    cells = [{**c, "solver": names[c["solver"]]} for c in records() if c["solver"] in names]
    return load(write_run(tmp_path / "odd", cells))


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.02143, 0.00031, "0.0214(3)"), (0.02143, 0.00013, "0.02143(13)"), (1.2e-5, 3e-7, "1.20(3)e-5"),
        (1.2e-5, 1.2e-6, "1.20(12)e-5"), (196.3, 12.0, "196(12)"), (196.3, 46.0, "196(46)"), (0.3, 0.5, "0.3(5)"),
        (1234.0, 70.0, "1.23(7)e3"), (0.5, 0.0, "0.500"), (0.5, np.nan, "0.500"), (np.nan, 1.0, "-"),
        (5.0, 1e-5, "5.00"), (0.0, 0.02, "0.00(2)"), (9.96, 0.96, "10.0(10)"), (0.0999, 0.0096, "0.100(10)"),
    ],
)  # fmt: skip
def test_values_with_standard_errors(value, error, text):
    assert uncertain(value, error) == text


def balanced(text):
    """Whether braces, environments and the columns of every row match."""
    bare = re.sub(r"\\[{}\\]", "", text)
    begun, ended = (re.findall(rf"\\{which}{{(.*?)}}", text) for which in ("begin", "end"))
    columns = len(re.search(r"\\begin{tabular}{@{}([lr]+)@{}}", text)[1])
    inner = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    rows = [line for line in inner.split("\n") if line.endswith(r"\\")]
    counts = {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows}
    return bare.count("{") == bare.count("}") and begun == ended[::-1] and counts == {columns}


def test_structure_of_every_table(big):
    for table in tables(big):
        text = latex(table)
        assert balanced(text), table.name
        assert text.count("†") == 0
        assert len([x for x in text.split("\n") if x.endswith(r"\\")]) == len(table.body) + 1


def test_best_group_is_bold_and_those_not_separable_carry_a_dagger(tmp_path):
    values = {"a": (1.0, 0.1), "b": (1.2, 0.1), "c": (2.0, 0.1)}
    cells = [
        {"cell": k, "problem": "p", "kind": "paired", "solver": k, "budget": 10, "nfe": 10, "steps": 10,
         "status": "ok", "order": 2, "rmse": v, "rmse_se": se} for k, (v, se) in values.items()
    ]  # fmt: skip
    text = latex(error_table(load(write_run(tmp_path / "run", cells)), "p", RMSE))
    assert r"a & 2 & -- & \textbf{1.00(10)} \\" in text
    assert r"b & 2 & -- & \textbf{1.20(10)}\textsuperscript{\dag} \\" in text
    assert r"c & 2 & -- & 2.00(10) \\" in text
    assert "not separable" in text


def test_orders_claimed_and_measured_stand_side_by_side(big):
    text = latex(error_table(big, "cifar10-gaussian", W2))
    assert "solver & claimed & measured &" in text
    assert re.search(r"^deis-tab3 & 4 & 2 &", text, flags=re.M)
    assert re.search(r"^heun & 2 & 2 &", text, flags=re.M)


def test_columns_have_one_unit(tmp_path):
    cells = [
        {"cell": k, "problem": "p", "kind": "law", "solver": k, "budget": 10, "nfe": 10, "steps": 10, "status": "ok",
         "w2": v} for k, v in {"a": 0.0021, "b": 0.5}.items()
    ]  # fmt: skip
    text = latex(error_table(load(write_run(tmp_path / "run", cells)), "p", W2))
    assert r"\shortstack[r]{10\\ \(10^{-3}\)}" in text
    assert r"a & -- & -- & \textbf{2.10} \\" in text
    assert r"b & -- & -- & 500 \\" in text


def test_a_value_of_nothing_sets_no_unit(tmp_path):
    cells = [
        {"cell": k, "problem": "p", "kind": "law", "solver": k, "budget": 10, "nfe": 10, "steps": 10, "status": "ok",
         "w2": v} for k, v in {"exact": 7e-15, "a": 0.021, "b": 0.26, "c": 0.27}.items()
    ]  # fmt: skip
    text = latex(error_table(load(write_run(tmp_path / "run", cells)), "p", W2))
    assert r"a & -- & -- & 2.10 \\" in text
    assert r"exact & -- & -- & \textbf{7.00e\(-\)13} \\" in text


def test_what_is_longer_than_a_page_is_several_floats(tmp_path):
    cells = [
        {"cell": str(k), "problem": "p", "kind": "law", "solver": f"s{k}", "budget": 10, "nfe": 10, "steps": 10,
         "status": "ok", "w2": 1.0 + k} for k in range(101)
    ]  # fmt: skip
    text = latex(error_table(load(write_run(tmp_path / "run", cells)), "p", W2))
    parts = [r"\begin{table*}" + part for part in text.split(r"\begin{table*}")[1:]]
    rows = [re.findall(r"^s(\d+) &", part, flags=re.M) for part in parts]
    assert [k for part in rows for k in part] == [str(k) for k in range(101)]
    assert max(map(len, rows)) <= ROWS
    assert [f"part {i} of 3" in part for i, part in enumerate(parts, 1)] == [True] * 3
    assert [r"\smallskip" in part for part in parts] == [False, False, True]
    assert re.findall(r"\\label{(.*?)}", text) == ["tab:p-w2", "tab:p-w2-2", "tab:p-w2-3"]
    assert all(balanced(part) for part in parts)


def test_names_are_printed_as_they_are():
    assert escape("a_b 50% {x} & #1 \\n") == r"a\_b 50\% \{x\} \& \#1 \textbackslash{}n"
    assert escape("中") == r"\texttt{U+4E2D}"
    assert escape("x\n\\end{table}") == r"x \textbackslash{}end\{table\}"
    assert all(escape(c) == made for c, made in SPECIAL.items())


def test_a_comment_cannot_be_left(odd):
    run = load(write_run(odd.folder.parent / "two", [{**records()[0], "problem": "p\n\\bad"}]))
    first, second = latex(tables(run)[0]).split("\n")[:2]
    assert first.startswith("% p \\bad")
    assert second == r"\begin{table*}"


COMPILERS = {
    "pdflatex": ["-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error"],
    "tectonic": ["--untrusted", "--only-cached"],
}


@pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="no LaTeX here")
def test_all_tables_compile(odd):
    render(odd.folder, figures=(), tables=["latex"], sheets=False)
    command = next([name, *options] for name, options in COMPILERS.items() if shutil.which(name))
    done = subprocess.run(
        [*command, "all.tex"], cwd=odd.folder / "tables", capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    assert b"Overfull" not in done.stdout
    assert b"Float too large" not in done.stdout


def test_parquet_is_the_csv_with_types(small_run):
    pytest.importorskip("pyarrow")
    paths = render(small_run, figures=(), tables=["csv", "parquet"], sheets=False)
    for path in (p for p in paths if p.suffix == ".parquet"):
        read, text = pd.read_parquet(path), pd.read_csv(path.with_suffix(".csv"))
        assert list(read) == list(text)
        assert not set(read.dtypes.astype(str)) - {"Int64", "float64", "int64", "bool", "string", "str"}
        for column in read:
            assert read[column].isna().tolist() == text[column].isna().tolist()
            assert read[column].dropna().tolist() == text[column].dropna().tolist(), column


def test_a_table_s_file_is_in_its_folder_whatever_the_problem_is_called(tmp_path):
    folder = write_run(tmp_path / "run", [{**records()[0], "problem": "../a b|c"}])
    paths = render(folder, figures=(), tables=["md"], sheets=False)
    assert {path.parent for path in paths} == {folder / "tables"}
    assert "..-a-b-c-w2.md" in {path.name for path in paths}


def test_every_form_says_that_the_run_is_not_complete(tmp_path):
    folder = write_run(tmp_path / "part", [c for c in records() if c["solver"] == "heun"], planned=180)
    paths = render(folder, figures=(), tables=["md", "csv", "latex", "html"], sheets=False)
    assert {path.suffix for path in paths} == {".md", ".csv", ".tex", ".html"}
    for path in paths:
        text = re.sub(r"^%.*", "", path.read_text("utf-8"), flags=re.M)
        assert path.name == "all.tex" or "incomplete: 18 of 180 cells" in text, path.name


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is not None, reason="pyarrow is there")
def test_parquet_says_what_it_needs(small_run):
    with pytest.raises(UsageError, match=r"needs pyarrow: pip install 'solverbench\[parquet\]'"):
        render(small_run, figures=(), tables=["parquet"], sheets=False)


@pytest.fixture
def small_run(tmp_path):
    return write_run(tmp_path / "small", [c for c in records() if c["solver"] in ("heun", "ddpm")])
