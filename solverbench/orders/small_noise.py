"""Orders in small noise: an error of the form O(h^p + tau^r h^q), tau the strength of the process.

Solvers of high order with one draw a step keep strong order one, but what does so vanishes with the noise (Milstein &
Tretyakov 2004, chapter 3). On a Gaussian both terms are known apart and exactly: of the distance to the exact solution
one part is of the start and one of the noise, and of the variance the first is its error at tau = 0.
"""

from __future__ import annotations

import numpy as np

from solverbench.orders.grids import smooth
from solverbench.orders.laws import answers, mean_error, noise_error, variance_error
from solverbench.orders.problems import gaussian
from solverbench.orders.ruler import Slope, slope
from solverbench.orders.subjects import Array, Subject

SIZES = (24, 48, 96, 192)
"""Steps of a run."""
RATIOS = (4, 8, 16)
"""1/tau."""


def small_noise(subject: Subject) -> dict[str, Slope]:
    """p of the drift; q at every tau, and r at the smallest h, of the distance and of the variance.

    Nothing is found for a sampler whose strength cannot be set, or whose draws do not make up a path.
    """
    if subject.weakened is None:
        return {}
    still, *moving = (_errors(subject.weakened(tau)) for tau in (0.0, *(1 / k for k in RATIOS)))
    found = {"drift, h": slope(still["start"], SIZES)}
    parts = {"distance": [e["noise"] for e in moving], "variance": [e["variance"] - still["variance"] for e in moving]}
    for name, errors in parts.items():
        found |= {f"{name}, h at tau = 1/{k}": slope(e, SIZES) for k, e in zip(RATIOS, errors, strict=True)}
        found[f"{name}, tau"] = slope(np.array([e[-1] for e in errors]), RATIOS)
    return {name: s for name, s in found.items() if s.window or s.exact}


def _errors(subject: Subject) -> dict[str, Array]:
    """Each (sizes, directions): of the "variance", and of the distance the parts of the "start" and of the "noise"."""
    assert subject.draws is not None and subject.eta is not None  # noqa: PT018 - what can be weakened has both
    rows: dict[str, list[Array]] = {"start": [], "noise": [], "variance": []}
    for sigmas in map(smooth, SIZES):
        found = answers(subject, sigmas)
        rows["start"].append(mean_error(found, sigmas, subject.eta) * np.sqrt(gaussian.marginal(sigmas[0])))
        rows["noise"].append(noise_error(found, subject.draws(sigmas), sigmas, subject.eta))
        rows["variance"].append(variance_error(found, sigmas))
    return {name: np.array(errors) for name, errors in rows.items()}
