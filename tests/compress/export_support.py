"""Weights in codes, made with NumPy alone, and a small model to hold them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.compress.export.contents import CodedTensor, Content, PlainTensor
from accelsim.graph.quantized.coded import CodedWeight, numbers_of
from accelsim.graph.quantized.scheme import ActivationCodes
from accelsim_kernels.rounding import round_to

Array = npt.NDArray[Any]

HIDDEN, HEADS, KV_HEADS, FFN, VOCABULARY, LAYERS = 64, 4, 2, 128, 96, 2
LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN,
    "intermediate_size": FFN, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
    "num_hidden_layers": LAYERS, "vocab_size": VOCABULARY, "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": False,
    "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2, "dtype": "float32",
}  # fmt: skip
#: Formats of one test each: codes, group, rows, scales, activation.
CASES: dict[str, tuple[str, int, int, str, ActivationCodes | None]] = {
    "int8_channel": ("int8", 0, 1, "fp32", ActivationCodes("int8")),
    "int8_tensor": (
        "int8", 0, 0, "fp32", ActivationCodes("int8", "tensor"),
    ),
    "int8_weight_only": ("int8", 32, 1, "fp32", None),
    "int4_group": ("int4", 32, 1, "fp32", None),
    "int4_group_int8": ("int4", 32, 1, "fp32", ActivationCodes("int8")),
    "int4_channel_int4": ("int4", 0, 1, "fp32", ActivationCodes("int4")),
    "int3_group": ("int3", 32, 1, "fp32", None),
    "int2_group": ("int2", 16, 1, "fp32", None),
    "fp8_channel": ("fp8_e4m3", 0, 1, "fp32", ActivationCodes("fp8_e4m3")),
    "fp8_tensor": ("fp8_e4m3", 0, 0, "fp32", ActivationCodes("fp8_e4m3", "tensor")),
    "fp8_weight_only": ("fp8_e4m3", 0, 1, "fp32", None),
    "fp8_block": (
        "fp8_e4m3", 32, 32, "fp32", ActivationCodes("fp8_e4m3", "group", 32),
    ),
    "mxfp4": ("fp4_e2m1", 32, 1, "e8m0", ActivationCodes("fp4_e2m1", "group", 32, "e8m0")),
    "mxfp4_weight_only": ("fp4_e2m1", 32, 1, "e8m0", None),
    "mxfp6_weight_only": ("fp6_e2m3", 32, 1, "e8m0", None),
    "mxfp8": ("fp8_e4m3", 32, 1, "e8m0", ActivationCodes("fp8_e4m3", "group", 32, "e8m0")),
    "nvfp4": ("fp4_e2m1", 16, 1, "ue4m3", ActivationCodes("fp4_e2m1", "group", 16, "ue4m3")),
    "nvfp4_weight_only": ("fp4_e2m1", 16, 1, "ue4m3", None),
}  # fmt: skip


def random_weight(
    rng: np.random.Generator,
    shape: tuple[int, int],
    case: str,
    zero_points: bool = False,
    plain: str = "fp32",
) -> CodedWeight:
    """Every code of the format, and scales that are numbers of theirs."""
    fmt, group, rows, scale_format, _ = CASES[case]
    scale_format = plain if scale_format == "fp32" else scale_format
    n, k = shape
    if fmt.startswith("int"):
        half = 1 << (int(fmt[3:]) - 1)
        codes: Array = rng.integers(-half, half, shape, np.int8)
    else:
        table = numbers_of(fmt)
        codes = rng.choice(np.flatnonzero(np.isfinite(table)), shape).astype(np.uint8)
    blocks = (-(-n // (rows or n)), -(-k // (group or k)))
    points = rng.integers(-half, half, blocks).astype(np.int16) if zero_points else None
    whole = np.float32(rng.uniform(500, 900)) if scale_format == "ue4m3" else None
    return CodedWeight(
        fmt, codes, random_scales(rng, blocks, scale_format), scale_format, group, rows, points,
        whole,
    )  # fmt: skip


def random_scales(rng: np.random.Generator, shape: tuple[int, ...], fmt: str) -> Array:
    if fmt == "e8m0":
        return np.exp2(rng.integers(-12, 3, shape)).astype(np.float32)
    if fmt == "ue4m3":
        return numbers_of(fmt)[rng.integers(1, 127, shape)]
    found = rng.uniform(1e-3, 2e-2, shape).astype(np.float32)
    if fmt == "fp16":
        return found.astype(np.float16).astype(np.float32)
    if fmt == "bf16":
        return (found.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    return found


def shapes() -> Iterator[tuple[str, tuple[int, ...], bool]]:
    """Names and shapes of the model's tensors, and whether a recipe would code them."""
    kv = HIDDEN // HEADS * KV_HEADS
    yield "model.embed_tokens.weight", (VOCABULARY, HIDDEN), False
    for i in range(LAYERS):
        head = f"model.layers.{i}"
        yield f"{head}.input_layernorm.weight", (HIDDEN,), False
        yield f"{head}.post_attention_layernorm.weight", (HIDDEN,), False
        for name, rows in (("q", HIDDEN), ("k", kv), ("v", kv), ("o", HIDDEN)):
            yield f"{head}.self_attn.{name}_proj.weight", (rows, HIDDEN), True
        yield f"{head}.mlp.gate_proj.weight", (FFN, HIDDEN), True
        yield f"{head}.mlp.up_proj.weight", (FFN, HIDDEN), True
        yield f"{head}.mlp.down_proj.weight", (HIDDEN, FFN), True
    yield "model.norm.weight", (HIDDEN,), False
    yield "lm_head.weight", (VOCABULARY, HIDDEN), False


def model(
    case: str,
    seed: int = 0,
    zero_points: bool = False,
    scale_format: str = "fp32",
    storage: str = "fp32",
) -> dict[str, Content]:
    """Every tensor of the model, products in codes."""
    rng = np.random.default_rng(seed)
    activation = CASES[case][4]
    static = np.float32(0.02) if activation and activation.granularity == "tensor" else None
    nv = activation is not None and activation.scale_format == "ue4m3"
    found: dict[str, Content] = {}
    for name, shape, coded in shapes():
        if coded:
            weight = random_weight(rng, (shape[0], shape[1]), case, zero_points, scale_format)
            found[name] = CodedTensor(weight, activation, static, np.float32(700) if nv else None)
        else:
            values = round_to(rng.normal(0, 0.1, shape).astype(np.float32), storage)
            found[name] = PlainTensor(values, storage)
    return found


def config_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return found
