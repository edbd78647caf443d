"""Samplers of any origin, and what the pytest plugin measures of them.

    "unipc-2[variant=bh1]"                     one of ours, by name with options; a `Solver`, or a registered function
    "mine.py", "mine.py:name"                  of a file, as `solverbench audit` reads it
    "diffusers:DEISMultistep(solver_order=2)"  of another library, by its name in an audit, or some of its options
    sample                                     a function of (denoise, x, sigmas, noise), with attributes for claims

All are run in canonical coordinates, where every Gaussian path is the same process (`solverbench.peers`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from solverbench.errors import UsageError, nearest
from solverbench.measures.law import Law
from solverbench.methods import Solver
from solverbench.methods.user import is_file
from solverbench.orders import Subject, subject
from solverbench.orders.impulse import black_box_law
from solverbench.orders.measure import flow_error
from solverbench.orders.problems import NONLINEAR
from solverbench.peers import LIBRARIES, Peer
from solverbench.peers.checks import as_subject, edm_grid

Sampler: TypeAlias = str | Solver | Callable[..., Any] | Subject


def find(sampler: Sampler, path: str = "edm") -> Subject:
    """The sampler as a subject; ours on that path. Raises UsageError for what is not one, or several."""
    from solverbench.api import find_solver
    from solverbench.peers.audit import find as library
    from solverbench.peers.file import is_sampler, of_function

    if isinstance(sampler, Subject):
        return sampler
    if is_sampler(sampler):
        return as_subject(of_function(sampler, ""))  # type: ignore[arg-type]
    if isinstance(sampler, str) and is_file(sampler):
        return _one(sampler, library(sampler).peers)
    if isinstance(sampler, str) and sampler.partition(":")[0] in LIBRARIES:
        name, _, wanted = sampler.partition(":")
        return _one(sampler, _called(wanted, library(name).peers))
    return subject(find_solver(sampler), path)


def law(sampler: Subject, steps: int) -> Law:
    """Its exact law on the Gaussian of CIFAR-10 after that many steps of EDM's grid, against the data.

    Raises UsageError for samplers that are not linear in their start and noise: they clip, or step by tolerance.
    """
    from solverbench.pretrained import tensors

    return black_box_law(sampler.run, np.asarray(tensors("cifar10-gaussian")["variance"], float), edm_grid(steps))


def error(sampler: Subject, steps: int) -> float:
    """Root mean square distance to the exact flow of three Gaussians on the line, on EDM's grid of so many steps.

    Of a sampler that draws noise, with its draws zero, to the limit of its process. Raises UsageError if it has none.
    """
    if sampler.eta is None:
        raise UsageError(f"{sampler.name} follows no process whose flow is known: judge it by its law")
    return float(np.sqrt(np.mean(flow_error(sampler, edm_grid(steps))[:, NONLINEAR] ** 2)))


def _called(wanted: str, peers: Sequence[Peer]) -> list[Peer]:
    """Those of that very name, or else those that have its base and all its options. Raises UsageError for none."""
    if exact := [peer for peer in peers if peer.name == wanted]:
        return exact
    base, options = _parts(wanted)
    if found := [peer for peer in peers if (own := _parts(peer.name))[0] == base and options <= own[1]]:
        return found
    raise UsageError(f"no sampler {wanted!r}{nearest(wanted, [peer.name for peer in peers])}")


def _parts(name: str) -> tuple[str, set[str]]:
    base, _, inside = name.partition("(")
    return base, set(re.split(r",\s*", inside.removesuffix(")"))) - {""}


def _one(asked: str, peers: Sequence[Peer]) -> Subject:
    """By its library's name and its own: a baseline may hold several that are called alike."""
    if len(peers) == 1:
        return replace(as_subject(peers[0]), name=f"{peers[0].library}:{peers[0].name}")
    raise UsageError(f"{asked} has several samplers, name one: {'; '.join(peer.name for peer in peers)}")
