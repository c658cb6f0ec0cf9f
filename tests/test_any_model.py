"""Models that nobody here wrote: tiled, frozen, saved and loaded again, with equal outputs and the bytes that were reported.

Random weights and the smallest shapes of each family; nothing is downloaded. Batch norm takes its statistics from the test's own batch first, so
that activations neither die nor grow, and an error in any layer is seen in the output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import transformers
from safetensors import safe_open
from torch import Tensor, nn

import tbn
from tbn import ConversionReport, TilingConfig

CONFIG = TilingConfig(p=4, min_layer_size=1000)
Inputs = Mapping[str, Tensor]


def main_output(model: nn.Module, inputs: Tensor | Inputs) -> Tensor:
    """The one tensor that is compared: logits where a model has them, else what it returns first."""
    out = model(inputs) if isinstance(inputs, Tensor) else model(**inputs)
    if isinstance(out, Tensor):
        return out
    return out.logits if "logits" in out else out[0]


def settle(model: nn.Module, inputs: Tensor | Inputs) -> None:
    """Set the statistics of all batch norms to those of this batch; the model is in eval mode afterwards."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        main_output(model.train(), inputs)
    model.eval()


def stored_bytes(path: Path) -> int:
    with safe_open(path, framework="pt") as file:
        return sum(file.get_tensor(name).nbytes for name in file.keys())  # noqa: SIM118


def goes_through(
    build: Callable[[], nn.Module], inputs: Tensor | Inputs, folder: Path, tolerance: float = 1e-5
) -> ConversionReport:
    """Latent = packed = saved and loaded into a fresh model, in outputs (relative to the largest) and in bytes."""
    torch.manual_seed(0)
    model = build()
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    for parameter in matrices:
        if not parameter.any():  # a head that starts at zero would give outputs of zero
            nn.init.normal_(parameter, std=0.1)
    report = tbn.tile_(model, CONFIG)
    assert report.with_status("tiled")
    settle(model, inputs)
    packed = tbn.freeze(model)
    tbn.save(packed, folder / "m.safetensors")
    loaded = tbn.load(folder / "m.safetensors", into=build())
    with torch.no_grad():
        expected, found, again = (main_output(each, inputs) for each in (model, packed, loaded))
    assert expected.std() > 1e-3 * expected.abs().max() > 1e-6, "nothing to compare: the outputs are all alike"
    assert float((found - expected).abs().max() / expected.abs().max()) < tolerance
    assert torch.equal(found, again)
    size = tbn.summary(packed)
    assert size.total_bytes == tbn.summary(model).total_bytes == stored_bytes(folder / "m.safetensors")
    tied = sum(layer.weights for layer in report.layers if "shared with" in layer.reason)
    assert sum(layer.weights for layer in report.layers) - tied == sum(parameter.numel() for parameter in matrices), (
        "the report keeps silent about weights"
    )
    return report


SWIN = {"img_size": 64, "window_size": 2, "depths": (1, 1), "num_heads": (4, 4), "embed_dim": 32}
TIMM: dict[str, dict[str, Any]] = {
    "resnet10t": {},
    "convnext_atto": {},
    "test_efficientnet": {},
    "tf_efficientnet_b0": {},  # Conv2dSame is left
    "mobilenetv3_small_050": {},
    "test_vit": {"img_size": 64},
    "deit_tiny_patch16_224": {"img_size": 64, "depth": 2},
    "beit_base_patch16_224": {"img_size": 64, "depth": 2, "embed_dim": 64, "num_heads": 2},  # uses qkv.weight itself
    "swin_tiny_patch4_window7_224": SWIN,
    "swinv2_tiny_window8_256": {**SWIN, "window_size": 4},
    "mixer_s32_224": {"img_size": 64},
    "poolformer_s12": {"layers": (1, 1, 1, 1), "embed_dims": (16, 32, 48, 64)},
    "regnety_002": {},
    "nf_regnet_b0": {},  # ScaledStdConv2d is left
    "densenet121": {"growth_rate": 8, "block_config": (2, 2, 2, 2)},
    "mobilevit_xxs": {},
    "fastvit_t8": {},
    "coatnet_pico_rw_224": {"img_size": 64},
}


@pytest.mark.parametrize("name", TIMM)
def test_timm(name: str, tmp_path: Path) -> None:
    def build() -> nn.Module:
        model: nn.Module = timm.create_model(name, pretrained=False, num_classes=10, **TIMM[name])
        return model

    goes_through(build, torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1)), tmp_path)


TEXT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 99}
IMAGE = {**TEXT, "image_size": 32, "patch_size": 8}
SPEECH = {"conv_dim": (16, 16), "conv_stride": (5, 2), "conv_kernel": (10, 3), "num_conv_pos_embeddings": 16}
WHISPER = {
    "num_mel_bins": 8, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_source_positions": 20, "max_target_positions": 16, "vocab_size": 99,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1,
}  # fmt: skip
PATCHTST = {
    "num_input_channels": 2, "context_length": 32, "patch_length": 8, "patch_stride": 8, "d_model": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2, "ffn_dim": 64, "prediction_length": 8,
}  # fmt: skip
IDS = {"input_ids": torch.arange(14).reshape(2, 7)}
PIXELS = {"pixel_values": torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))}
WAVE = {"input_values": torch.randn(2, 800, generator=torch.Generator().manual_seed(3))}
MEL = {
    "input_features": torch.randn(2, 8, 40, generator=torch.Generator().manual_seed(4)),
    "decoder_input_ids": IDS["input_ids"],
}
PAST = {"past_values": torch.randn(2, 32, 2, generator=torch.Generator().manual_seed(5))}
T5 = {
    "vocab_size": 99,
    "d_model": 32,
    "d_kv": 16,
    "d_ff": 64,
    "num_layers": 2,
    "num_heads": 2,
    "decoder_start_token_id": 0,
}
GPT2 = {
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 2,
    "vocab_size": 99,
    "n_positions": 16,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
TRANSFORMERS: dict[str, tuple[str, dict[str, Any], Inputs]] = {
    "BertForMaskedLM": ("BertConfig", TEXT, IDS),
    "GPT2LMHeadModel": ("GPT2Config", GPT2, IDS),
    "LlamaForCausalLM": ("LlamaConfig", {**TEXT, "num_key_value_heads": 1}, IDS),
    "MixtralForCausalLM": ("MixtralConfig", {**TEXT, "num_key_value_heads": 1, "num_local_experts": 4}, IDS),
    "T5ForConditionalGeneration": ("T5Config", T5, {**IDS, "decoder_input_ids": IDS["input_ids"]}),
    "ViTForImageClassification": ("ViTConfig", IMAGE, PIXELS),
    "CLIPVisionModel": (
        "CLIPVisionConfig",
        {key: value for key, value in IMAGE.items() if key != "vocab_size"},
        PIXELS,
    ),
    "WhisperForConditionalGeneration": ("WhisperConfig", WHISPER, MEL),
    "WavLMModel": ("WavLMConfig", {**TEXT, **SPEECH, "num_conv_pos_embedding_groups": 4}, WAVE),
    "PatchTSTForPrediction": ("PatchTSTConfig", PATCHTST, PAST),
}


def from_transformers(name: str) -> nn.Module:
    config, arguments, _ = TRANSFORMERS[name]
    model: nn.Module = getattr(transformers, name)(getattr(transformers, config)(**arguments))
    return model.eval()


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers(name: str, tmp_path: Path) -> None:
    report = goes_through(lambda: from_transformers(name), TRANSFORMERS[name][2], tmp_path)
    reasons = {layer.name: layer.reason for layer in report.with_status("left")}
    if name == "BertForMaskedLM":
        assert reasons["cls.predictions.decoder"] == "its weight is shared with 'bert.embeddings.word_embeddings'"
    if name == "GPT2LMHeadModel":
        assert reasons["lm_head"] == "its weight is shared with 'transformer.wte'"
        assert [layer.name for layer in report.with_status("tiled")][:2] == [
            "transformer.h.0.attn.c_attn",
            "transformer.h.0.attn.c_proj",
        ]
    if name == "WavLMModel":
        assert reasons["encoder.layers.0.attention.q_proj"] == "WavLMAttention uses its weight directly"


def encoder(activation: str = "relu", norm_first: bool = False, nested: bool = False) -> nn.Module:
    layer = nn.TransformerEncoderLayer(32, 2, 64, activation=activation, batch_first=True, norm_first=norm_first)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=nested)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("padded", [False, True])
def test_the_fast_path_of_torchs_encoder_does_not_go_around_the_tiles(
    activation: str, padded: bool, tmp_path: Path
) -> None:
    """In eval mode without gradients torch passes linear1.weight to one fused call; the answer must be that of the training path."""
    torch.manual_seed(0)
    build = lambda: encoder(activation, nested=padded)  # noqa: E731
    model, x = build().eval(), torch.randn(3, 5, 32)
    mask = torch.tensor([[False] * 5, [False] * 4 + [True], [False] * 2 + [True] * 3]) if padded else None
    report = tbn.tile_(model, CONFIG)
    assert [layer.name for layer in report.with_status("tiled")] == [
        "layers.0.linear1",
        "layers.0.linear2",
        "layers.1.linear1",
    ]
    tbn.save(tbn.freeze(model), tmp_path / "m.safetensors")
    loaded = tbn.load(tmp_path / "m.safetensors", into=build())
    keep = slice(None) if mask is None else ~mask
    expected = model(x, src_key_padding_mask=mask)[keep].detach()  # with gradients: torch's ordinary path
    with torch.no_grad():
        for each in (model, tbn.freeze(model), loaded):
            torch.testing.assert_close(each(x, src_key_padding_mask=mask)[keep], expected, rtol=1e-5, atol=1e-5)
            with torch.inference_mode():
                torch.testing.assert_close(each(x, src_key_padding_mask=mask)[keep], expected, rtol=1e-5, atol=1e-5)


def test_torchs_own_transformer(tmp_path: Path) -> None:
    class Translate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(9, 32)
            self.inner = nn.Transformer(32, 2, 1, 1, 64, batch_first=True)
            self.lstm, self.head = nn.LSTM(32, 32, batch_first=True), nn.Linear(32, 9)

        def forward(self, x: Tensor) -> Tensor:
            tokens = self.embed(x.long())
            out: Tensor = self.head(self.lstm(self.inner(tokens, tokens))[0])
            return out

    goes_through(Translate, torch.arange(14).reshape(2, 7) % 9, tmp_path)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_models_in_half_precision(dtype: torch.dtype, tmp_path: Path) -> None:
    def build() -> nn.Module:
        return from_transformers("GPT2LMHeadModel").to(dtype)

    report = goes_through(build, IDS, tmp_path, tolerance=0.03 if dtype == torch.bfloat16 else 0.004)
    assert len(report.with_status("tiled")) == 8
    image = lambda: timm.create_model("test_vit", num_classes=10, img_size=64).to(dtype)  # noqa: E731
    goes_through(
        image, torch.randn(2, 3, 64, 64).to(dtype), tmp_path, tolerance=0.03 if dtype == torch.bfloat16 else 0.004
    )


@pytest.mark.parametrize("inside", [False, True])
def test_autocast_trains(inside: bool) -> None:
    """Mixed precision with the backward pass after autocast (as torch advises) or inside of it: the gradients are those of float32, nearly."""
    torch.manual_seed(0)
    model = from_transformers("GPT2LMHeadModel")
    tbn.tile_(model, CONFIG)
    names = {name for name, _ in model.named_parameters()}
    main_output(model, IDS).square().mean().backward()
    exact = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        out = main_output(model, IDS)
        assert out.dtype == torch.bfloat16
        loss = out.float().square().mean()
        if inside:
            loss.backward()
    if not inside:
        loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.dtype == torch.float32 and parameter.grad.isfinite().all()
        if "alpha_source" in name or name.endswith("c_fc.weight"):
            names.discard(name)
            cosine = torch.cosine_similarity(parameter.grad.flatten(), exact[name].flatten(), 0)
            assert cosine > 0.98, (name, float(cosine))


def test_autocast_of_a_packed_model() -> None:
    torch.manual_seed(0)
    for model, inputs in (
        (from_transformers("GPT2LMHeadModel"), IDS),
        (from_transformers("ViTForImageClassification"), PIXELS),
    ):
        tbn.tile_(model, CONFIG)
        packed = tbn.freeze(model)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            expected, found = main_output(model, inputs).float(), main_output(packed, inputs).float()
        assert float((expected - found).abs().max() / expected.abs().max()) < 0.03


def test_distributed_training_finds_every_parameter_used(tmp_path: Path) -> None:
    """DistributedDataParallel stops at the second step where a parameter got no gradient in the first."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        model = timm.create_model("test_vit", num_classes=10, img_size=64)
        tbn.tile_(model, CONFIG)
        parallel = nn.parallel.DistributedDataParallel(model)
        for _ in range(2):
            parallel(torch.randn(2, 3, 64, 64)).square().mean().backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
    finally:
        torch.distributed.destroy_process_group()


def test_a_frozen_network_stays_frozen() -> None:
    """Fine-tuning of the head alone: the alpha source of a frozen layer does not train either."""
    model = timm.create_model("test_vit", num_classes=10, img_size=64).requires_grad_(False)
    model.head.requires_grad_(True)
    tbn.tile_(model, CONFIG)
    assert {name for name, each in model.named_parameters() if each.requires_grad} == {
        "head.weight",
        "head.bias",
        "head.alpha_source",
    }


def test_export_refuses_a_transposed_layer_by_name() -> None:
    from tbn.export.network import steps_of

    model = nn.Sequential(transformers.pytorch_utils.Conv1D(8, 16), nn.ReLU(), nn.Linear(8, 4))
    tbn.tile_(model, TilingConfig(p=4, min_layer_size=0))
    with pytest.raises(
        tbn.TBNError,
        match="'0' is a PackedTransposedLinear: the C runtime of this version has fully connected layers and ReLU",
    ):
        steps_of(tbn.freeze(model))
