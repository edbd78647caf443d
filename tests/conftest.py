"""What every test shares: one thread, and random numbers that are the same in every run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)  # a test must not depend on how many cores there are; benchmarks set their own
settings.register_profile("reproducible", deadline=None, derandomize=True)
settings.load_profile("reproducible")


@pytest.fixture
def rng():
    """A generator seeded alike for every test."""
    return np.random.default_rng(20240229)
