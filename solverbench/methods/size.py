"""How much code a solver is: lines of the files in this folder that define solvers, by the names they define."""

from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter
from importlib import resources
from typing import Any

from solverbench.methods.registry import SOLVERS

_SILENT = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING,
    tokenize.ENDMARKER,
}  # fmt: skip
_NOT_SOLVERS = ("__init__.py", "registry.py", "user.py", "size.py")


def sizes() -> list[dict[str, Any]]:
    """A row per file, then one for all: names of solvers, functions among them, lines of code, lines per name.

    A line of code has something on it that is no comment and no documentation. Files without names are parts that
    others share.
    """
    built_in = [s.function for s in SOLVERS.values() if s.function.__module__.startswith(f"{__package__}.")]
    names = Counter(f"{f.__module__.rpartition('.')[2]}.py" for f in built_in)
    functions = Counter(f"{f.__module__.rpartition('.')[2]}.py" for f in set(built_in))
    files = sorted(p.name for p in resources.files(__package__).iterdir() if p.name.endswith(".py"))
    rows = [
        (name, names[name], functions[name], code_lines((resources.files(__package__) / name).read_text("utf-8")))
        for name in files
        if name not in _NOT_SOLVERS
    ]
    rows.append(("all", *(sum(row[i] for row in rows) for i in (1, 2, 3))))  # type: ignore[arg-type]
    return [
        {
            "file": name,
            "solvers": n,
            "functions": k,
            "lines": lines,
            "lines per solver": round(lines / n, 1) if n else None,
        }
        for name, n, k, lines in rows
    ]


def code_lines(source: str) -> int:
    """Lines of a program with something on them that is neither comment nor documentation."""
    said: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _SILENT:
            said.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            said.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(said)
