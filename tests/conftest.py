"""What every test shares: one thread, and random numbers that are the same in every run."""

from __future__ import annotations

import numpy as np
import pytest
import small
import torch
from hypothesis import settings

from solverbench import programs
from solverbench.methods import SOLVERS, user

torch.set_num_threads(1)  # a test must not depend on how many cores there are; benchmarks set their own
settings.register_profile("reproducible", deadline=None, derandomize=True)
settings.load_profile("reproducible")


@pytest.fixture
def rng():
    """A generator seeded alike for every test."""
    return np.random.default_rng(20240229)


@pytest.fixture(scope="session")
def extractor_file(tmp_path_factory):
    """The file of `small.extractor`."""
    return small.extractor().write(tmp_path_factory.mktemp("extractor"))[0]


@pytest.fixture(autouse=True)
def forgetful_registry():
    """Solvers, files, entry points and names of modules beside programs that a test adds are gone after it."""
    before, files, points, homes = set(SOLVERS), dict(user._LOADED), set(user._POINTS), dict(programs._HOMES)
    yield
    for name in set(SOLVERS) - before:
        SOLVERS.discard(name)
    user._LOADED.clear()
    user._LOADED.update(files)
    user._POINTS.clear()
    user._POINTS.update(points)
    programs._HOMES.clear()
    programs._HOMES.update(homes)
