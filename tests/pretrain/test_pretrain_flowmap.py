"""Distilling a flow map: its pairs are points of true trajectories, and the command makes a field that jumps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import small
import torch
from click.testing import CliRunner

import solverbench as sb
from solverbench import fields
from solverbench.errors import ArtifactError, SolverbenchError, UsageError
from solverbench.networks.denoiser import Denoiser, Spectrum
from solverbench.networks.flow_map import FlowMap
from solverbench.pretrain import flowmap
from solverbench.pretrain.__main__ import main
from solverbench.pretrain.artifact import Artifact
from solverbench.pretrain.training import half


@pytest.fixture
def gaussian():
    return small.gaussian("edm")


def test_trajectories_are_the_fields_own(gaussian):
    times, states = flowmap.follow(gaussian, 3, seed=1)
    first = states[0].double()
    assert (float(times[0]), float(times[-1])) == (80.0, 0.0)
    for t, x in zip(times[1:-1].tolist(), states[1:-1].double(), strict=True):
        # the error of dpmpp-3m with 19 steps; neighbouring times differ by far more
        torch.testing.assert_close(x, gaussian.jump(first, 80.0, t), atol=0.1, rtol=0)
    end = sb.sample(gaussian, "dpmpp-3m", sb.grid("edm", "edm", 19), states[0]).x
    assert torch.equal(states[-1], end)


def test_chunks_are_different_starts(gaussian):
    (_, a), (_, b) = (flowmap.follow(gaussian, chunk, seed=1) for chunk in (0, 1))
    z = sb.sampling.start(gaussian, sb.grid("edm", "edm", 2), 128, 1, dtype=np.float32)
    np.testing.assert_array_equal(np.concatenate([a[0], b[0]]), z)


def test_pairs_are_two_points_of_one_trajectory_the_noisier_first():
    # the state at time t of trajectory k is t + k everywhere
    times = torch.tensor([80.0, 5.0, 1.0, 0.0])
    k = torch.arange(128.0)
    states = (times[:, None] + k)[:, :, None, None, None].expand(4, 128, 3, 4, 4)
    data = [(times, states[:, :64]), (times, states[:, 64:])]
    settings = flowmap.Settings(from_noise=0.3, to_data=0.4)
    task = flowmap.Jumping(None, data, settings, 64, seed=0)
    s, t = [], []
    for step in range(60):
        x_s, a, x_t, b = task.pairs(step)
        torch.testing.assert_close(x_s[:, 0, 0, 0] - a, x_t[:, 0, 0, 0] - b)
        s.append(a), t.append(b)
    s, t = torch.cat(s), torch.cat(t)
    assert (s > t).all()
    # a third of the other s are the largest too; half of the t below s = 5 chosen otherwise, and all below 1, are 0
    assert float((s == 80).double().mean()) == pytest.approx(0.3 + 0.7 / 3, abs=0.04)
    among = (0.3 + 0.7 / 3) / 3 + 0.7 / 3 / 2 + 0.7 / 3
    assert float((t == 0).double().mean()) == pytest.approx(0.4 + 0.6 * among, abs=0.04)


def test_the_loss_of_a_maps_own_jumps_is_nothing_and_that_of_others_is_in_units_of_its_coefficient(monkeypatch):
    torch.manual_seed(0)
    module = FlowMap(Spectrum.empty(8), widths=(8, 16), blocks=1, embedding=16).requires_grad_(False)
    for p in module.parameters():
        torch.nn.init.normal_(p, std=0.2)
    x, s, t = torch.randn(4, 3, 8, 8), torch.tensor([80.0, 3.0, 1.0, 0.3]), torch.tensor([0.0, 1.0, 0.0, 0.1])
    nothing = [(s, x[:, None])]
    task = flowmap.Jumping(module, nothing, flowmap.SMOKE, 4, seed=0)
    _, scale, _ = module.linear_flow(x, s, t)
    for off in (0.0, 0.5):
        pairs = x, s, module(x, s, t) + off * scale, t
        monkeypatch.setattr(task, "pairs", lambda step, pairs=pairs: pairs)
        assert float(task.loss(0)) == pytest.approx(off**2, abs=1e-6)


@pytest.fixture
def teacher(tmp_path):
    torch.manual_seed(0)
    module = Denoiser(Spectrum.empty(32), widths=(8, 16), blocks=1, embedding=16)
    for p in module.parameters():
        torch.nn.init.normal_(p, std=0.05)
    card = {"field": "unet", "network": module.options}
    return Artifact("teacher", half(module), card).write(tmp_path / "out")[0]


@pytest.fixture
def run(monkeypatch, tmp_path, teacher):
    monkeypatch.setattr("solverbench.pretrain.__main__.CACHE", tmp_path / "cache")

    def run():
        words = ["flowmap", "--smoke", "--teacher", str(teacher), "--out", str(teacher.parent), "--images", "64"]
        return CliRunner().invoke(main, words)

    return run


def test_the_command_makes_a_field_that_jumps(run, teacher):
    result = run()
    assert result.exit_code == 0, result.stderr
    weights, card = map(Path, result.stdout.splitlines())
    told = json.loads(card.read_text())
    assert told["command"] == "python -m solverbench.pretrain flowmap --seed 0 --smoke --images 64"
    one = told["measurements"]["tangent_1"]
    assert one["ratio"] == pytest.approx(one["rmse"] / one["rmse_ddim"])
    assert one["rmse"] > 0
    assert told["measurements"]["reference_error"] > 0
    field, its = fields.load(str(weights)), fields.load(str(teacher))
    x = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(field(x, 0.7), its(x, 0.7))
    torch.testing.assert_close(field.jump(x, 0.7, 0.7), x, atol=1e-5, rtol=0)
    assert field.jump(x.numpy(), 80.0, 0.0).shape == x.shape
    assert sb.sample(field, "flow-map", sb.grid("tangent", "edm", 2, t_min=0.0), n=2).nfe == 2
    with pytest.raises(UsageError, match="from noise to data, not from"):
        field.jump(x, 0.5, 0.7)
    with pytest.raises(UsageError, match="has no label: the flow map is unconditional"):
        fields.load(str(weights), label=3)
    again = run()
    assert "resuming at 64 images" in again.stderr
    assert "trajectories" not in again.stderr
    assert json.loads(card.read_text())["sha256"] == told["sha256"]


def test_a_map_without_its_teacher_is_refused(run, teacher):
    assert run().exit_code == 0
    weights = teacher.with_name("cifar10-flowmap.safetensors")
    card = teacher.with_suffix(".json")
    card.write_text(card.read_text().replace(json.loads(card.read_text())["sha256"], "0" * 64))
    with pytest.raises(ArtifactError, match="was distilled from another teacher"):
        fields.load(str(weights))
    card.unlink()
    with pytest.raises(ArtifactError, match=r"teacher\.json is missing"):
        fields.load(str(weights))


def test_damaged_trajectories_are_named(gaussian, tmp_path):
    (tmp_path / "00000.npz").write_bytes(b"PK")
    with pytest.raises(SolverbenchError, match=r"00000\.npz cannot be read"):
        list(flowmap.bank(gaussian, flowmap.SMOKE, 0, tmp_path, print))
