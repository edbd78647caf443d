"""Small fields in place of the shipped ones, so that a problem takes milliseconds."""

from __future__ import annotations

import pytest
import small

from solverbench.problems.base import ProblemSpec, build


@pytest.fixture
def problem(monkeypatch):
    """problem(kind, field=..., **spec): a prepared problem on a small field, or on the field given."""

    def make(kind, field=None, seed=0, **entries):
        entries = {"samples": 40, "paired": 8, "rtol": 1e-7, **entries}
        instead = {"law": small.gaussian, "paired": small.mixture, "trajectory": small.mixture}[kind]
        monkeypatch.setattr("solverbench.fields.load", lambda name, path: field or instead(path or "edm"))
        made = build(ProblemSpec("small", "small", kind, **entries), seed)
        made.prepare()
        return made

    return make
