"""Small fields in place of the shipped ones, so that a problem takes milliseconds."""

from __future__ import annotations

import numpy as np
import pytest

from solverbench.fields.gaussian import PrincipalGaussian
from solverbench.fields.mixture import Mixture
from solverbench.problems.base import ProblemSpec, build

D = 12


def small_gaussian(path="edm"):
    return PrincipalGaussian(np.zeros(D), np.linspace(0.01, 1, D), np.eye(D)[:, :5], path, picture_shape=(3, 2, 2))


def small_mixture(path="edm"):
    means = np.random.default_rng(5).normal(size=(2, 3, 2, 2)) / 2
    return Mixture([0.6, 0.4], means, variances=[0.05, 0.1], path=path)


@pytest.fixture
def problem(monkeypatch):
    """problem(kind, field=..., **spec): a prepared problem on a small field, or on the field given."""

    def make(kind, field=None, seed=0, **entries):
        entries = {"samples": 40, "paired": 8, "rtol": 1e-7, **entries}
        small = {"law": small_gaussian, "paired": small_mixture}[kind]
        monkeypatch.setattr("solverbench.fields.load", lambda name, path: field or small(path))
        made = build(ProblemSpec("small", "small", kind, **entries), seed)
        made.prepare()
        return made

    return make
