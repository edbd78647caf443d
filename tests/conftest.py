"""What every test shares: one thread, and random numbers that are the same in every run."""

from __future__ import annotations

import signal
import sys

import numpy as np
import pytest
import small
import torch
from hypothesis import settings

from solverbench import programs
from solverbench.methods import SOLVERS, user

torch.set_num_threads(1)  # a test must not depend on how many cores there are; benchmarks set their own
signal.signal(signal.SIGINT, signal.default_int_handler)  # else what a shell starts in the background is deaf to Ctrl-C
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
    """Solvers, files, entry points and modules beside programs that a test adds are gone after it."""
    before, files, points, homes = set(SOLVERS), dict(user._LOADED), set(user._POINTS), dict(programs._HOMES)
    yield
    for name in set(SOLVERS) - before:
        SOLVERS.discard(name)
    user._LOADED.clear()
    user._LOADED.update(files)
    user._POINTS.clear()
    user._POINTS.update(points)
    for name in [name for name in sys.modules if name.partition(".")[0] in programs._HOMES.keys() - homes]:
        del sys.modules[name]
    programs._HOMES.clear()
    programs._HOMES.update(homes)
