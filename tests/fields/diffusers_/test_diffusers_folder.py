"""Folders that the diffusers library itself wrote: the same answers without the library, and nothing else is opened."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, UNet2DModel
from safetensors.torch import load_file, save_file

import solverbench as sb
from solverbench.errors import ArtifactError, UsageError
from solverbench.fields.diffusers import open_diffusers, timestep
from solverbench.fields.diffusers.config import read_layout
from solverbench.fields.diffusers.scheduler import betas
from solverbench.fields.diffusers.unet import on_meta
from solverbench.fields.diffusers.weights import FILE

PLAIN = {
    "sample_size": 8,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "attention_head_dim": None,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
}
DDPM = {
    "act_fn": "silu",
    "attention_head_dim": None,
    "block_out_channels": [128, 256, 256, 256],
    "center_input_sample": False,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "in_channels": 3,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-06,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 32,
    "time_embedding_type": "positional",
    "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
}
"""google/ddpm-cifar10-32."""


def network(**options):
    torch.manual_seed(0)
    made = UNet2DModel(**(PLAIN | options)).eval()
    for name, p in made.named_parameters():  # norms and biases too, so that a transposition would show
        if not name.startswith("time_proj"):
            p.data += 0.1 * torch.randn_like(p)
    return made


def answer(module, x, k, label=None):
    with torch.inference_mode():
        return module(x, torch.tensor(k), None if label is None else torch.full((len(x),), label)).sample


@pytest.fixture
def save(tmp_path):
    """save(network, scheduler): the folder with both, as they save themselves."""

    def folder(module=None, scheduler=None):
        (module or network()).save_pretrained(tmp_path)
        (scheduler or DDPMScheduler()).save_pretrained(tmp_path)
        return tmp_path

    return folder


def states(rng, shape=(3, 8, 8), n=3):
    return torch.from_numpy(rng.normal(size=(n, *shape))).float()


def change(path, drop=(), **values):
    table = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in table.items() if key not in drop}))


@pytest.mark.parametrize("options", [
    {},
    {"downsample_padding": 0, "flip_sin_to_cos": False, "freq_shift": 1, "norm_eps": 1e-6},
    {"attention_head_dim": 4, "mid_block_scale_factor": 2.0, "center_input_sample": True},
    {"time_embedding_type": "fourier", "layers_per_block": 2},
    {"add_attention": False, "time_embedding_dim": 20},
    {"mid_block_type": None, "act_fn": "swish", "dropout": 0.5},
    {"resnet_time_scale_shift": "scale_shift"},
    {"resnet_time_scale_shift": "scale_shift", "attn_norm_num_groups": 2},
    {"in_channels": 1, "out_channels": 1, "sample_size": (4, 12), "norm_num_groups": 1, "attn_norm_num_groups": 8},
    {
        "block_out_channels": (12, 9, 21),
        "norm_num_groups": 3,
        "down_block_types": ("AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D"),
    },
    {"block_out_channels": (8,), "down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",)},
])  # fmt: skip
def test_the_field_answers_as_the_library_does(options, save, rng):
    module = network(**options)
    field = open_diffusers(save(module))
    assert (field.prediction, field.path.name, field.labels, field.evaluations) == ("noise", "vp-discrete", 0, 1)
    x = states(rng, field.shape)
    for k in (0, 1, 17, 250.5, 999):
        expected = answer(module, x, k)  # nan where the logarithm of k is asked for at 0
        assert expected.isfinite().all() == (k > 0 or options.get("time_embedding_type") != "fourier")
        torch.testing.assert_close(field(x, (k + 1) / 1000), expected, atol=1e-5, rtol=1e-5, equal_nan=True)


def test_classes_are_asked_for_and_have_no_guidance(save, rng):
    module, x = network(num_class_embeds=5), states(rng)
    folder = save(module)
    for label in (0, 4):
        field = open_diffusers(folder, label=label)
        torch.testing.assert_close(field(x, 0.3), answer(module, x, 299, label), atol=1e-5, rtol=1e-5)
    assert open_diffusers(folder, label=1, guidance=1).evaluations == 1
    for options, message in [
        ({}, "knows classes only: give label, 0 to 4"),
        ({"label": 5}, "0 to 4"),
        ({"label": 1, "guidance": 2.0}, "no unconditional class"),
    ]:
        with pytest.raises(UsageError, match=message):
            open_diffusers(folder, **options)
    with pytest.raises(UsageError, match="no classes"):
        open_diffusers(save(network()), label=0)


def test_precision_is_that_asked_for(save, rng):
    module, x = network(), states(rng)
    folder = save(module)
    double = open_diffusers(folder, dtype="float64")(x.double(), 0.5)
    assert double.dtype == torch.float64
    torch.testing.assert_close(double, answer(module.double(), x.double(), 499), atol=1e-12, rtol=1e-12)
    half = open_diffusers(folder, dtype="bfloat16")(x, 0.5)
    torch.testing.assert_close(half.double(), double, atol=0.2, rtol=0.1)


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float64])
def test_parameters_may_be_stored_in_other_precisions(stored, save, rng):
    module, x = network(), states(rng)
    for p in module.parameters():
        p.data = p.data.to(stored).float()
    folder = save(module)
    save_file({name: t.to(stored) for name, t in load_file(folder / FILE).items()}, folder / FILE)
    torch.testing.assert_close(open_diffusers(folder)(x, 0.5), answer(module, x, 499), atol=1e-5, rtol=1e-5)


def test_the_names_of_attention_until_2023(save, rng):
    module, x = network(), states(rng)
    folder = save(module)
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors, renamed = load_file(folder / FILE), {}
    for name, tensor in tensors.items():
        new = next((k for k in old if ".attentions." in name and f".{k}." in name), None)
        renamed[name.replace(new, old[new]) if new else name] = tensor
    assert sum(name not in tensors for name in renamed) == 4 * 8  # three in the stages and one in the middle
    save_file(renamed, folder / FILE)
    torch.testing.assert_close(open_diffusers(folder)(x, 0.5), answer(module, x, 499), atol=1e-5, rtol=1e-5)
    save_file(renamed | {name: t.clone() for name, t in tensors.items()}, folder / FILE)
    with pytest.raises(ArtifactError, match=r"attentions\.0\.to_\S+ twice"):
        open_diffusers(folder)


def test_subfolders_are_those_of_a_pipeline(tmp_path, rng):
    module, x = network(), states(rng)
    module.save_pretrained(tmp_path / "unet")
    DDPMScheduler().save_pretrained(tmp_path / "scheduler")
    torch.testing.assert_close(open_diffusers(tmp_path)(x, 0.5), answer(module, x, 499), atol=1e-5, rtol=1e-5)


def test_the_network_of_ddpm_has_its_published_size(tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"_class_name": "UNet2DModel", "_diffusers_version": "0.0.4", **DDPM}))
    tensors = on_meta(read_layout(config), config).state_dict()
    assert (len(tensors), sum(t.numel() for t in tensors.values())) == (328, 35_746_307)
    with torch.device("meta"):
        theirs = UNet2DModel(**DDPM).state_dict()
    assert {n: t.shape for n, t in tensors.items()} == {n: t.shape for n, t in theirs.items()}


# --- the scheduler ----------------------------------------------------------------------------------------------------

SCHEDULES = [
    {},
    {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    {"beta_schedule": "squaredcos_cap_v2"},
    {"num_train_timesteps": 37, "beta_end": 0.3},
    {"num_train_timesteps": 4, "trained_betas": [0.1, 0.3, 0.2, 0.7]},
]


@pytest.mark.parametrize("options", SCHEDULES)
def test_the_path_is_that_of_the_schedulers_betas(options, save):
    theirs = DDPMScheduler(**options)
    path = open_diffusers(save(scheduler=theirs)).path
    exact = theirs.betas.double().numpy()
    np.testing.assert_array_equal(path.betas, exact)
    t = np.arange(1, path.steps + 1) / path.steps
    np.testing.assert_allclose(path.alpha(t) ** 2, np.cumprod(1 - exact), rtol=1e-12)
    single = theirs.alphas_cumprod.double().numpy()  # the same product in single precision
    np.testing.assert_allclose(path.alpha(t) ** 2, single, rtol=0, atol=1e-6)


@pytest.mark.parametrize("options", [{"beta_schedule": "linear"}, {"beta_schedule": "scaled_linear"}])
def test_zero_terminal_snr_ends_in_noise(options, save):
    theirs = DDPMScheduler(rescale_betas_zero_snr=True, prediction_type="v_prediction", **options)
    field = open_diffusers(save(scheduler=theirs))
    assert field.path.is_noise(1.0)
    assert field.prediction == "v"
    t = np.arange(1, 1001) / 1000
    np.testing.assert_allclose(field.path.alpha(t) ** 2, theirs.alphas_cumprod.double().numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("kind", "prediction"), [("epsilon", "noise"), ("v_prediction", "v"), ("sample", "x0")])
def test_predictions(kind, prediction, save):
    assert open_diffusers(save(scheduler=DDPMScheduler(prediction_type=kind))).prediction == prediction


def test_the_prediction_of_the_first_configurations(save):
    folder = save()
    change(folder / "scheduler_config.json", drop=["prediction_type"])
    assert open_diffusers(folder).prediction == "noise"
    change(folder / "scheduler_config.json", predict_epsilon=False)
    assert open_diffusers(folder).prediction == "x0"


@pytest.mark.parametrize("steps", [2, 37, 1000, 4096])
def test_whole_timesteps_are_met_and_others_are_between(steps):
    for k in range(steps):
        assert timestep((k + 1) / steps, steps) == k
    assert timestep(1.5 / steps, steps) == pytest.approx(0.5)
    assert timestep(0.5 / steps, steps) == timestep(0.0, steps) == 0
    with pytest.raises(UsageError, match="path ends at 1"):
        timestep(1 + 1 / steps, steps)


def test_ddim_steps_are_those_of_the_library(save, rng):
    """The whole chain of conventions at once: its scheduler, its network and its timesteps against ours."""
    from diffusers import DDIMScheduler

    module = network()
    theirs = DDIMScheduler(clip_sample=False, timestep_spacing="trailing")
    field = open_diffusers(save(module, theirs), dtype="float64")
    theirs.set_timesteps(5)
    x = states(rng, n=2).double()
    y, module = x, module.double()
    for k in theirs.timesteps.tolist():
        y = theirs.step(answer(module, y, k), k, y).prev_sample
    knots = [(k + 1) / 1000 for k in theirs.timesteps.tolist()]
    torch.testing.assert_close(sb.sample(field, "ddim", [*knots, 0.0], x).x, y, atol=2e-4, rtol=0)


def test_the_file_may_change_once_it_is_open(save, rng):
    module, x = network(), states(rng)
    folder = save(module)
    field = open_diffusers(folder)
    (folder / FILE).write_bytes(b"")
    torch.testing.assert_close(field(x, 0.5), answer(module, x, 499), atol=1e-5, rtol=1e-5)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("values", "message"), [
    ({"_class_name": "UNet2DConditionModel"}, "_class_name='UNet2DConditionModel'"),
    ({"down_block_types": ["DownBlock2D", "AttnSkipDownBlock2D"]}, r"down_block_types=.*AttnDownBlock2D"),
    ({"down_block_types": ["DownBlock2D"]}, "one for each of 2"),
    ({"up_block_types": None}, "up_block_types=None"),
    ({"mid_block_type": "UNetMidBlock2DCrossAttn"}, "mid_block_type='UNetMidBlock2DCrossAttn'"),
    ({"block_out_channels": []}, r"block_out_channels=\[\]"),
    ({"block_out_channels": [8, 1e9]}, "16384"),
    ({"layers_per_block": 10**9}, "layers_per_block=1000000000 .* 1 to 32"),
    ({"layers_per_block": True}, "layers_per_block=True"),
    ({"norm_num_groups": 3}, "a divisor of block_out_channels"),
    ({"attn_norm_num_groups": 5}, "a divisor of the last of block_out_channels, 16"),
    ({"norm_num_groups": None}, "norm_num_groups=None"),
    ({"attention_head_dim": 5}, r"a divisor of the channels with attention, \[16\]"),
    ({"sample_size": None}, "sample_size=None"),
    ({"sample_size": 9}, "a multiple of 2"),
    ({"out_channels": 6}, "out_channels=6 .*in_channels=3"),
    ({"norm_eps": float("nan")}, "norm_eps=nan"),
    ({"norm_eps": 0}, "norm_eps=0"),
    ({"freq_shift": 4}, "less than 4"),
    ({"downsample_padding": 2}, "downsample_padding=2"),
    ({"downsample_type": "resnet"}, "downsample_type='resnet'"),
    ({"upsample_type": ["conv"]}, r"upsample_type=\['conv'\]"),
    ({"act_fn": "mish"}, "act_fn='mish'"),
    ({"class_embed_type": "timestep"}, "class_embed_type='timestep'"),
    ({"time_embedding_type": "learned"}, "time_embedding_type='learned'"),
    ({"resnet_time_scale_shift": "spatial"}, "resnet_time_scale_shift='spatial'"),
    ({"center_input_sample": 1}, "true or false"),
    ({"add_atention": True}, "did you mean add_attention"),
    ({"block_out_channels": [8, 32]}, "describes another network|has shape"),
    ({"layers_per_block": 2}, r"has no tensor \S+ and \d+ more: its config.json describes another network"),
    ({"mid_block_type": None}, r"has an unknown tensor mid_block\S+ and \d+ more"),
    ({"in_channels": 4, "out_channels": 4}, r"conv_in.weight has shape \(8, 3, 3, 3\), .* needs \(8, 4, 3, 3\)"),
])  # fmt: skip
def test_what_the_network_cannot_be_is_named(values, message, save):
    folder = save()
    change(folder / "config.json", **values)
    with pytest.raises(ArtifactError, match=message):
        open_diffusers(folder)


@pytest.mark.parametrize(("values", "message"), [
    ({"_class_name": "FlowMatchEulerDiscreteScheduler"}, "_class_name='FlowMatchEuler"),
    ({"beta_schedule": "laplace"}, "beta_schedule='laplace' .*squaredcos_cap_v2"),
    ({"beta_start": 0}, "beta_start=0"),
    ({"beta_end": "0.02"}, "beta_end='0.02'"),
    ({"num_train_timesteps": 0}, "num_train_timesteps=0"),
    ({"num_train_timesteps": 10**12}, "num_train_timesteps=1000000000000"),
    ({"prediction_type": "flow_prediction"}, "prediction_type='flow_prediction'"),
    ({"trained_betas": [0.1, 0.2]}, "num_train_timesteps=1000 numbers"),
    ({"trained_betas": [0.1, 1.5], "num_train_timesteps": 2}, "between 0 and 1"),
    ({"trained_betas": [0.1, 1 - 1e-12], "num_train_timesteps": 2}, "scheduler_config.json: vp-discrete: betas"),
    ({"use_flow_sigmas": True}, "use_flow_sigmas=True"),
    ({"timestep_type": "continuous"}, "timestep_type='continuous'"),
])  # fmt: skip
def test_what_the_scheduler_cannot_be_is_named(values, message, save):
    folder = save()
    change(folder / "scheduler_config.json", **values)
    with pytest.raises(ArtifactError, match=message):
        open_diffusers(folder)


def test_betas_must_be_stated(save):
    folder = save()
    change(folder / "scheduler_config.json", drop=["beta_start"])
    with pytest.raises(ArtifactError, match="beta_start=None"):
        open_diffusers(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_malformed_json(content, save):
    folder = save()
    for name in ("config.json", "scheduler_config.json"):
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes(content)
        with pytest.raises(ArtifactError, match=rf"{name} (cannot be read|must hold)"):
            open_diffusers(folder)
        (folder / name).write_bytes(kept)


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated_tensors(keep, save):
    folder = save()
    (folder / FILE).write_bytes((folder / FILE).read_bytes()[:keep])
    with pytest.raises(ArtifactError, match="is damaged, or no safetensors file"):
        open_diffusers(folder)


def test_headers_that_lie(save):
    folder = save()
    content = bytearray((folder / FILE).read_bytes())
    content[:8] = (2**63).to_bytes(8, "little")
    (folder / FILE).write_bytes(content)
    with pytest.raises(ArtifactError, match="is damaged"):
        open_diffusers(folder)


def test_whole_numbers_are_no_parameters(save):
    folder = save()
    tensors = load_file(folder / FILE)
    save_file(tensors | {"conv_in.bias": tensors["conv_in.bias"].int()}, folder / FILE)
    with pytest.raises(ArtifactError, match=r"conv_in\.bias is stored as I32"):
        open_diffusers(folder)


def test_what_is_missing_is_named(save, tmp_path):
    with pytest.raises(UsageError, match="no such folder"):
        open_diffusers(tmp_path / "nowhere")
    folder = save()
    (folder / FILE).rename(folder / "diffusion_pytorch_model.fp16.safetensors")
    with pytest.raises(ArtifactError, match=rf"has no {FILE}; it has diffusion_pytorch_model\.fp16"):
        open_diffusers(folder)
    (folder / "diffusion_pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(ArtifactError, match=r"\.bin but no .*a pickle can run any program.*save_pretrained"):
        open_diffusers(folder)
    for name in ("scheduler_config.json", "config.json"):
        (folder / name).unlink()
        with pytest.raises(ArtifactError, match=f"neither {name} nor"):
            open_diffusers(folder)


def test_the_library_is_not_needed(save):
    code = (
        "import sys; sys.modules['diffusers'] = None; import numpy as np; import solverbench as sb;"
        "f = sb.fields.load(sys.argv[1]); print(f(np.zeros((1, 3, 8, 8)), 0.5).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(save())], check=True, capture_output=True, text=True)
    assert done.stdout == "(1, 3, 8, 8)\n"


def test_betas_are_read_without_a_network(save):
    from solverbench.fields.diffusers.config import Values

    assert len(betas(Values(save() / "scheduler_config.json"))) == 1000
