"""The HTML page as text: nothing to load, nothing that was said becomes markup, and a structure that machines can read.

tests/browser drives the same page.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser.hostile import BREAKOUT, HOSTILE, hostile_run
from report.synthetic import records, write_run

from solverbench.cli import main
from solverbench.report import load
from solverbench.report.html import embedded, write_html
from solverbench.report.tables import tables

REFERENCE = Path(__file__).parents[2] / "reports" / "reference" / "cifar10"
VOID = {"meta", "img", "input", "br", "link", "hr"}


class Page(HTMLParser):
    """Elements with their attributes, what each script and style holds, and whether all are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open, self.problems = [], {}, [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if len(dict(attrs)) != len(attrs):
            self.problems.append(f"an attribute twice in {tag}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag == "p" and self.open and self.open[-1] != "p":
            self.problems.append("p")
        elif not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style"):
            self.texts.setdefault(self.open[-1], []).append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    return write_html(hostile_run(folder / "run"), folder / "report.html").read_text("utf-8")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_every_element_is_closed_and_every_id_is_one(page):
    assert page.problems == []
    assert page.open == []
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    links = [a["href"] for a in page.all("a")]
    assert {link[1:] for link in links} <= set(ids)
    assert {a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a} <= set(ids)


def test_nothing_is_loaded(page):
    sources = [a[key] for _, a in page.elements for key in ("src", "srcset", "poster", "data", "action") if key in a]
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    assert not {"link", "iframe", "base", "object"} & {tag for tag, _ in page.elements}
    assert not re.search(r"@import|url\(", page.texts["style"][0])


def test_only_its_own_script_and_style_may_run(page):
    (policy,) = (a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert not re.search(r"unsafe|http|\*", policy)
    data, script = page.texts["script"]
    json.loads(data)
    for rule, held in (("script-src", script), ("style-src", page.texts["style"][0])):
        assert rules[rule] == f"'sha256-{base64.b64encode(hashlib.sha256(held.encode()).digest()).decode()}'"
    assert not [a for _, a in page.elements if "style" in a or any(key.startswith("on") for key in a)]


def test_what_was_said_stays_text(page, text):
    assert HOSTILE not in text
    assert BREAKOUT not in text
    assert [a.get("type") for a in page.all("script")] == ["application/json", None]
    data = json.loads(page.texts["script"][0])
    assert HOSTILE in [solver["name"] for solver in data["problems"][0]["solvers"]]
    assert BREAKOUT in data["families"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


@pytest.mark.parametrize("said", ["</script>", "<!--<script>", "]]>", "\u2028", "&amp;"])
def test_data_cannot_end_its_element(said):
    held = embedded({"name": said})
    assert not set("<>&\u2028") & set(held)
    assert json.loads(held) == {"name": said}


def test_tables_say_what_their_cells_belong_to(page):
    scopes = [a.get("scope") for a in page.all("th")]
    assert set(scopes) == {"col", "row"}
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(a["alt"] for a in page.all("img"))
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == len(page.all("main")) == 1


def test_the_reference_run_has_everything_and_is_small(tmp_path):
    path = write_html(REFERENCE, tmp_path / "sub" / "report.html")
    text = path.read_text("utf-8")
    assert path.stat().st_size < 8e6
    page = Page(text)
    assert page.problems == []
    assert "This run is incomplete" not in text
    assert len(page.all("img")) == len(list((REFERENCE / "sheets").glob("*.png")))
    lines = (REFERENCE / "cells.jsonl").read_text("utf-8").splitlines()
    solvers = len({json.loads(line)["solver"] for line in lines})
    assert text.count('class="subject"') == text.count('class="plan"') == solvers
    for said in ("arXiv 2010.02502", "@misc{", "below claim: coefficients", "F2 = field(x1", "hardware: cpu"):
        assert said in text
    data = json.loads(page.texts["script"][0])
    mixture = data["problems"][1]
    assert [q["name"] for q in mixture["quantities"]] == ["paired RMSE", "typical error", "FD_pixel"]
    assert list(mixture["axes"]) == ["nfe", "seconds", "gflops"]
    lengths = {len(mixture["solver"]), *(len(q["value"]) for q in mixture["quantities"])}
    assert len(lengths) == 1


def test_sheets_that_find_no_room_are_named(tmp_path, monkeypatch):
    run = write_run(tmp_path / "run", records()[-60:], images=2)
    whole_text = write_html(run, tmp_path / "whole.html").read_text("utf-8")
    whole = Page(whole_text)
    monkeypatch.setattr("solverbench.report.html.pictures.ROOM", sum(len(a["src"]) for a in whole.all("img")) // 2)
    text = write_html(run, tmp_path / "report.html").read_text("utf-8")
    solvers = {c["solver"] for c in records()[-60:]}
    (left_out,) = re.findall(r"writes them into sheets/: (.*)\.</p>", text)
    shown = re.findall(r"<figcaption>(.*)</figcaption>", text)
    assert min(len(shown), len(left_out)) > 0
    assert {*shown, *left_out.split(", ")} == set(re.findall(r"<figcaption>(.*)</figcaption>", whole_text))
    assert len(shown) + len(left_out.split(", ")) == len(solvers)
    assert "cifar10-mixture-ddim" in left_out  # the same pictures as exp-euler's


def test_every_table_of_the_run_is_on_the_page(tmp_path):
    """Also those that problems share, in which each row names its solver: rows are sorted and filtered."""
    cells = [c for c in records() if c["kind"] == "law" and c["solver"] in ("euler", "heun")]
    more = [c | {"problem": f"p{i}", "cell": f"p{i}-{c['cell']}"} for c in cells for i in (1, 2)]
    folder = write_run(tmp_path / "run", cells + more)
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for problem in manifest["problems"][1:]:
        problem["table"] = "shared"
    path.write_text(json.dumps(manifest))
    text = write_html(folder, tmp_path / "report.html").read_text("utf-8")
    made = tables(load(folder))
    assert {html.escape(table.title) for table in made} <= set(re.findall("<caption>(.*)</caption>", text))
    assert re.findall("<h3>(.*)</h3>", text) == ["All problems", "cifar10-gaussian", "Problems"]
    (shared,) = re.findall("<caption>CIFAR-10, shared:.*?</table>", text, re.DOTALL)
    assert re.findall(r'<tr data-family="(.*?)">\s*<th scope="row"><a href="#solver-.">(.*?)</a>', shared) == [
        ("runge-kutta", name) for name in ("euler", "euler", "heun", "heun")
    ]


def test_what_cannot_be_seen_is_shown(tmp_path):
    """Marks of direction would reverse what is beside a name; half of a surrogate pair cannot be written at all."""
    name = "\u202eevil\u2066\ud800"
    cells = [c | {"solver": name} for c in records()[:9]]
    text = write_html(write_run(tmp_path / "run", cells), tmp_path / "report.html").read_text("utf-8")
    assert not set(text) & {"\u202e", "\u2066"}
    assert text.count("\ufffdevil\ufffd?") > 9


def test_lines_of_a_description_are_joined(tmp_path):
    text = write_html(write_run(tmp_path / "run", records()), tmp_path / "report.html").read_text("utf-8")
    docs = re.findall(r'<p class="doc">(.*?)</p>', text, re.DOTALL)
    assert len(docs) > 20
    assert not [doc for doc in docs if re.search(r"\S\n\S", doc)]


def test_a_run_of_which_nothing_has_finished_is_a_page_that_says_so(tmp_path):
    folder = write_run(tmp_path / "run", [], planned=4)
    text = write_html(folder, tmp_path / "report.html").read_text("utf-8")
    assert "incomplete: 0 of 4 cells" in text
    assert "No cell has finished." in text


def test_the_verb_writes_it(tmp_path):
    folder = write_run(tmp_path / "run", records()[:40])
    with pytest.raises(SystemExit, match="0"):
        main(["report", str(folder), "--format", "html", "--figures", "none", "--no-sheets"])
    assert (folder / "report.html").is_file()
    assert not (folder / "tables").exists()
