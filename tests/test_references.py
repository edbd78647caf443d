"""The file of references: it is whole, all of it is used, and slips in it are refused with their line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from solverbench import pretrained, references
from solverbench.adaptive import ADAPTIVE
from solverbench.cli.cite_ import PACKAGE
from solverbench.engines import brownian
from solverbench.errors import ArtifactError
from solverbench.grids import GRIDS
from solverbench.methods import SOLVERS
from solverbench.paths import PATHS

ROOT = Path(__file__).parents[1]
BIB = ROOT / "solverbench/references.bib"
GOOD = """\
% a comment

@article{doe2024,
  author = {Doe, Jane and M{\\"u}ller, Jo{\\'e} and Fran{\\c{c}}ois, A. and {A Body}},
  title = {The {ABC} of
    solvers \\& {S{\\o}n}},
  journal = {Journal of Tests},
  volume = {4},
  year = {2024},
}

@misc{roe2023,
  author = {Roe, Richard and others},
  title = {A preprint},
  year = {2023},
  eprint = {2301.00001},
  archivePrefix = {arXiv},
}

@misc{prog,
  author = {{A Body} and Poe, Ann},
  title = {A program},
  year = {2022},
  url = {https://example.org/prog},
}
"""


def citations():
    """(name, citation) of all of this package that cites."""
    yield PACKAGE, PACKAGE
    yield "engines.brownian", brownian.CITE
    yield from ((name, solver.cite) for name, solver in SOLVERS.items() if solver.family != "user")
    yield from ((name, solver.cite) for name, solver in ADAPTIVE.items())
    yield from ((name, rule.cite) for name, rule in GRIDS.items())
    yield from ((name, path.cite) for name, path in PATHS.items())
    yield from ((name, pretrained.card(name)["cite"]) for name in pretrained.names())


def test_every_key_exists_and_every_entry_is_used():
    used = set()
    for name, cite in citations():
        found = references.parts(cite)
        assert found, f"{name} cites nothing"
        for entry, words in found:
            assert entry is not None, f"{name} cites {words!r}, which is no key"
            used.add(entry.key)
    assert used == set(references.known())


def test_no_paper_has_two_entries():
    entries = references.known().values()
    for field in ("title", "eprint", "url"):
        values = [e.fields[field].lower() for e in entries if field in e.fields]
        assert len(set(values)) == len(values), field


def test_preprints_are_not_younger_than_their_year():
    """An arXiv number begins with year and month; those of the last days of a year can be of the next."""
    for entry in references.known().values():
        if "eprint" in entry.fields:
            assert int(entry.fields["year"]) >= 2000 + int(entry.fields["eprint"][:2]) - 1, entry.key


def test_entries_are_as_they_stand_in_the_file():
    text = BIB.read_text("utf-8")
    assert len(re.findall("^@", text, flags=re.M)) == len(references.known())
    for key, entry in references.known().items():
        assert entry.bibtex in text
        assert entry.bibtex.startswith(f"@{entry.kind}{{{key},\n")
        assert references.read(entry.bibtex, "one") == {key: entry}
    assert all(len(line) <= 120 for line in text.splitlines())


def test_the_package_is_cited_as_its_citation_file_says():
    said = dict(re.findall(r"^(?:  - )?([a-z-]+): (.+)$", (ROOT / "CITATION.cff").read_text("utf-8"), flags=re.M))
    fields = references.known()[PACKAGE].fields
    assert fields["author"] == f"{{{said['name']}}}"
    assert fields["title"] == said["title"]
    assert fields["version"] == said["version"]
    assert said["date-released"].startswith(fields["year"])


def test_an_entry_as_a_line():
    found = references.read(GOOD, "good.bib")
    assert [entry.line for entry in found.values()] == [
        "Doe et al., The ABC of solvers & Søn, Journal of Tests 4 (2024)",
        "Roe et al., A preprint, arXiv 2301.00001",
        "A Body & Poe, A program, https://example.org/prog",
    ]
    author = references.plain(found["doe2024"].fields["author"])
    assert author == "Doe, Jane and Müller, Joé and François, A. and A Body"
    assert "\n\n".join(entry.bibtex for entry in found.values()) + "\n" == GOOD.split("\n\n", 1)[1]


def test_known_references_as_lines():
    lines = {key: entry.line for key, entry in references.known().items()}
    assert lines["hairer1993"] == (
        "Hairer, Nørsett & Wanner, Solving Ordinary Differential Equations I: Nonstiff Problems, Springer (1993)"
    )
    assert lines["zhang2023deis"] == (
        "Zhang & Chen, Fast Sampling of Diffusion Models with Exponential Integrator, arXiv 2204.13902"
    )


@pytest.mark.parametrize(
    ("cite", "text"),
    [
        ("", ""),
        ("a paper of mine", "a paper of mine"),
        ("Doe, On things; 2024", "Doe, On things; 2024"),
        ("dormand1980", "{dormand1980}"),
        (" dormand1980 ,  table 2 ", "{dormand1980}, table 2"),
        ("dormand1980, table 2, left; shu1988; my notes", "{dormand1980}, table 2, left; {shu1988}; my notes"),
    ],
)
def test_citations_spelled_out(cite, text):
    lines = {key: entry.line for key, entry in references.known().items()}
    assert references.text(cite) == text.format(**lines)


@pytest.mark.parametrize(
    ("slip", "line", "message"),
    [
        (("@article{doe2024,", "@artcile{doe2024,"), 3, "unknown kind of entry 'artcile' (did you mean article?)"),
        (("@article{doe2024,", "@article{Doe 2024,"), 3, "an entry begins like"),
        (("% a comment", "a comment"), 1, "an entry begins like '@misc{key,', not like 'a comment'"),
        (("@misc{roe2023,", "@misc{doe2024,"), 12, "the key 'doe2024' is taken by an entry above"),
        (("  journal = {Journal of Tests},\n", ""), 3, "doe2024: journal missing"),
        (("  year = {2024},\n", ""), 3, "doe2024: year missing"),
        (("  url = {https://example.org/prog},\n", ""), 20, "prog: url missing"),
        (("  archivePrefix = {arXiv},\n", ""), 12, "roe2023: archivePrefix missing"),
        (("  eprint = {2301.00001},\n", "  url = {https://a.org},\n"), 12, "eprint and archivePrefix go together"),
        (("  volume = {4},", "  volume = {4},\n  volume = {5},"), 9, "doe2024: volume is given twice"),
        (("  volume = {4},", "  volumn = {4},"), 8, "unknown field 'volumn' (did you mean volume?)"),
        (("  volume = {4},", "  volume = {},"), 8, "volume is empty"),
        (("  volume = {4},", "  volume = 4,"), 8, "a field is written '  name = {value},'"),
        (("  volume = {4},", "  volume = {4}"), 8, "volume does not end with '},' where its brace closes"),
        (("  volume = {4},", "  volume = {4}, year = {2024},"), 8, "volume does not end with '},'"),
        (("{A preprint},", "{A preprint,"), 14, "title does not end with '},'"),
        (("  year = {2023},", "  year = {23},"), 15, "year cannot be '23'"),
        (("{2301.00001}", "{arXiv:2301.00001}"), 16, "eprint cannot be 'arXiv:2301.00001'"),
        (("{arXiv}", "{arxiv}"), 17, "archivePrefix cannot be 'arxiv'"),
        (("{https://example.org/prog}", "{example.org}"), 24, "url cannot be 'example.org'"),
        (("Roe, Richard", "Richard Roe"), 13, "a name is written 'Last, First' or '{Body}', not 'Richard Roe'"),
        (("Roe, Richard and others", "Roe, Richard, others"), 13, "a name is written"),
        (("Roe, Richard and others", "others"), 13, "'others' come after somebody, and last"),
        (("{\\o}", "{\\aa}"), 5, "title has LaTeX that is not read"),
        (("prog},\n}\n", "prog},\n"), 20, "prog: the entry has no end"),
    ],
)  # fmt: skip
def test_a_malformed_file_is_refused_with_file_and_line(slip, line, message):
    assert slip[0] in GOOD
    with pytest.raises(ArtifactError) as refused:
        references.read(GOOD.replace(*slip), "planted.bib")
    assert str(refused.value).startswith(f"planted.bib, line {line}: ")
    assert message in str(refused.value)
