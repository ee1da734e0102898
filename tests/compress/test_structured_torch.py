"""Pruned models against the whole ones in transformers: what was zero leaves the function as is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from accelsim.compress.structured.prune import prune
from accelsim.errors import CheckpointError, InputError

SIZES: dict[str, Any] = {
    "vocab_size": 48, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3,
    "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 4, "rms_norm_eps": 1e-5,
}  # fmt: skip
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"attention_bias": True, "mlp_bias": True},
    "mistral": {"sliding_window": None},
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {},
}


def model_of(family: str) -> Any:
    torch.manual_seed(0)
    kind = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2", "qwen3": "Qwen3"}[family]
    config = getattr(transformers, f"{kind}Config")(**SIZES, **FAMILIES[family])
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    for name, weight in model.named_parameters():
        if "norm" in name:
            weight.data.uniform_(0.5, 1.5)
        elif weight.ndim == 1:
            weight.data.normal_(0, 0.1)
        else:
            weight.data.normal_(0, 0.3)
    return model


def silence_heads(model: Any) -> None:
    for layer in model.model.layers:
        for group in (0, 2):
            layer.self_attn.o_proj.weight.data[:, 8 * group : 8 * group + 8] = 0


def silence_queries(model: Any) -> None:
    for layer in model.model.layers:
        for head in (1, 2, 5, 6):
            layer.self_attn.o_proj.weight.data[:, 4 * head : 4 * head + 4] = 0


def silence_ffn(model: Any) -> None:
    for layer in model.model.layers:
        layer.mlp.down_proj.weight.data[:, ::2] = 0


def silence_hidden(model: Any) -> None:
    gone = slice(8, 16)
    model.model.embed_tokens.weight.data[:, gone] = 0
    for layer in model.model.layers:
        for part in (layer.self_attn.o_proj, layer.mlp.down_proj):
            part.weight.data[gone] = 0
            if part.bias is not None:
                part.bias.data[gone] = 0


def silence_layer(model: Any) -> None:
    for part in (model.model.layers[1].self_attn.o_proj, model.model.layers[1].mlp.down_proj):
        part.weight.data[:] = 0
        if part.bias is not None:
            part.bias.data[:] = 0


CASES: dict[str, tuple[dict[str, float], Callable[[Any], None]]] = {
    "heads": ({"heads": 0.5}, silence_heads),
    "queries": ({"queries": 0.5}, silence_queries),
    "ffn": ({"ffn": 0.5}, silence_ffn),
    "hidden": ({"hidden": 0.25}, silence_hidden),
    "layers": ({"layers": 1 / 3}, silence_layer),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("part", CASES)
def test_zero_parts_leave_the_function_as_it_was(family: str, part: str, tmp_path: Path) -> None:
    plan, silence = CASES[part]
    model = model_of(family)
    silence(model)
    model.save_pretrained(tmp_path / "whole")
    folder = prune(tmp_path / "whole", plan, tmp_path / "smaller")
    smaller, said = transformers.AutoModelForCausalLM.from_pretrained(
        folder, output_loading_info=True
    )
    assert not said["missing_keys"] and not said["unexpected_keys"]
    assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in model.parameters())
    tokens = torch.arange(20).reshape(1, 20)
    with torch.no_grad():
        wanted, found = model(tokens).logits, smaller(tokens).logits
    assert wanted.std() > 0.1
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_heads_that_transformers_would_not_load_are_refused(tmp_path: Path) -> None:
    model_of("llama").save_pretrained(tmp_path / "whole")
    with pytest.raises(InputError, match="6 query heads and a width of 32 would stay"):
        prune(tmp_path / "whole", {"heads": 0.25}, tmp_path / "smaller")
    assert not (tmp_path / "smaller").exists()


def test_what_is_not_finite_is_refused(tmp_path: Path) -> None:
    model = model_of("llama")
    model.model.layers[0].mlp.up_proj.weight.data[0, 0] = float("nan")
    model.save_pretrained(tmp_path / "whole")
    with pytest.raises(CheckpointError, match="NaN or infinite"):
        prune(tmp_path / "whole", {"ffn": 0.5}, tmp_path / "smaller")
    assert not (tmp_path / "smaller").exists()
