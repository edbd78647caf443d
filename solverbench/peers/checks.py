"""What is asked of every sampler, whoever wrote it: each check is one question and answers with findings.

None of them knows of a particular fault. A `fault` counts against the sampler; a note is worth knowing.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from solverbench.errors import UsageError, in_words
from solverbench.measures import gaussians
from solverbench.orders import Slope, Subject, measure, measure_noise
from solverbench.orders.grids import smooth
from solverbench.orders.impulse import black_box_law, departure
from solverbench.orders.problems import GAUSSIAN, VARIANCE, Directions, gaussian, mixed
from solverbench.orders.ruler import apart
from solverbench.orders.subjects import Array, Draw, Watched
from solverbench.peers.base import Owned, Peer

SIGMAS = (14.0, 8.0, 5.5, 2.9, 1.6, 0.9, 0.41, 0.2, 0.07)
"""Uneven on purpose: on even steps many a wrong ratio is right."""
ROUNDING = 1e-10
"""Relative differences up to this are rounding in float64."""
SINGLE = 1e-4
"""And up to this, of float32."""
BUDGETS = (10, 50)
EDM = (80.0, 0.002)
"""Noise levels between which laws are judged."""


@dataclass(frozen=True)
class Finding:
    """One thing seen."""

    check: str
    text: str
    fault: bool = True


@dataclass
class Record:
    """What was measured of one sampler."""

    library: str
    sampler: str
    claimed: float | None
    verdict: str = ""
    order: str = ""
    """Of a whole run, with its 95 % interval, on the grid and problem where it is least."""
    aided: str = ""
    """With a history as good as exact, where a run falls short of the claim."""
    local: str = ""
    """Of one step with an exact history, one more than the order of such a method."""
    slopes: dict[str, str] = field(default_factory=dict)
    practical: float | None = None
    w2: dict[str, float] = field(default_factory=dict)
    """Evaluations -> exact W2 to the marginal at the last noise level, on CIFAR-10's spectrum, from the exact start."""
    evaluations: float | None = None
    """Per step, counted."""
    setting: str = ""
    findings: list[Finding] = field(default_factory=list)

    @property
    def faults(self) -> list[Finding]:
        """The findings that count."""
        return [f for f in self.findings if f.fault]

    def json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def draws(rows: int, columns: int, seed: int = 1) -> Draw:
    """Normal numbers of the k-th draw: the rows of fewer are the first of more."""
    return lambda k: np.stack([np.random.default_rng((seed, k, i)).normal(size=columns) for i in range(rows)])


def edm_grid(steps: int) -> tuple[float, ...]:
    """Even in sigma^(1/7) from 80 to 0.002."""
    return smooth(steps, ends=EDM)


def start(rows: int, sigma: float = SIGMAS[0]) -> Array:
    """States (rows, columns of the mixed problem) at a noise level."""
    return sigma * draws(rows, GAUSSIAN_COLUMNS, seed=7)(0)


GAUSSIAN_COLUMNS = GAUSSIAN.start + len(VARIANCE)
"""Of the mixed problem: the mixture's start points and the Gaussian directions."""


def spent(peer: Peer, steps: int) -> float:
    """Evaluations per sample in a run of that many steps."""
    watched, x = Watched(mixed), start(3)
    peer.run(watched, x, edm_grid(steps), draws(*x.shape))
    return sum(rows for _, rows, _ in watched.calls) / len(x)


def examine(peer: Peer) -> Record:
    """All checks of one sampler; a check that raises is a finding."""
    record = Record(peer.library, peer.name, peer.order, setting=peer.setting)
    with np.errstate(all="ignore"):
        for check in (_order, _strong, _law, _evaluations, _precision, _repeats, _rows, _ends):
            try:
                record.findings += check(peer, record)
            except Exception as error:
                record.findings.append(Finding("runs", in_words(error)))
            if record.verdict == "failed":
                break
    record.findings = list(dict.fromkeys(record.findings))
    return record


def _order(peer: Peer, record: Record) -> Iterator[Finding]:
    """Does it converge, at the order claimed, to the process it follows, and its law to the exact one?"""
    report = measure(as_subject(peer))
    slopes = {**report.slopes, **{f"law: {k}": v for k, v in report.weak.items()}}
    record.slopes = {name: str(s) for name, s in slopes.items()}
    record.practical = report.practical if math.isfinite(report.practical) else None
    record.verdict = report.verdict
    record.local = str(report.local) if report.local else ""
    if report.slopes:
        record.order = str(report.attained)
        record.aided = str(report.aided) if report.aided.window else ""
    elif report.weak:
        record.order = f"law {report.weak['variance']}"
    if report.verdict == "failed":
        yield Finding("runs", report.error)
        yield from _ends(peer, record)
        return
    judged = {name: s for name, s in slopes.items() if not name.startswith("graded")}
    for part in ("law: ", ""):
        still = {n: s for n, s in judged.items() if n.startswith("law: ") == bool(part) and s.window}
        still = {n: s for n, s in still.items() if not s.reaches(0.5)}
        if still:
            name, s = max(still.items(), key=lambda item: _error(item[1]))
            seen = f"error {_error(s):.2g} at {max(s.window or (0,))} steps, order {s}"
            yield Finding("consistency", f"does not converge ({name}): {seen}")
    if any(s.remark == "not finite" for s in judged.values()):
        yield Finding("finite", "infinite or not a number where orders are measured")
    if record.verdict.startswith("below"):
        cause = record.verdict.partition(": ")[2]
        one = f", {record.local} in one step with an exact history" if record.local else ""
        yield Finding("order", f"{record.order}{one}; claims {peer.order:g}: {cause}")


def _error(s: Slope) -> float:
    assert s.window is not None
    return float(s.constant / s.window[1] ** s.order)


def as_subject(peer: Peer) -> Subject:
    """What the ruler measures; the evaluations of a step are counted where none are promised."""
    evaluations = peer.evaluations or max(1, round(spent(peer, 8) - spent(peer, 7)))
    return Subject(
        peer.name,
        peer.run,
        peer.order,
        peer.stochastic,
        peer.eta,
        evaluations,
        corrects=peer.corrects,
        draws=peer.draws,
        strong=peer.strong,
    )


def _strong(peer: Peer, record: Record) -> Iterator[Finding]:
    """On one Brownian path, is its strong order that claimed?"""
    if peer.strong is None:
        return
    report = measure_noise(as_subject(peer), "strong")
    record.slopes |= {f"strong: {of}": str(slope) for of, slope in report.slopes.items()}
    if report.verdict != "as claimed":
        seen = ", ".join(f"{slope} ({of})" for of, slope in report.slopes.items())
        yield Finding("strong order", f"{seen or report.error}; claims {peer.strong:g}: {report.verdict}")


def _law(peer: Peer, record: Record) -> Iterator[Finding]:
    """How far is its output law from the exact one, on a Gaussian with the covariance of CIFAR-10?"""
    variance = _spectrum()
    each = spent(peer, 8) - spent(peer, 7)
    record.evaluations = each
    if each <= 0:
        yield Finding("law", "does not take given noise levels: no exact law", fault=False)
        return
    for budget in BUDGETS:
        steps = int((budget - spent(peer, 8) + 8 * each) / each)
        if steps < 1:
            continue
        sigmas = edm_grid(steps)
        try:
            law = black_box_law(peer.run, variance, sigmas, rtol=SINGLE)
        except UsageError as refusal:
            yield Finding("linearity", str(refusal), fault=False)
            return
        end = gaussians.w2(law.mean, law.variance, law.mean * 0, variance + sigmas[-1] ** 2)
        record.w2[str(law.nfe)] = end
        if not math.isfinite(end):
            yield Finding("finite", f"infinite or not a number at {budget} evaluations on the EDM grid")


def _spectrum() -> Array:
    from solverbench.pretrained import tensors

    return np.asarray(tensors("cifar10-gaussian")["variance"], float)


def _evaluations(peer: Peer, record: Record) -> Iterator[Finding]:
    """Does it spend what the number of steps promises?"""
    if peer.evaluations and (found := spent(peer, 10)) != 10 * peer.evaluations:
        text = f"{found:g} evaluations in 10 steps, {10 * peer.evaluations} promised"
        yield Finding("evaluations", text, fault=False)


def _precision(peer: Peer, record: Record) -> Iterator[Finding]:
    """Does float64 stay float64: what the model is given, what comes out, what the arithmetic in between loses?"""
    run = peer.native or peer.run
    watched, x = Watched(mixed), start(3)
    z = draws(*x.shape)
    end = run(watched, x, SIGMAS, z)
    if types := sorted({t for *_, t in watched.calls if t != "float64"}):
        yield Finding("float64", f"the model is given {', '.join(types)}")
    if end.dtype != np.float64:
        yield Finding("float64", f"the result is {end.dtype}")
    lost = departure(run, gaussian, SIGMAS, x[:, GAUSSIAN], draws(3, len(VARIANCE)))
    if peer.native is not None:
        lost = max(lost, apart(peer.run(mixed, x, SIGMAS, z), end))
    if ROUNDING < lost < SINGLE:
        yield Finding("float64", f"loses digits, {lost:.1g} in {len(SIGMAS) - 1} steps: float32 inside")


def _repeats(peer: Peer, record: Record) -> Iterator[Finding]:
    """Does a second run give the same, with a new object and with one that ran before and was cut short?"""
    x = start(3)
    z = draws(*x.shape)
    first = peer.run(mixed, x, SIGMAS, z)
    other = apart(first, peer.run(mixed, x, SIGMAS, z))
    if other > ROUNDING and np.isfinite(first).all():
        yield Finding("repeats", f"a second run differs by {other:.2g}")
    if peer.again is not None and (other := apart(first, peer.again(mixed, x, SIGMAS, z))) > ROUNDING:
        yield Finding("repeats", f"the same object, after a run that was cut short, differs by {other:.2g}")


def _rows(peer: Peer, record: Record) -> Iterator[Finding]:
    """Does a sample depend on what else is in the batch?"""
    x = start(5)
    many, few = (peer.run(mixed, x[:n], SIGMAS, draws(n, x.shape[1])) for n in (5, 2))
    if (off := apart(few, many[:2])) > ROUNDING:
        yield Finding("batch", f"samples change by {off:.2g} with the size of the batch, the noise being the same")
    if peer.own_noise:
        import torch

        ends = []
        for n in (5, 2):
            torch.manual_seed(0)
            ends.append(peer.run(mixed, x[:n], SIGMAS, None))
        if apart(ends[1], ends[0][:2]) > ROUNDING:
            yield Finding("batch", "its own noise of a sample depends on the size of the batch", fault=False)


def _ends(peer: Peer, record: Record) -> Iterator[Finding]:
    """Is the result finite with few steps, and where the last noise level is zero?"""
    grids: dict[str, tuple[float, ...]] = {f"{n} steps" if n > 1 else "1 step": edm_grid(n) for n in (1, 2, 3, 5)}
    if peer.zero:
        grids |= {"a last noise level of zero": (*SIGMAS, 0.0), "one step to zero": (SIGMAS[0], 0.0)}
    for name, sigmas in grids.items():
        x = start(2, sigmas[0])
        try:
            end = peer.run(mixed, x, sigmas, draws(*x.shape))
        except Exception as error:
            yield Finding("runs", f"{name}: {in_words(error)}")
            continue
        if not np.isfinite(end).all():
            yield Finding("finite", f"{name}: infinite or not a number")


STEPS = (1, 3, 10, 25)
"""Numbers of steps asked of a library's own choices."""


def own_findings(configuration: str, own: Callable[..., Owned], root: str) -> Iterator[tuple[Finding, str]]:
    """(finding, where) of a library's own choice of noise levels: decreasing, finite, as many evaluations as steps."""
    V = (0.003, 0.3, 2.0)
    for steps in STEPS:
        where = f"{configuration}, {steps} steps"
        try:
            with np.errstate(all="ignore"):
                found = own(Directions(V), steps)
        except Exception as error:
            yield Finding("runs", in_words(error), fault=not _refused(error, root)), where
            continue
        gaps = np.diff(found.grid)
        if not np.isfinite(found.x).all():
            yield Finding("finite", "its own noise levels lead to infinite or not a number"), where
        gaps[np.abs(gaps) < 1e-6 * found.grid[:-1]] = 0  # the same level after float32
        if np.isnan(found.grid).any() or (gaps > 0).any():
            yield Finding("grid", "its own noise levels do not decrease"), where
        elif (gaps == 0).any():
            yield Finding("grid", "its own noise levels repeat: a step that does nothing"), where
        if found.promised is not None and len(found.sigmas) > found.promised:
            yield Finding("evaluations", "spends more evaluations than steps were asked for", fault=False), where


def _refused(error: Exception, root: str) -> bool:
    """Whether the library itself said no, in words: a statement `raise` in its own code."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and (frames[-1].line or "").startswith("raise") and root in Path(frames[-1].filename).parts


def gathered(found: Iterable[tuple[Finding, str]]) -> list[tuple[Finding, list[str]]]:
    """Equal findings once, with all the places."""
    places: dict[Finding, list[str]] = {}
    for finding, where in found:
        places.setdefault(finding, []).append(where)
    return list(places.items())
