"""Then and now: which numbers are worse, by a rule whose false alarms are known.

Exact numbers agree to `RTOL` or have changed. Sampled numbers are compared by Student's t with both standard errors,
one side for worse and one for better; the tests of a whole table are taken together by Holm (1979), so that with an
unchanged solver and other seeds the chance that anything at all is called worse is at most `ALARMS`, and as much for
better. With the same seed, as by default, the two samples share their starts and chance does less than that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

from solverbench.gate.baseline import Baseline, Entry

RTOL = 1e-9
ATOL = 1e-11
"""Below it a distance is rounding."""
ALARMS = 0.01

Verdict: TypeAlias = Literal["worse", "better", "new"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""In the order in which they are told."""


@dataclass(frozen=True)
class Finding:
    """A number that is not what it was, or a cell that is not."""

    problem: str
    solver: str
    budget: int
    quantity: str
    before: float | str
    now: float | str
    verdict: Verdict
    p: float | None = None
    """Of sampled numbers: how likely such a difference is by chance, alone."""

    @property
    def key(self) -> tuple[str, str, int]:
        """Of which cell it is."""
        return self.problem, self.solver, self.budget

    @property
    def change(self) -> str:
        """In words: by how much."""
        if isinstance(self.before, str) or isinstance(self.now, str) or not self.before:
            return "-"
        return f"{100 * (self.now / self.before - 1):+.3g} %"

    def __str__(self) -> str:
        return f"{self.quantity}: {self.before} before, {self.now} now ({self.change})"


def findings(before: Iterable[Entry], now: Iterable[Entry], *, rtol: float = RTOL) -> list[Finding]:
    """All that changed, worse first. A cell that is no more is worse; one that was not there is new, and neither.

    rtol: relative tolerance of exact numbers.
    """
    old, new = ({entry.key: entry for entry in entries} for entries in (before, now))
    found: list[Finding] = []
    tests: list[Finding] = []
    for key in dict.fromkeys((*old, *new)):
        a, b = old.get(key), new.get(key)
        was, is_ = (entry.status if entry else "missing" for entry in (a, b))
        if was != is_:
            verdict: Verdict = "new" if a is None else "better" if is_ == "ok" else "worse"
            found.append(Finding(*key, "status", was, is_, verdict))
        elif a and b:
            found += _exact(a, b, rtol)
            tests += _sampled(a, b)
    for side in ("worse", "better"):
        found += _holm([test for test in tests if test.verdict == side], len(tests))
    return sorted(found, key=lambda f: VERDICTS.index(f.verdict))


def regressions(found: Iterable[Finding], *, strict: bool = False) -> list[Finding]:
    """What a gate stops at: all that is worse, never what is new. strict: and all that is exact and better.

    An exact number that changes says that a program has changed, and a mistake may be for the better at every budget
    that is looked at: DDPM with a tenth less noise than it should have is nearer to the data at all of them.
    """
    return [f for f in found if f.verdict == "worse" or (strict and f.verdict == "better" and f.p is None)]


def renewed(before: Baseline, now: Baseline) -> Baseline:
    """`now`, but cells in which nothing changed as they stood before: the file's diff is what did, not rounding.

    Of another suite than before, all is new.
    """
    if before.suite_hash != now.suite_hash:
        return now
    changed = {f.key for f in findings(before.entries, now.entries)}
    old = {entry.key: entry for entry in before.entries if entry.key not in changed}
    return replace(now, entries=tuple(old.get(entry.key, entry) for entry in now.entries))


def _exact(a: Entry, b: Entry, rtol: float) -> list[Finding]:
    changed = []
    for name in dict.fromkeys((*a.exact, *b.exact)):
        x, y = a.exact.get(name, math.nan), b.exact.get(name, math.nan)
        if not math.isclose(x, y, rel_tol=rtol, abs_tol=ATOL):
            # a number that is no more, or is new, is no improvement
            changed.append(Finding(*a.key, name, x, y, "better" if y < x else "worse"))
    return changed


def _sampled(a: Entry, b: Entry) -> list[Finding]:
    """One finding per number that both have, with its p-value on the side it lies on."""
    from scipy.stats import t

    tests = []
    for name in a.sampled.keys() & b.sampled.keys():
        (x, s, n), (y, r, m) = a.sampled[name], b.sampled[name]
        variance = s * s + r * r
        if variance > 0:
            # Welch's degrees of freedom
            degrees = variance**2 / (s**4 / max(n - 1, 1) + r**4 / max(m - 1, 1))
            p = float(t.sf(abs(y - x) / math.sqrt(variance), degrees))
        else:
            p = 0.0 if x != y else 1.0
        tests.append(Finding(*a.key, name, x, y, "worse" if y > x else "better", p))
    return tests


def _holm(tests: Sequence[Finding], count: int) -> list[Finding]:
    """Those that are significant together, of `count` tests in all; the k-th smallest p against ALARMS/(count - k)."""
    kept: list[Finding] = []
    for k, test in enumerate(sorted(tests, key=lambda test: test.p or 0.0)):
        if (test.p or 0.0) > ALARMS / (count - k):
            break
        kept.append(test)
    return kept
