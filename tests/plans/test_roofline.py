"""Projected floors: what is counted is what the engine's launches do, and the arithmetic is that of the data sheets."""

from __future__ import annotations

import json

import pytest
import torch

import solverbench as sb
from solverbench.cli import main
from solverbench.engines.cupy.combine import combine
from solverbench.engines.cupy.runner import Runner
from solverbench.plans import trace
from solverbench.roofline import GPUS, floor, gpu, work

GRID = sb.grid("edm", "edm", 7)


class Counting:
    """A device that runs nothing and counts the bytes every launch reads and writes."""

    multiprocessors = 1

    def __init__(self):
        self.rows = 0

    def launch(self, kernel, blocks, threads, argument):
        terms = int(kernel.expression.rstrip(">").rpartition(" ")[2])
        self.rows += terms + 1


@pytest.mark.parametrize("name", ["ddim", "heun", "ddpm", "dpmpp-3m", "edm-stochastic", "sde-dpmpp-2m", "rk8"])
def test_bytes_are_those_of_the_launches(name):
    plan = sb.plan(name, "edm", GRID, prediction="x0")
    counting = Counting()
    Runner(plan, 2, (3,), torch.float32, "cpu", counting)(lambda x, t: x / 2, torch.ones(2, 3))
    assert sum(w.bytes for w in work(plan)) == 4 * counting.rows


@pytest.mark.parametrize("terms", [0, 1, 12, 13, 23, 24, 40])
def test_long_combinations_take_passes(terms):
    counting = Counting()
    rows = [torch.ones(1, 8) for _ in range(terms)]
    combine(counting, torch.ones(1, 8), rows, [1.0] * terms)

    def mine(x, path, grid):
        parts = [(x * (k + 2.0)).keep() for k in range(terms)]
        return sum(parts, 0 * x)

    plan = trace(mine, sb.path("edm"), sb.Grid(sb.path("edm"), (10.0, 5.0)), "x0", name="mine")
    last = work(plan)[plan.output]
    if terms > 1:  # of one term, folding leaves another plan
        assert last.bytes == 4 * counting.rows


def test_floor_of_euler_by_hand():
    """Every step reads the state and the output and writes the state: 12 bytes, 4 operations."""
    plan = sb.plan("ddim", "edm", sb.grid("edm", "edm", 5, zero=False, t_min=0.1), prediction="x0")
    least = floor(plan, gpu("h100"), 10**6)
    assert least.bytes == len(plan.grid) * 12e6
    assert least.flops == len(plan.grid) * 4e6
    assert least.seconds == pytest.approx(max(least.bytes / 3.35e12, least.flops / 34e12))


def test_noise_costs_no_bytes():
    with_noise, without = (sb.plan(s, "edm", GRID, prediction="x0") for s in ("ddim[eta=1]", "ddim"))
    a, b = (floor(p, gpu("a100"), 1000) for p in (with_noise, without))
    assert a.bytes == b.bytes
    assert a.arithmetic > b.arithmetic


def test_every_data_sheet_has_its_source():
    assert all(g.source and 0 < g.float64 < g.float32 for g in GPUS.values())


def test_the_verb(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["plan", "heun", "--steps", "4", "--roofline", "rtx4090", "--json"])
    found = json.loads(capsys.readouterr().out)["roofline"]
    assert found["projected"] == "GeForce RTX 4090"
    assert found["seconds_per_step"] == pytest.approx(found["seconds"] / 4)
    with pytest.raises(SystemExit, match="0"):
        main(["plan", "heun", "--steps", "4", "--roofline", "h100"])
    assert "projected, not measured: on H100 SXM no less than" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main(["plan", "heun", "--roofline", "h1000"])
    assert "did you mean h100" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["plan", "heun", "--roofline", "h100", "--dtype", "int8"])
    assert "no roofline for dtype 'int8'" in capsys.readouterr().err
