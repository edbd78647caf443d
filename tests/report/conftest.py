"""One run for the tests that only look at it."""

from __future__ import annotations

import pytest
from synthetic import write_run

from solverbench.report import load


@pytest.fixture(scope="session")
def big(tmp_path_factory):
    """37 solvers, 9 budgets, 2 problems; diverged, failed, skipped and identical cells; torn at the end."""
    folder = tmp_path_factory.mktemp("suite") / "big"
    return load(write_run(folder, torn=True, images=5))
