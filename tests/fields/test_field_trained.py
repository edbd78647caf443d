"""Trained fields from their files: the same network after the round trip, and nothing else is accepted."""

from __future__ import annotations

import json

import pytest
import torch

from solverbench import fields, pretrained
from solverbench.errors import ArtifactError, UsageError
from solverbench.fields.trained import open_trained
from solverbench.networks.denoiser import CLASSES, Denoiser, Spectrum
from solverbench.pretrain.artifact import Artifact
from solverbench.pretrain.training import half


@pytest.fixture
def module():
    torch.manual_seed(0)
    made = Denoiser(Spectrum.empty(32), widths=(8, 16), blocks=1, embedding=16)
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.1)
        p.data = p.data.half().float()  # what the file holds
    return made.eval()


@pytest.fixture
def file(module, tmp_path):
    return Artifact("net", half(module), {"field": "unet", "network": module.options}).write(tmp_path)[0]


@pytest.mark.parametrize("label", [None, 7])
def test_the_field_is_the_network_that_was_stored(module, file, label, rng):
    x = torch.from_numpy(rng.normal(size=(2, 3, 32, 32))).float()
    with torch.no_grad():
        expected = module(x, torch.full((2,), 0.7), torch.full((2,), CLASSES if label is None else label))
    field = open_trained(file, label=label)
    torch.testing.assert_close(field(x, 0.7), expected, atol=1e-6, rtol=1e-6)
    assert (field.path.name, field.prediction, field.shape, field.labels) == ("edm", "x0", (3, 32, 32), CLASSES)
    torch.testing.assert_close(open_trained(file, label=label, dtype="float64")(x, 0.7), expected, atol=1e-4, rtol=1e-4)


def test_a_network_among_the_pretrained_goes_by_its_name(file, monkeypatch):
    monkeypatch.setattr(pretrained, "_folder", lambda: file.parent)
    assert fields.load("net", label=2).label == 2
    with pytest.raises(UsageError, match="has its own path"):
        fields.load("net", "ve")


def change(file, **values):
    card = file.with_suffix(".json")
    card.write_text(json.dumps(json.loads(card.read_text()) | values))


@pytest.mark.parametrize(("values", "message"), [
    ({"field": "unnet"}, "did you mean unet"),
    ({"network": {"widths": [8]}}, "does not fit the network of its card"),
    ({"network": {"depth": 3}}, "no network that can be built"),
    ({"network": None}, "no network that can be built"),
    ({"sha256": "0" * 64}, "damaged or altered"),
])  # fmt: skip
def test_a_card_that_describes_another_file_is_refused(file, values, message):
    change(file, **values)
    with pytest.raises(ArtifactError, match=message):
        open_trained(file)


def test_damage_and_absence_are_named(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ArtifactError, match="damaged or altered"):
        open_trained(file)
    file.write_bytes(content[:100])
    with pytest.raises(ArtifactError, match="damaged or altered"):
        open_trained(file)
    file.with_suffix(".json").unlink()
    with pytest.raises(ArtifactError, match=r"net\.json is missing"):
        open_trained(file)
