"""What the gate says: to a terminal, to a job's summary (markdown), to CI systems (JUnit XML), to programs (JSON)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree

from solverbench.gate.baseline import Baseline, Entry
from solverbench.gate.verdict import ALARMS, RTOL, VERDICTS, Finding

_HEADS = ("verdict", "problem", "solver", "NFE", "quantity", "before", "now", "change", "p")


def text(found: Sequence[Finding], entries: Sequence[Entry], *, form: str = "simple") -> str:
    """A table of what changed with a line on how it was decided; form is one of tabulate's."""
    from tabulate import tabulate

    rows = [(f.verdict, *f.key, f.quantity, f.before, f.now, f.change, f.p) for f in found]
    table = tabulate(rows, _HEADS, tablefmt=form, floatfmt=".6g", missingval="exact") + "\n\n" if rows else ""
    return table + summary(found, entries)


def summary(found: Sequence[Finding], entries: Sequence[Entry]) -> str:
    """In a sentence."""
    told = ", ".join(f"{sum(f.verdict == verdict for f in found)} {verdict}" for verdict in VERDICTS)
    sampled = sum(len(entry.sampled) for entry in entries)
    return (
        f"{told}, of {len(entries)} cells. Exact numbers are compared to {RTOL:g} "
        f"relative; {sampled} sampled ones by Student's t and Holm, with a chance of {ALARMS:g} for any false alarm."
    )


def as_json(found: Sequence[Finding], baseline: Baseline) -> dict[str, Any]:
    """For programs."""
    return {"made": baseline.made, "findings": [asdict(f) | {"change": f.change} for f in found]}


def junit(stopped: Sequence[Finding], entries: Sequence[Entry], seconds: float) -> str:
    """One test case per cell; it fails with all that the gate stops at in it."""
    worse: dict[tuple[str, str, int], list[Finding]] = {}
    for f in stopped:
        worse.setdefault(f.key, []).append(f)
    keys = dict.fromkeys([*(entry.key for entry in entries), *worse])
    counts = {"tests": str(len(keys)), "failures": str(len(worse)), "errors": "0", "time": f"{seconds:.3f}"}
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(root, "testsuite", {"name": "solverbench check", **counts})
    for problem, solver, budget in keys:
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"solverbench.{problem}", name=f"{solver} at {budget}"
        )
        if bad := worse.get((problem, solver, budget)):
            said = "; ".join(map(str, bad))
            ElementTree.SubElement(case, "failure", message=said).text = said
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"
