"""The trainings' --smoke as a user types it, one after the other: real sizes of the smoke settings, real processes."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np


def test_smoke_makes_all_three_networks(tmp_path, write_sheets):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, size=(12, 3, 4, 4)).astype(float)
    images = np.kron(coarse, np.ones((1, 1, 8, 8))) + rng.normal(scale=20, size=(12, 3, 32, 32))
    write_sheets(tmp_path / "data", np.clip(images, 0, 255).astype(np.uint8))
    (tmp_path / "data" / "train_lables.json").write_text(json.dumps([k % 10 for k in range(10)]))
    (tmp_path / "data" / "test_lables.json").write_text("[3, 4]")

    def smoke(kind, *options):
        words = [sys.executable, "-m", "solverbench.pretrain", kind, "--smoke", *options]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        written = {line.rpartition("/")[2] for line in done.stdout.splitlines()}
        assert written == {f"cifar10-{kind}.safetensors", f"cifar10-{kind}.json"}
        return json.loads((tmp_path / ".cache/solverbench-pretrain/smoke" / f"cifar10-{kind}.json").read_text())

    # ten pictures are soon known by heart: what is tested is that a training trains
    unet = smoke("unet", "--data", "data")
    assert unet["settings"]["images"] == 6400
    features = smoke("features", "--data", "data")
    assert features["measurements"]["test_images"] == 2
    teacher = tmp_path / ".cache/solverbench-pretrain/smoke/cifar10-unet.safetensors"
    flow_map = smoke("flowmap", "--teacher", str(teacher))
    assert flow_map["teacher"]["sha256"] == unet["sha256"]
    one = flow_map["measurements"]["tangent_1"]
    assert one["rmse"] < one["rmse_ddim"]
