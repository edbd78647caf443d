"""These tests need a GPU, cupy and a CUDA build of torch; elsewhere each is skipped, with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from solverbench.engines.cupy.device import device, why_not

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    reason = why_not()
    if reason:
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def gpu():
    """The first GPU."""
    return device(0)
