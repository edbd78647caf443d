"""The audit: every sampler of a library examined, and the library's own noise levels run through, as one report."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from solverbench import peers
from solverbench.errors import UsageError, nearest
from solverbench.methods.user import is_file
from solverbench.peers.base import Library
from solverbench.peers.checks import Finding, Record, examine, gathered, own_findings


@dataclass
class Own:
    """A finding about a library's own choices, with where it was seen."""

    sampler: str
    finding: Finding
    where: list[str]


@dataclass
class Audit:
    """All that was found in one library."""

    library: str
    versions: dict[str, str]
    records: list[Record]
    own: list[Own] = field(default_factory=list)

    def worse(self, allowed: Sequence[str] = ()) -> list[str]:
        """Samplers with faults, those allowed left out. Raises UsageError for names that are not samplers."""
        known = {name for r in self.records for name in (r.sampler, base(r.sampler))} | {o.sampler for o in self.own}
        for name in allowed:
            if name not in known:
                raise UsageError(f"--allow {name!r}: {self.library} has no sampler of that name{nearest(name, known)}")
        faulty = [r.sampler for r in self.records if r.faults and not {r.sampler, base(r.sampler)} & set(allowed)]
        grids = [o.sampler for o in self.own if o.finding.fault and o.sampler not in allowed]
        return list(dict.fromkeys(faulty + grids))

    def json(self) -> dict[str, Any]:
        """As plain data, with the day of asking."""
        own = [{"sampler": o.sampler, **asdict(o.finding), "where": o.where} for o in self.own]
        records = [r.json() for r in self.records]
        return {
            "library": self.library,
            "versions": self.versions,
            "date": datetime.now(UTC).date().isoformat(),
            "samplers": records,
            "own": own,
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """The table: one row a sampler."""
        for r in self.records:
            w2 = list(r.w2.items())
            yield {
                "sampler": r.sampler,
                "claims": r.claimed,
                "order": r.order,
                "verdict": r.verdict,
                **{f"W2 at {b}": w2[i][1] if i < len(w2) else None for i, b in enumerate((10, 50))},
                "findings": "; ".join(f"{f.check}: {f.text}" for f in r.faults) or "ok",
            }

    def own_rows(self) -> Iterator[dict[str, Any]]:
        """The second table: what its own noise levels and options led to."""
        for o in self.own:
            more = f" and {len(o.where) - 1} more" if len(o.where) > 1 else ""
            yield {
                "sampler": o.sampler,
                "fault": "yes" if o.finding.fault else "note",
                "finding": f"{o.finding.check}: {o.finding.text}",
                "seen": o.where[0] + more,
            }


def base(name: str) -> str:
    """A sampler's name without its options."""
    return name.partition("(")[0].partition(",")[0]


@cache
def find(spec: str) -> Library:
    """A library by name, or a file. Raises UsageError for what is neither."""
    if is_file(spec):
        from solverbench.peers.file import library

        return library(spec)
    return peers.library(spec)


def audit(spec: str, jobs: int = 1) -> Audit:
    """Examine a library, or a user's file, in that many processes. Raises UsageError if it cannot be found."""
    library = find(spec)
    names = list(library.own)
    if jobs > 1 and len(library.peers) > 8:
        # spawned, since a forked process cannot use torch's autograd, as Milstein's method does, if its parent has
        with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
            records = list(pool.map(_record, [spec] * len(library.peers), range(len(library.peers)), chunksize=4))
            own = [o for found in pool.map(_own, [spec] * len(names), names, chunksize=16) for o in found]
    else:
        records = [examine(peer) for peer in library.peers]
        own = [o for name in names for o in _own(spec, name)]
    grouped = [
        Own(sampler, finding, where)
        for sampler in dict.fromkeys(s for s, *_ in own)
        for finding, where in gathered((f, w) for s, f, w in own if s == sampler)
    ]
    return Audit(library.name, dict(library.versions), records, grouped)


def _record(spec: str, index: int) -> Record:
    return examine(find(spec).peers[index])


def _own(spec: str, name: str) -> list[tuple[str, Finding, str]]:
    library = find(spec)
    root = library.name.replace("-", "_")
    return [(base(name), finding, where) for finding, where in own_findings(name, library.own[name], root)]
