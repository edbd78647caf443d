"""What a model evaluation costs: floating-point operations, counted by torch on a real call."""

from __future__ import annotations

from solverbench.fields.base import Field


def flops_per_evaluation(field: Field, batch: int = 64) -> float | None:
    """Floating-point operations of one evaluation per sample, matrix products and convolutions; None if none are seen.

    Counted by torch's own counter on a batch, so that work shared by a batch is shared here too.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    x = torch.zeros((batch, *field.shape), dtype=torch.float32)
    t = (field.path.t_min + field.path.t_max) / 2
    field(x, t)  # coefficients that are made once per time are not an evaluation's
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        field(x, t)
    total = counter.get_total_flops()
    return total / batch if total else None
