"""The networks of EDM against its published code's answers, and against a second implementation written here."""

from __future__ import annotations

import hashlib
import math

import edm_cases as cases
import edm_writer as w
import numpy as np
import pytest
import torch
from torch.nn import functional

from solverbench.errors import ArtifactError, UsageError
from solverbench.fields.edm import open_edm
from solverbench.fields.edm.networks import NETWORKS, options_of
from solverbench.fields.edm.precond import Denoiser
from solverbench.fields.network import NetworkField


def shapes_of(denoiser, network, labels):
    kwargs = cases.kwargs_of(denoiser, network, labels)
    own = {k: v for k, v in cases.NETWORKS[network].items() if k != "model_type"}
    outputs = cases.CHANNELS * (2 if denoiser == "iDDPMPrecond" else 1)
    with torch.device("meta"):
        model = NETWORKS[kwargs["model_type"]](cases.SIDE, cases.CHANNELS, outputs, labels, **own)
    shapes = {f"model.{name}": tuple(value.shape) for name, value in model.state_dict().items()}
    return shapes | ({"u": (kwargs["M"] + 1,)} if denoiser == "iDDPMPrecond" else {})


def file_of(folder, denoiser="EDMPrecond", network="ddpmpp", labels=4, *, tensors=None, change=None, **extra):
    kwargs = cases.kwargs_of(denoiser, network, labels)
    tensors = cases.values(shapes_of(denoiser, network, labels)) if tensors is None else tensors
    path = folder / "network-snapshot.pkl"
    model_type = kwargs["model_type"]
    path.write_bytes(w.snapshot(denoiser, kwargs | (change or {}), tensors, model_type, **extra))
    return path


# --- against the published code ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases.ANSWERS, ids=lambda case: "-".join(map(str, case)))
def test_answers_are_those_of_the_published_code(case, tmp_path):
    labels = case[2]
    field = open_edm(file_of(tmp_path, *case), label=2 if labels else None)
    assert isinstance(field, NetworkField)
    assert (field.shape, field.path.name, field.prediction, field.labels) == ((2, 8, 8), "edm", "x0", labels)
    for sigma, expected in zip(cases.SIGMAS, cases.ANSWERS[case], strict=True):
        answer = field(cases.states(sigma), sigma).flatten()[::51].numpy()
        np.testing.assert_allclose(answer, expected, rtol=2e-5, atol=2e-5 * np.abs(expected).max())


FULL = {"embedding_type": "positional", "model_channels": 128, "channel_mult": [2, 2, 2], "augment_dim": 9}
FULL_VE = FULL | {"embedding_type": "fourier", "encoder_type": "residual", "channel_mult_noise": 2}
SIZES = {
    "cond-vp": ("SongUNet", 32, 10, FULL),
    "uncond-vp": ("SongUNet", 32, 0, FULL),
    "cond-ve": ("SongUNet", 32, 10, FULL_VE | {"resample_filter": [1, 3, 3, 1]}),
    "cond-adm-64": ("DhariwalUNet", 64, 1000, {}),
}


@pytest.mark.parametrize("name", SIZES)
def test_networks_at_full_size_have_the_published_tensors(name):
    model_type, side, labels, options = SIZES[name]
    with torch.device("meta"):
        model = NETWORKS[model_type](side, 3, 3, labels, **options)
    tensors = {f"model.{key}": value for key, value in model.state_dict().items()}
    lines = "\n".join(f"{key} {tuple(value.shape)}" for key, value in sorted(tensors.items()))
    found = sum(value.numel() for value in model.parameters()), len(tensors), hashlib.sha256(lines.encode()).hexdigest()
    assert found == cases.TENSORS[name]


# --- against a second implementation ----------------------------------------------------------------------------------


def resampling(size, taps, pad, extra=0):
    """The matrix (size / 2, size + extra) that filters and halves one dimension."""
    matrix = torch.zeros(size // 2, size + extra, dtype=torch.float64)
    for row in range(size // 2):
        for tap, value in enumerate(taps):
            if 0 <= (column := 2 * row + tap - pad) < size + extra:
                matrix[row, column] += value
    return matrix


class Plain:
    """A network in double precision, straight from its tensors; names decide what there is."""

    def __init__(self, tensors, adm, taps):
        self.p = {name: value.double() for name, value in tensors.items()}
        self.adm, self.pad = adm, (len(taps) - 1) // 2

    def has(self, name):
        return name in self.p

    def linear(self, name, x):
        y = x @ self.p[f"{name}.weight"].T
        return y + self.p[f"{name}.bias"] if self.has(f"{name}.bias") else y

    def norm(self, name, x, eps):
        n, c = x.shape[:2]
        g = x.reshape(n, min(32, c // 4), -1)
        g = (g - g.mean(-1, keepdim=True)) / (g.var(-1, unbiased=False, keepdim=True) + eps).sqrt()
        return g.reshape(x.shape) * self.p[f"{name}.weight"][:, None, None] + self.p[f"{name}.bias"][:, None, None]

    def resample(self, name, x, up):
        # the tests' filters are outer squares only up to a factor, so the two-dimensional one is taken as it is
        f = self.p[f"{name}.resample_filter"][0, 0]
        size = x.shape[-1] * (2 if up else 1)
        total = 0
        for row in range(len(f)):
            one = resampling(size, [float(k == row) for k in range(len(f))], self.pad)
            other = resampling(size, f[row].tolist(), self.pad)
            if up:
                total = total + 4 * torch.einsum("ai,bj,ncab->ncij", one, other, x)
            else:
                total = total + torch.einsum("ai,bj,ncij->ncab", one, other, x)
        return total

    def conv(self, name, x, up=False, down=False):
        if up or down:
            x = self.resample(name, x, up)
        if not self.has(f"{name}.weight"):
            return x
        weight = self.p[f"{name}.weight"]
        return functional.conv2d(x, weight, self.p[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def residual(self, name, x):
        """Convolve, on what is beyond the border too, then filter and halve."""
        y = functional.conv2d(x, self.p[f"{name}.weight"], padding=1 + self.pad)
        f = self.p[f"{name}.resample_filter"][0, 0]
        total = 0
        for row in range(len(f)):
            one = resampling(x.shape[-1], [float(k == row) for k in range(len(f))], 0, 2 * self.pad)
            other = resampling(x.shape[-1], f[row].tolist(), 0, 2 * self.pad)
            total = total + torch.einsum("ai,bj,ncij->ncab", one, other, y)
        return total + self.p[f"{name}.bias"][:, None, None]

    def block(self, name, x, e):
        eps, scale = (1e-5, 1) if self.adm else (1e-6, 0.5**0.5)
        up, down = name.endswith("_up"), name.endswith("_down")
        h = self.conv(f"{name}.conv0", functional.silu(self.norm(f"{name}.norm0", x, eps)), up, down)
        a = self.linear(f"{name}.affine", e)[:, :, None, None]
        if self.adm:
            c = h.shape[1]
            h = self.norm(f"{name}.norm1", h, eps) * (a[:, :c] + 1) + a[:, c:]
        else:
            h = self.norm(f"{name}.norm1", h + a, eps)
        h = self.conv(f"{name}.conv1", functional.silu(h))
        skips = self.has(f"{name}.skip.weight") or up or down
        x = (h + (self.conv(f"{name}.skip", x, up, down) if skips else x)) * scale
        if not self.has(f"{name}.qkv.weight"):
            return x
        n, c, side, _ = x.shape
        heads = c // 64 if self.adm else 1
        w_ = self.conv(f"{name}.qkv", self.norm(f"{name}.norm2", x, eps)).reshape(n, heads, c // heads, 3, -1)
        q, k, v = w_[..., 0, :], w_[..., 1, :], w_[..., 2, :]
        weights = torch.softmax(torch.einsum("nhcq,nhck->nhqk", q, k) / math.sqrt(c // heads), -1)
        mixed = torch.einsum("nhqk,nhck->nhcq", weights, v).reshape(n, c, side, side)
        return (self.conv(f"{name}.proj", mixed) + x) * scale

    def embedding(self, noise, labels):
        if self.has("map_noise.freqs"):
            angles = noise[:, None] * 2 * math.pi * self.p["map_noise.freqs"]
        else:
            half = self.p["map_layer0.weight"].shape[1] // 2
            exponents = torch.arange(half, dtype=torch.float64) / (half if self.adm else half - 1)
            angles = noise[:, None] * 10000**-exponents
        waves = [torch.cos(angles), torch.sin(angles)]
        e = torch.cat(waves if self.adm else waves[::-1], 1)
        if self.adm:
            e = self.linear("map_layer1", functional.silu(self.linear("map_layer0", e)))
            return functional.silu(e + self.linear("map_label", labels) if labels is not None else e)
        if labels is not None:
            e = e + self.linear("map_label", labels * labels.shape[1] ** 0.5)
        return functional.silu(self.linear("map_layer1", functional.silu(self.linear("map_layer0", e))))

    def __call__(self, x, noise, labels, levels, blocks):
        e = self.embedding(noise, labels)
        sides = [x.shape[-1] >> level for level in range(levels)]
        kept, aside = [], x
        for level, side in enumerate(sides):
            at = f"enc.{side}x{side}"
            x = self.block(f"{at}_down", x, e) if level else self.conv(f"{at}_conv", x)
            if self.has(f"{at}_aux_skip.weight"):
                aside = self.resample(f"{at}_aux_down", aside, False)
                x = x + self.conv(f"{at}_aux_skip", aside)
            if self.has(f"{at}_aux_residual.weight"):
                x = aside = (x + self.residual(f"{at}_aux_residual", aside)) / 2**0.5
            kept.append(x)
            for index in range(blocks):
                x = self.block(f"{at}_block{index}", x, e)
                kept.append(x)
        answer = 0
        for side in sides[::-1]:
            at = f"dec.{side}x{side}"
            if side == sides[-1]:
                x = self.block(f"{at}_in1", self.block(f"{at}_in0", x, e), e)
            else:
                x = self.block(f"{at}_up", x, e)
            for index in range(blocks + 1):
                x = self.block(f"{at}_block{index}", torch.cat([x, kept.pop()], 1), e)
            if self.has(f"{at}_aux_conv.weight"):
                if self.has(f"{at}_aux_up.resample_filter"):
                    answer = self.resample(f"{at}_aux_up", answer, True)
                y = functional.silu(self.norm(f"{at}_aux_norm", x, 1e-6))
                answer = answer + self.conv(f"{at}_aux_conv", y)
        if self.adm:
            return self.conv("out_conv", functional.silu(self.norm("out_norm", x, 1e-5)))
        return answer


def plain_denoiser(denoiser, network, labels, tensors, x, sigma, one_hot):
    """D by its formula, around `Plain`."""
    kwargs = cases.kwargs_of(denoiser, network, labels)
    model = Plain(
        {name.removeprefix("model."): value for name, value in tensors.items()},
        kwargs["model_type"] == "DhariwalUNet",
        kwargs.get("resample_filter", [1, 1]),
    )

    def F(c_in, noise):
        noises = torch.full((len(x),), noise, dtype=torch.float64)
        return model(c_in * x, noises, one_hot, len(kwargs["channel_mult"]), kwargs["num_blocks"])

    if denoiser == "EDMPrecond":
        sd = kwargs["sigma_data"]
        c_skip, c_out = sd**2 / (sigma**2 + sd**2), sigma * sd / (sigma**2 + sd**2) ** 0.5
        return c_skip * x + c_out * F((sigma**2 + sd**2) ** -0.5, math.log(sigma) / 4)
    if denoiser == "VEPrecond":
        return x + sigma * F(1, math.log(0.5 * sigma))
    if denoiser == "VPPrecond":
        b, b0 = kwargs["beta_d"], kwargs["beta_min"]
        low, high = 0.0, 2.0
        for _ in range(100):  # sigma(t) inverted by bisection
            t = (low + high) / 2
            low, high = (t, high) if math.sqrt(math.expm1(b * t**2 / 2 + b0 * t)) < sigma else (low, t)
        return x - sigma * F((sigma**2 + 1) ** -0.5, (kwargs["M"] - 1) * t)
    distances = [abs(float(value) - sigma) for value in tensors["u"]]
    index = distances.index(min(distances))
    return x - sigma * F((sigma**2 + 1) ** -0.5, kwargs["M"] - 1 - index)[:, : cases.CHANNELS]


@pytest.mark.parametrize("labels", [0, 4])
@pytest.mark.parametrize("network", cases.NETWORKS)
@pytest.mark.parametrize("denoiser", cases.DENOISERS)
def test_a_file_opens_to_the_denoiser_it_holds(denoiser, network, labels, tmp_path):
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for name, shape in shapes_of(denoiser, network, labels).items():
        fan = math.prod(shape[1:]) if len(shape) > 1 else 1
        tensors[name] = torch.randn(shape, generator=generator) / math.sqrt(fan)
    if "u" in tensors:
        tensors["u"] = tensors["u"].abs().sort(descending=True).values * 10
    path = file_of(tmp_path, denoiser, network, labels, tensors=tensors)
    for label in (None, 1) if labels else (None,):
        single, double = open_edm(path, label=label), open_edm(path, label=label, dtype="float64")
        one_hot = torch.zeros(3, labels, dtype=torch.float64) if labels else None
        if label is not None:
            one_hot[:, label] = 1
        for sigma in (0.02, 1.7):
            x = torch.randn(3, 2, 8, 8, generator=generator).double() * (1 + sigma)
            expected = plain_denoiser(denoiser, network, labels, tensors, x, sigma, one_hot)
            size = expected.abs().max()
            assert (double(x, sigma) - expected).abs().max() < 1e-12 * size
            assert (single(x, sigma) - expected).abs().max() < 1e-5 * size
            answer = single(x.float().numpy(), sigma)
            assert answer.dtype == np.float32
            assert np.abs(answer - expected.numpy()).max() < 1e-5 * size


def test_by_hand_around_the_network_itself(tmp_path):
    field = open_edm(file_of(tmp_path), label=3)
    x, sigma, sd = cases.states(2.0), 2.0, 0.6
    one_hot = torch.eye(4)[[3, 3]]
    with torch.inference_mode():
        F = field.network.model(x / math.sqrt(sigma**2 + sd**2), torch.full((2,), math.log(sigma) / 4), one_hot)
    expected = sd**2 / (sigma**2 + sd**2) * x + sigma * sd / math.sqrt(sigma**2 + sd**2) * F
    torch.testing.assert_close(field(x, sigma), expected, rtol=1e-5, atol=1e-5)


# --- the field --------------------------------------------------------------------------------------------------------


def test_guidance_and_labels(tmp_path):
    path = file_of(tmp_path)
    x = cases.states(1.0)
    conditional, unconditional = open_edm(path, label=1)(x, 1.0), open_edm(path)(x, 1.0)
    assert (conditional - unconditional).abs().max() > 1e-3
    guided = open_edm(path, label=1, guidance=3.0)(x, 1.0)
    torch.testing.assert_close(guided, unconditional + 3 * (conditional - unconditional), rtol=1e-4, atol=1e-4)
    with pytest.raises(UsageError, match="label 4 is not one of"):
        open_edm(path, label=4)
    with pytest.raises(UsageError, match="float32, float64, bfloat16, float16, not in int8"):
        open_edm(path, dtype="int8")


@pytest.mark.parametrize(("dtype", "error"), [("bfloat16", 0.05), ("float16", 0.01), (torch.float64, 1e-5)])
@pytest.mark.parametrize("network", ["ncsnpp", "adm"])
def test_other_types_of_numbers(network, dtype, error, tmp_path):
    path = file_of(tmp_path, network=network)
    x = cases.states(3.0)
    exact = open_edm(path, label=1)(x, 3.0)
    assert (open_edm(path, label=1, dtype=dtype)(x, 3.0) - exact).abs().max() < error * exact.abs().max()


def test_no_noise_and_less(tmp_path):
    for denoiser in cases.DENOISERS:
        field = open_edm(file_of(tmp_path, denoiser))
        x = cases.states(0.0)
        assert torch.equal(field(x, 0.0), x)
        for sigma in (-1.0, math.nan):
            with pytest.raises(UsageError, match="must not be negative"):
                field(x, sigma)


def test_constants_are_the_ones_the_file_uses(tmp_path):
    x = cases.states(1.0)
    with_attribute = open_edm(file_of(tmp_path, sigma_data=0.9))(x, 1.0)
    torch.testing.assert_close(with_attribute, open_edm(file_of(tmp_path, change={"sigma_data": 0.9}))(x, 1.0))
    assert (with_attribute - open_edm(file_of(tmp_path))(x, 1.0)).abs().max() > 1e-3


def test_nothing_is_learned_or_drawn(tmp_path):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    field = open_edm(file_of(tmp_path))
    assert torch.equal(torch.get_rng_state(), before)
    assert isinstance(field.network, Denoiser)
    assert not any(value.requires_grad for value in field.network.parameters())
    assert not any(value.is_meta for value in field.network.state_dict().values())


# --- what is refused --------------------------------------------------------------------------------------------------


def refused(path, message):
    with pytest.raises(ArtifactError, match=message) as caught:
        open_edm(path)
    assert str(caught.value).startswith(f"{path}: refused as an EDM network: ")


def test_tensors_that_do_not_fit(tmp_path):
    tensors = cases.values(shapes_of("EDMPrecond", "ddpmpp", 4))
    name = "model.enc.8x8_block0.conv0.weight"
    rest = {key: value for key, value in tensors.items() if key != name}
    refused(file_of(tmp_path, tensors=rest), f"lacks tensors: {name}")
    refused(
        file_of(tmp_path, tensors=tensors | {"model.more.weight": torch.ones(1)}), "unknown tensors: model.more.weight"
    )
    refused(file_of(tmp_path, tensors=tensors | {"u": torch.ones(1)}), "unknown tensors: u")
    refused(
        file_of(tmp_path, tensors=tensors | {name: torch.ones(8, 8, 1, 1)}), f"{name} should have shape .8, 8, 3, 3."
    )
    whole = torch.ones(8, 8, 3, 3, dtype=torch.int64)
    refused(file_of(tmp_path, tensors=tensors | {name: whole}), f"{name} should be floating point, but is int64")
    refused(file_of(tmp_path, tensors={name: tensors[name]}), "lacks tensors: .* and .* more")
    table = cases.values(shapes_of("iDDPMPrecond", "adm", 4))
    refused(file_of(tmp_path, "iDDPMPrecond", "adm", tensors=table | {"u": torch.ones(3)}), "table u should have shape")
    del table["u"]
    refused(file_of(tmp_path, "iDDPMPrecond", "adm", tensors=table), "table u should have shape")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_channels": 10**9}, "cannot have model_channels=1000000000"),
        ({"model_channels": 8192, "channel_mult_emb": 64}, "should have shape"),
        ({"model_channels": 8.0}, "cannot have model_channels=8.0"),
        ({"model_channels": True}, "cannot have model_channels=True"),
        ({"model_channels": 10, "num_blocks": 2}, "30 channels cannot be normalised"),
        ({"model_channels": 130}, "130 channels cannot be normalised"),
        ({"num_blocks": 10**9}, "cannot have num_blocks=1000000000"),
        ({"num_blocks": 0}, "cannot have num_blocks=0"),
        ({"channel_mult": [1] * 11}, "cannot have channel_mult="),
        ({"channel_mult": []}, "cannot have channel_mult="),
        ({"channel_mult": 2}, "cannot have channel_mult=2"),
        ({"channel_mult": [1] * 5}, "cannot halve the resolution 8 4 times"),
        ({"img_resolution": 16}, "lacks tensors"),
        ({"img_resolution": 1 << 40}, "cannot have img_resolution="),
        ({"img_resolution": None}, "cannot have img_resolution=None"),
        ({"img_channels": 1 << 40}, "cannot have img_channels="),
        ({"img_channels": 3}, "should have shape"),
        ({"label_dim": 10**9}, "cannot have label_dim="),
        ({"label_dim": -1}, "cannot have label_dim=-1"),
        ({"label_dim": 5}, "map_label.weight should have shape"),
        ({"label_dim": 0}, "unknown tensors: model.map_label.bias, model.map_label.weight"),
        ({"augment_dim": 0}, "unknown tensors: model.map_augment.weight"),
        ({"dropout": "0.1"}, "cannot have dropout='0.1'"),
        ({"embedding_type": "fourier"}, "lacks tensors: model.map_noise.freqs"),
        ({"embedding_type": "sinusoid"}, "cannot have embedding_type='sinusoid'"),
        ({"encoder_type": ["skip"]}, "cannot have encoder_type="),
        ({"resample_filter": [1] * 1000}, "not plain"),
        ({"resample_filter": [1] * 17}, "cannot have resample_filter="),
        ({"resample_filter": [1, 3, 3, 1]}, "resample_filter should have shape"),
        ({"attn_resolutions": [8]}, "lacks tensors: model.dec.8x8_block1.norm2|lacks tensors"),
        ({"depth": 3}, "SongUNet has no argument 'depth'"),
        ({"in_channels": 3}, "EDMPrecond has no argument 'in_channels'"),
        ({"M": 3}, "SongUNet has no argument 'M'"),
        ({"model_type": "DhariwalUNet"}, "DhariwalUNet cannot|lacks tensors|should be DhariwalUNet, but is SongUNet"),
        ({"model_type": "ResNet"}, "unknown network 'ResNet'"),
        ({"model_type": None}, "unknown network None"),
        ({"sigma_data": 0}, "cannot have sigma_data=0"),
        ({"sigma_data": math.nan}, "cannot have sigma_data=nan"),
        ({"sigma_data": "1"}, "cannot have sigma_data='1'"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_arguments_that_cannot_be(change, message, tmp_path):
    refused(file_of(tmp_path, change=change), message)


def test_arguments_and_classes_that_are_not_known(tmp_path):
    path = file_of(tmp_path)
    tensors = {"model.x.weight": torch.ones(2)}
    path.write_bytes(w.snapshot("EDMPrecondition", {}, tensors, "SongUNet"))
    refused(path, "unknown class 'EDMPrecondition' .did you mean EDMPrecond")
    path.write_bytes(w.snapshot("EDMPrecond", {}, tensors, "SongUNet"))
    refused(path, "cannot have img_channels=None")
    path.write_bytes(w.snapshot("EDMPrecond", cases.kwargs_of("EDMPrecond", "ddpmpp", 0), tensors, "Other"))
    refused(path, "should be SongUNet, but is Other")
    with pytest.raises(ArtifactError, match="needs the argument 'img_resolution'"):
        options_of("SongUNet", {"in_channels": 3, "out_channels": 3})
    for M in (10**9, 9.5, 0, "10"):
        refused(file_of(tmp_path, "iDDPMPrecond", "adm", change={"M": M}, M=M), "cannot have M=|table u")


def test_damaged_files_open_or_are_refused(tmp_path):
    path = file_of(tmp_path)
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for end in rng.integers(0, len(content), 40):
        path.write_bytes(content[:end])
        refused(path, None)
    accepted = 0
    for _ in range(80):
        damaged = bytearray(content)
        damaged[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            field = open_edm(path)
        except ArtifactError:
            continue
        accepted += 1
        assert field(np.zeros((1, *field.shape)), 1.0).shape == (1, *field.shape)
    assert 0 < accepted < 80
