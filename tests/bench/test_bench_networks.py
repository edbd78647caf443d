"""What a trained field costs: images a second by number type and memory format, evaluating and training.

The networks have the shipped ones' sizes and weights drawn at random; what a product costs does not depend on them.
"""

import torch

from solverbench.networks.classifier import Classifier
from solverbench.networks.denoiser import CLASSES, Denoiser, Spectrum
from solverbench.networks.unet import channels_last
from solverbench.pretrain import features, unet
from solverbench.pretrain.training import Plan, optimisers

BATCH, TRAINED = 64, 32


def rate(count):
    """What is said beside a ratio."""
    return lambda seconds: "; " + ", ".join(f"{name} {count / s:.0f} images/s" for name, s in seconds.items())


def denoiser(dtype=torch.float32, last=True):
    torch.manual_seed(0)
    settings = unet.Settings()
    module = Denoiser(Spectrum.empty(32), widths=settings.widths, blocks=settings.blocks, embedding=settings.embedding)
    module.to(dtype).requires_grad_(False)
    return channels_last(module) if last else module


def evaluation(module, dtype=torch.float32):
    x, sigma = torch.randn(BATCH, 3, 32, 32, dtype=dtype), torch.ones(BATCH, dtype=dtype)
    none = torch.full((BATCH,), CLASSES)

    def run():
        with torch.inference_mode():
            return module(x, sigma, none)

    return run


def test_bench_evaluation(side_by_side):
    candidates = {
        "float32, channels last": evaluation(denoiser()),
        "float32, channels first": evaluation(denoiser(last=False)),
        "bfloat16, channels last": evaluation(denoiser(torch.bfloat16), torch.bfloat16),
    }
    side_by_side(f"denoiser, batch {BATCH}", candidates, rounds=10, per=BATCH, note=rate(BATCH))


def training(last, bf16):
    module = denoiser(last=last).requires_grad_()
    images, labels = torch.randn(4 * TRAINED, 3, 32, 32), torch.arange(4 * TRAINED) % CLASSES
    task, plan = unet.Denoising(module, images, labels, unet.Settings(), TRAINED, 0), Plan(1, TRAINED, bf16=bf16)
    optimise = optimisers(module, plan)

    def run():
        for optimiser in optimise:
            optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = task.loss(0)
        loss.backward()
        for optimiser in optimise:
            optimiser.step()

    return run


def test_bench_training(side_by_side):
    candidates = {
        "float32, channels last": training(True, False),
        "float32, channels first": training(False, False),
        "bfloat16, channels last": training(True, True),
    }
    side_by_side(f"training step, batch {TRAINED}", candidates, rounds=8, per=TRAINED, note=rate(TRAINED))


def test_bench_features(side_by_side):
    batch = 500
    torch.manual_seed(0)
    network = channels_last(Classifier(widths=features.Settings().widths).eval())
    images = torch.randn(batch, 3, 32, 32)

    def run():
        with torch.inference_mode():
            return network.features(images)

    side_by_side(f"features, batch {batch}", {"float32": run}, rounds=10, per=batch, note=rate(batch))
