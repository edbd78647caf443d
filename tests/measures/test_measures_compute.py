"""Counted operations of a known network, and clocks that are read in turns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from solverbench.errors import UsageError
from solverbench.fields.network import NetworkField
from solverbench.measures.compute import flops_per_evaluation, interleaved


def test_operations_of_one_matrix_product():
    linear = torch.nn.Linear(12, 12, bias=False)
    field = NetworkField(lambda x, t, label: linear(x.flatten(1)).view_as(x), "edm", (3, 2, 2))
    assert flops_per_evaluation(field) == 2 * 12 * 12


def test_candidates_take_turns_and_warm_up_unseen(monkeypatch):
    order, clock = [], [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    def work(name, seconds):
        def run():
            order.append(name)
            clock[0] += seconds if len(order) > 4 else 100  # the first two rounds are slow

        return run

    found = interleaved({"a": work("a", 2.0), "b": work("b", 3.0)}, rounds=5, warmup=2)
    assert order == [*["a", "b", "b", "a"] * 3, "a", "b"]
    assert (found["a"].value, found["b"].value, found["a"].n, found["a"].se) == (2.0, 3.0, 5, 0.0)
    with pytest.raises(UsageError, match="three rounds or more, got 2"):
        interleaved({}, rounds=2)


@pytest.mark.parametrize("rounds", [3, 5, 11, 21])
def test_intervals_of_medians_hold(rng, monkeypatch, rounds):
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    def run():
        clock[0] += rng.normal(10, 1)

    ends = [interleaved({"a": run}, rounds, warmup=0)["a"].interval() for _ in range(2000)]
    assert 0.94 < np.mean([low <= 10 <= high for low, high in ends]) < 0.98


def test_the_error_of_a_median(rng, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    def run():
        clock[0] += rng.normal(10, 1)

    found = [interleaved({"a": run}, rounds=41, warmup=0)["a"] for _ in range(300)]
    assert np.mean([e.se for e in found]) == pytest.approx(np.std([e.value for e in found]), rel=0.15)
