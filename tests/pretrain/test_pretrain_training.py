"""The training loop: interrupted or not, the same weights; its averaging and its optimiser against their formulas."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from solverbench.errors import SolverbenchError
from solverbench.pretrain.muon import Muon, orthogonalise
from solverbench.pretrain.training import DivergedError, Job, Plan, batch_rows, draw_curve, generator, train
from solverbench.pretrain.training import _average as average


class Toy:
    """Regression of a fixed image by three convolutions, on inputs drawn from the step alone."""

    def __init__(self, killed_at: int | None = None) -> None:
        torch.manual_seed(0)
        layers = (nn.Conv2d(1, 4, 3), nn.SiLU(), nn.Conv2d(4, 4, 1), nn.SiLU(), nn.Conv2d(4, 1, 3))
        self.module = nn.Sequential(*layers)
        self.killed_at, self.steps = killed_at, 0

    def loss(self, step):
        self.steps += 1
        if step == self.killed_at:
            raise KeyboardInterrupt
        x = torch.randn(8, 1, 6, 6, generator=generator(3, step))
        return (self.module(x) - x[:, :, 1:3, 2:4]).square().mean()


PLAN = Plan(8 * 30, batch=8, warmup=3)


def state(progress):
    return torch.cat([p.flatten() for p in progress.average.state_dict().values()])


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path):
    whole = train(Toy(), PLAN, tmp_path / "whole.pt", say=print)
    with pytest.raises(KeyboardInterrupt):
        train(Toy(killed_at=17), PLAN, tmp_path / "killed.pt", say=print, save_seconds=0.0)
    said = []
    second = Toy()
    resumed = train(second, PLAN, tmp_path / "killed.pt", say=said.append, save_seconds=0.0)
    assert second.steps == 30 - 17
    assert "resuming at 136 images" in said
    assert torch.equal(state(whole), state(resumed))


def test_a_finished_training_is_not_repeated_and_a_longer_plan_goes_on(tmp_path):
    first = train(Toy(), PLAN, tmp_path / "c.pt", say=print)
    again = Toy()
    assert torch.equal(state(first), state(train(again, PLAN, tmp_path / "c.pt", say=print)))
    assert again.steps == 0
    longer = Plan(8 * 35, batch=8, warmup=3)
    progress = train(again, longer, tmp_path / "c.pt", say=print)
    assert again.steps == 5
    # the card of such weights says that no one command made them
    job = Job(tmp_path, tmp_path, print)
    assert job.card("toy", progress, longer, PLAN)["stages"] == [(0, 240), (240, 280)]
    assert "stages" not in job.card("toy", first, PLAN, PLAN)


def test_training_lowers_the_loss(tmp_path):
    toy = Toy()
    before = sum(float(toy.loss(k).detach()) for k in range(1000, 1010))
    train(toy, Plan(8 * 200, batch=8, warmup=10), tmp_path / "c.pt", say=print)
    assert sum(float(toy.loss(k).detach()) for k in range(1000, 1010)) < before / 2


def test_the_curve_has_means_and_is_drawn(tmp_path):
    said = []
    progress = train(Toy(), Plan(8 * 400, batch=8), tmp_path / "c.pt", say=said.append)
    assert [seen for seen, _ in progress.curve] == [1600, 3200]
    assert progress.curve[1][1] < progress.curve[0][1]
    assert "3200/3200 images" in said[-1]
    draw_curve(tmp_path / "curve.png", progress.curve, "toy", "loss")
    assert (tmp_path / "curve.png").stat().st_size > 1000


def test_a_diverging_loss_ends_the_training_by_name(tmp_path):
    toy = Toy()
    toy.loss = lambda step: sum(p.sum() for p in toy.module.parameters()) * float("nan")
    with pytest.raises(DivergedError, match="nan after 1600 images"):
        train(toy, Plan(8 * 400, batch=8), tmp_path / "c.pt", say=print)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04torn"])
def test_an_unreadable_checkpoint_is_named_and_kept(tmp_path, content):
    path = tmp_path / "c.pt"
    path.write_bytes(content)
    with pytest.raises(SolverbenchError, match=r"c\.pt cannot be read .*delete it"):
        train(Toy(), PLAN, path, say=print)
    assert path.read_bytes() == content


def test_a_checkpoint_cannot_execute(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "touched"), "w"))

    torch.save({"module": Evil()}, tmp_path / "c.pt")
    with pytest.raises(SolverbenchError, match="cannot be read"):
        train(Toy(), PLAN, tmp_path / "c.pt", say=print)
    assert not (tmp_path / "touched").exists()


def test_every_epoch_sees_every_example_once_in_a_new_order():
    rows = torch.cat([batch_rows(10, 4, 0, step) for step in range(5)])
    assert sorted(rows[:10].tolist()) == sorted(rows[10:].tolist()) == list(range(10))
    assert rows[:10].tolist() != rows[10:].tolist()


def test_the_average_is_the_power_function_one():
    # weights k at step k: the average of k under density k^gamma on [0, K] is K (gamma + 1) / (gamma + 2)
    mean, module = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    for step in range(1, 4001):
        nn.init.constant_(module.weight, step)
        average(mean, module, step)
    assert mean.weight.item() / 4000 == pytest.approx(17.97 / 18.97, rel=2e-3)


@pytest.mark.parametrize("shape", [(8, 8), (5, 40), (64, 9)])
def test_orthogonalise_keeps_the_singular_vectors_and_levels_the_values(shape):
    G = torch.randn(shape, generator=generator(0, 1))
    Q = orthogonalise(G)
    assert Q.shape == G.shape
    values = torch.linalg.svdvals(Q)
    assert float(values.max()) < 1.3
    assert float((values > 0.5).float().mean()) > 0.85  # the smallest of a square matrix may lag behind
    U, _, V = torch.linalg.svd(G, full_matrices=False)
    rotated = U.T @ Q @ V.T
    assert float((rotated - rotated.diagonal().diag()).abs().max()) < 1e-3


def test_muon_steps_by_its_rate_whatever_the_scale_of_the_gradient():
    moved = []
    for scale in (1e-3, 1e3):
        p = nn.Parameter(torch.zeros(6, 3, 2, 2))
        p.grad = scale * torch.randn(p.shape, generator=generator(0, 2))
        Muon([p], lr=0.1).step()
        moved.append(p.detach())
    torch.testing.assert_close(moved[0], moved[1], atol=1e-3, rtol=0)
    assert float(torch.linalg.matrix_norm(moved[0].flatten(1), 2)) == pytest.approx(0.1, rel=0.3)
