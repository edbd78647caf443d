"""Where solvers, grids, paths and fields come from: the entries of references.bib, and citations of them.

A citation is the text that solvers and grids give as `cite`: keys of entries, each with a place in it if that helps,
"song2021sde; karras2022edm, table 1". What is no key is a reference in its author's own words.

The file is read strictly, so that a slip in it is an error with its line and not a strange citation. An entry is

    @kind{key,
      field = {value, which may go on over lines},
    }

with the fields that `KINDS` asks of its kind; names are "Last, First" or a {Body}, joined by "and"; a preprint has
eprint and archivePrefix. Lines that begin with % are comments.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import accumulate

from solverbench.errors import ArtifactError, nearest

KINDS = {
    "article": {"journal"},
    "book": {"publisher"},
    "inproceedings": {"booktitle"},
    "misc": set[str](),
    "software": {"version"},
    "techreport": {"institution"},
}
"""Kind of entry -> the fields it must have beside those of every entry."""
_ALWAYS = {"author", "title", "year"}
_FIELDS = {*_ALWAYS, *set().union(*KINDS.values()), "archivePrefix", "edition", "eprint", "url", "volume"}
_ACCENTS = {'"': "\u0308", "'": "\u0301", "c": "\u0327"}


@dataclass(frozen=True)
class Reference:
    """An entry: its fields as they are written, and the whole of it as it stands in the file."""

    key: str
    kind: str
    fields: dict[str, str]
    bibtex: str

    @property
    def line(self) -> str:
        """Authors, title, and where it is found, in one line of text."""
        return f"{self._authors}, {plain(self.fields['title'])}, {self._where}"

    @property
    def _authors(self) -> str:
        *names, last = (plain(name.split(",")[0]) for name in _names(self.fields["author"]))
        if last == "others" or len(names) > 2:
            return f"{names[0]} et al."
        return f"{', '.join(names)} & {last}" if names else last

    @property
    def _where(self) -> str:
        found = self.fields
        if "eprint" in found:
            return f"{found['archivePrefix']} {found['eprint']}"
        place = next((plain(found[f]) for f in ("journal", "booktitle", "publisher", "institution") if f in found), "")
        if place:
            return " ".join([place, *([found["volume"]] if "volume" in found else []), f"({found['year']})"])
        return found.get("url", found["year"])


@cache
def known() -> dict[str, Reference]:
    """The entries that ship, by key. Raises ArtifactError if the file is not as it should be."""
    file = resources.files("solverbench").joinpath("references.bib")
    return read(file.read_text("utf-8"), file.name)


def parts(cite: str) -> list[tuple[Reference | None, str]]:
    """What a citation names: entries with the place in them, or None with the author's own words."""
    found: list[tuple[Reference | None, str]] = []
    for part in filter(None, map(str.strip, cite.split(";"))):
        key, _, place = (p.strip() for p in part.partition(","))
        entry = known().get(key)
        found.append((entry, place if entry else part))
    return found


def text(cite: str) -> str:
    """A citation spelled out: authors, titles, arXiv numbers or journals, and places."""
    return "; ".join(", ".join(filter(None, (entry.line if entry else "", words))) for entry, words in parts(cite))


def read(source: str, where: str) -> dict[str, Reference]:
    """Read entries by key. `where` is the file's name.

    Raises ArtifactError, with the file and the line, for what is no entry, an unknown kind or field, one twice, a
    missing field, an impossible year or arXiv number, names or LaTeX that cannot be read, and a key taken before.
    """
    entries: dict[str, Reference] = {}
    lines = source.splitlines()
    at = 0
    while at < len(lines):
        if lines[at].strip() and not lines[at].startswith("%"):
            entry, end = _entry(lines, at, where)
            if entry.key in entries:
                raise _error(where, at, f"the key {entry.key!r} is taken by an entry above")
            entries[entry.key] = entry
            at = end
        at += 1
    return entries


def plain(latex: str) -> str:
    """A value without its braces and with its accents: "N{\\o}rsett" is Nørsett."""
    accented = re.sub(r"""\{\\(["'c])\{?(\w)\}?\}""", lambda m: m[2] + _ACCENTS[m[1]], latex)
    letters = accented.replace(r"{\o}", "ø").replace(r"{\ss}", "ß").replace(r"\&", "&")
    return re.sub(r"[{}]", "", unicodedata.normalize("NFC", letters))


def _entry(lines: list[str], first: int, where: str) -> tuple[Reference, int]:
    """The entry that begins at an index, and the index of its last line."""
    head = re.fullmatch(r"@(\w+)\{([a-z0-9]+),", lines[first])
    if head is None:
        raise _error(where, first, f"an entry begins like '@misc{{key,', not like {lines[first]!r}")
    kind, key = head.groups()
    if kind not in KINDS:
        raise _error(where, first, f"{key}: unknown kind of entry {kind!r}{nearest(kind, KINDS)}")
    fields: dict[str, str] = {}
    at = first + 1
    while at < len(lines) and lines[at] != "}":
        name, value, end = _field(lines, at, where, key)
        if name in fields:
            raise _error(where, at, f"{key}: {name} is given twice")
        fields[name] = _checked(name, value, where, at, key)
        at = end + 1
    if at == len(lines):
        raise _error(where, first, f"{key}: the entry has no end, a line with nothing but '}}'")
    wanted = _ALWAYS | KINDS[kind]
    if kind == "misc":
        wanted = wanted | ({"archivePrefix"} if "eprint" in fields else {"url"})
    if missing := wanted - {*fields}:
        raise _error(where, first, f"{key}: {' and '.join(sorted(missing))} missing")
    if ("eprint" in fields) != ("archivePrefix" in fields):
        raise _error(where, first, f"{key}: eprint and archivePrefix go together")
    return Reference(key, kind, fields, "\n".join(lines[first : at + 1])), at


def _field(lines: list[str], first: int, where: str, key: str) -> tuple[str, str, int]:
    """Name, value and index of the last line of the field that begins at an index."""
    head = re.match(r"  (\w+) = \{", lines[first])
    if head is None:
        raise _error(where, first, f"{key}: a field is written '  name = {{value}},', not {lines[first]!r}")
    written = ""
    for end in range(first, len(lines)):
        written = f"{written} {lines[end].strip()}".strip()
        depths = list(accumulate((c == "{") - (c == "}") for c in written))
        opened = depths.index(1)
        if 0 in depths[opened:]:
            closed = depths.index(0, opened)
            if written[closed:] == "},":
                return head[1], written[opened + 1 : closed], end
            break
    raise _error(where, first, f"{key}: {head[1]} does not end with '}},' where its brace closes")


def _checked(name: str, value: str, where: str, at: int, key: str) -> str:
    if name not in _FIELDS:
        raise _error(where, at, f"{key}: unknown field {name!r}{nearest(name, _FIELDS)}")
    if not value.strip():
        raise _error(where, at, f"{key}: {name} is empty")
    if "\\" in plain(value):
        raise _error(where, at, f"{key}: {name} has LaTeX that is not read: {value!r}")
    patterns = {"year": r"(19|20)\d\d", "eprint": r"\d{4}\.\d{4,5}", "archivePrefix": "arXiv", "url": r"https://\S+"}
    if name in patterns and not re.fullmatch(patterns[name], value):
        raise _error(where, at, f"{key}: {name} cannot be {value!r}")
    if name == "author":
        names = _names(value)
        if names[0] == "others" or "others" in names[:-1]:
            raise _error(where, at, f"{key}: 'others' come after somebody, and last")
        for one in names:
            if one != "others" and not re.fullmatch(r"\{[^{}]+\}|[^,]+, [^,]+", one):
                raise _error(where, at, f"{key}: a name is written 'Last, First' or '{{Body}}', not {one!r}")
    return value


def _names(author: str) -> list[str]:
    return author.split(" and ")


def _error(where: str, at: int, what: str) -> ArtifactError:
    return ArtifactError(f"{where}, line {at + 1}: {what}")
