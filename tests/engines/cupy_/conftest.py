"""One build of the kernels for the host, shared by all tests."""

from __future__ import annotations

import os

import host_kernels
import pytest

from solverbench.engines.cupy import sources


@pytest.fixture(scope="session")
def host_build(tmp_path_factory):
    """The libraries and what they hold; with sanitizers and fewer kernels where a test asks for that by environment."""
    if host_kernels.COMPILER is None:
        pytest.skip("needs a C++ compiler")
    kernels = list(sources.every())
    if os.environ.get("SANITIZED"):
        kernels = [k for k in kernels if "combine" not in k.file or k.expression.endswith((" 0>", " 2>"))]
    flags = host_kernels.SANITIZERS if os.environ.get("SANITIZED") else []
    return host_kernels.build(tmp_path_factory.mktemp("kernels"), kernels, flags), kernels


@pytest.fixture
def host(host_build):
    """A device that runs launches here."""
    return host_kernels.Host(*host_build)
