"""Choosing where to run: what is said, and the same numbers wherever that is."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import small
import torch

import solverbench as sb
from solverbench.cli import main
from solverbench.engines import devices
from solverbench.engines.cupy import device
from solverbench.engines.cupy.sources import law
from solverbench.problems import base
from solverbench.problems.base import ProblemSpec, build
from solverbench.run import identity, suite
from solverbench.sampling import _Cupy

pytestmark = pytest.mark.skipif(bool(os.environ.get("SANITIZED")), reason="needs kernels that build leaves out")


@pytest.fixture
def gpu(host, monkeypatch):
    """A machine with a GPU, which is the host."""
    monkeypatch.setattr(device, "why_not", lambda: None)
    monkeypatch.setattr(device, "device", lambda index: host)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(_Cupy, "home", "cpu")
    kernels = devices.runner("cuda")
    runners = {"cuda": lambda *args: kernels(*args[:-1], "cpu"), "cpu": devices.runner("cpu")}
    monkeypatch.setattr(base, "runner", runners.get)
    return host


@pytest.fixture
def no_gpu(monkeypatch):
    """A machine without one."""
    monkeypatch.setattr(device, "why_not", lambda: "torch sees no GPU: install a driver")


def test_launches_go_to_torch_s_stream_with_an_argument_that_is_one_opaque_value(monkeypatch):
    """Through a cupy that only writes down what it is asked."""
    said = []

    class Stream:
        def from_external(self):
            said.append(("adopted", self.cuda_stream))
            return self

    class Device:
        def __init__(self, index):
            self.index, self.attributes = index, {"MultiProcessorCount": 3}

        def __enter__(self):
            said.append(("on", self.index))
            return self

        def __exit__(self, *_):
            said.append("back")

    class Module:
        def __init__(self, **_):
            pass

        def get_function(self, name):
            return lambda grid, block, args, stream: said.append((name, grid, block, *args, stream.cuda_stream))

    cuda = SimpleNamespace(Device=Device, Stream=Stream)
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=cuda, RawModule=Module))
    handle = 5
    external = SimpleNamespace(cuda_stream=handle, __cuda_stream__=lambda: (0, handle))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda index: external)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    argument = np.ones((), [("a", "u8"), ("b", "f8")])
    for index in (0, 1):
        made = device.Cuda(index)
        said.clear()
        for _ in range(2):
            made.launch(law(), 7, 256, argument)
        launches = [s for s in said if s[0] == "law"]
        assert [s for s in said if s[0] == "adopted"] == [("adopted", handle)]
        assert said.count(("on", 1)) == said.count("back") == 2 * index
        assert [(*s[:3], s[-1]) for s in launches] == [("law", (7,), (256,), handle)] * 2
        assert all(s[3].tobytes() == argument.tobytes() and s[3].dtype.fields is None for s in launches)


def test_choice_with_a_gpu(gpu):
    assert devices.choose("auto") == devices.choose("cuda")
    assert devices.choose("auto").name == "cuda"
    assert "a GPU" in devices.choose("auto").why
    assert devices.choose("cpu").name == "cpu"


def test_choice_without_one(no_gpu):
    assert devices.choose("auto") == devices.Choice(
        "cpu", "the GPU cannot be used: torch sees no GPU: install a driver"
    )
    with pytest.raises(
        sb.UsageError, match=r"'cuda' cannot be used here: torch sees no GPU: install.*or take device 'cpu'"
    ):
        devices.choose("cuda")
    with pytest.raises(sb.UsageError, match=r"unknown device 'gpu'.*known: auto, cuda, cpu"):
        devices.choose("gpu")


def test_sample(gpu):
    grid, field = sb.grid("edm", "edm", 4), small.mixture()
    a, b = (sb.sample(field, "ddpm", grid, n=3, seed=1, device=d, dtype="float64").x for d in ("auto", "cpu"))
    assert gpu.launches
    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10, atol=1e-10)
    with pytest.raises(sb.UsageError, match="give engine or device, not both"):
        sb.sample(field, "ddpm", grid, n=3, engine="torch", device="cpu")


@pytest.mark.parametrize("kind", ["paired", "trajectory"])
def test_problems(gpu, monkeypatch, kind):
    asked = []
    monkeypatch.setattr(
        "solverbench.fields.load", lambda name, path, **options: asked.append(options) or small.mixture()
    )
    spec = ProblemSpec("small", "small", kind, samples=12, paired=4, rtol=1e-6, steps=16)
    measures = {}
    for where in ("cpu", "cuda"):
        problem = build(replace(spec, device=where), 0)
        problem.prepare()
        gpu.launches.clear()
        measures[where] = problem.judge(sb.solvers()["heun"], problem.plan(sb.solvers()["heun"], 9)).measures
        assert bool(gpu.launches) == (where == "cuda")
    assert measures["cuda"]["rmse"] == pytest.approx(measures["cpu"]["rmse"], rel=1e-4)
    assert measures["cuda"]["field_seconds"] is None
    assert measures["cpu"]["field_seconds"] > 0
    assert asked == [{}, {"device": "cuda"} if kind == "trajectory" else {}]


def test_suites_and_identities(gpu, tmp_path):
    loaded = suite.load("cifar10").by("cuda")
    assert {p.kind: p.device for p in loaded.problems} == {"law": "cpu", "paired": "cuda", "trajectory": "cuda"}
    spec = next(p for p in loaded.problems if p.kind == "paired")
    plan = sb.plan("ddim", "edm", sb.grid("edm", "edm", 3), prediction="x0")
    identity._device.cache_clear()
    there, here = (identity.identity(s, plan, 0) for s in (spec, replace(spec, device="cpu")))
    assert there
    assert there != here
    identity._device.cache_clear()
    file = tmp_path / "own.toml"
    file.write_text(f'schema = 1\nname = "own"\nnfe = [4]\nsolvers = ["ddim"]\n{small.PROBLEMS}device = "cuda"\n')
    with pytest.raises(sb.UsageError, match="unknown key 'device'"):
        suite.load(str(file))


def test_the_verb(no_gpu, capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["run", "--dry-run", "--device", *arguments])
        return ended.value.code, capsys.readouterr().err

    code, said = run("cuda")
    assert code == 2
    assert "device 'cuda' cannot be used here: torch sees no GPU" in said
    code, said = run("auto", "--problem", "cifar10-mixture", "--solver", "ddim", "--nfe", "4")
    assert code == 0
    assert "device cpu: the GPU cannot be used: torch sees no GPU" in said


def test_memory_is_not_limited_by_addresses_on_a_gpu(gpu, capsys):
    with pytest.raises(SystemExit):
        main(["run", "--dry-run", "--device", "cuda", "--memory", "4"])
    assert "--memory limits addresses, of which CUDA reserves" in capsys.readouterr().err
