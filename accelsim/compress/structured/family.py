"""Decoders that structured pruning knows: which axis of which tensor belongs to what.

Llama and its relatives name their tensors alike; a family is one entry of a table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from accelsim.compress.structured.plan import Sizes
from accelsim.errors import CheckpointError, InputError

#: What an axis runs over; None: over something that pruning leaves alone.
Axis = str | None
QUERY, KEY, FFN, HIDDEN = "query", "key", "ffn", "hidden"

#: Axes of a layer's tensors, by their names inside the layer.
LAYER: Mapping[str, tuple[Axis, ...]] = {
    "self_attn.q_proj.weight": (QUERY, HIDDEN),
    "self_attn.k_proj.weight": (KEY, HIDDEN),
    "self_attn.v_proj.weight": (KEY, HIDDEN),
    "self_attn.o_proj.weight": (HIDDEN, QUERY),
    "self_attn.q_proj.bias": (QUERY,),
    "self_attn.k_proj.bias": (KEY,),
    "self_attn.v_proj.bias": (KEY,),
    "self_attn.o_proj.bias": (HIDDEN,),
    "self_attn.q_norm.weight": (None,),
    "self_attn.k_norm.weight": (None,),
    "mlp.gate_proj.weight": (FFN, HIDDEN),
    "mlp.up_proj.weight": (FFN, HIDDEN),
    "mlp.down_proj.weight": (HIDDEN, FFN),
    "mlp.gate_proj.bias": (FFN,),
    "mlp.up_proj.bias": (FFN,),
    "mlp.down_proj.bias": (HIDDEN,),
    "input_layernorm.weight": (HIDDEN,),
    "post_attention_layernorm.weight": (HIDDEN,),
}
#: Axes of the others.
WHOLE: Mapping[str, tuple[Axis, ...]] = {
    "model.embed_tokens.weight": (None, HIDDEN),
    "model.norm.weight": (HIDDEN,),
    "lm_head.weight": (None, HIDDEN),
}
#: Weights of RMS norms over the residual stream.
NORMS = ("input_layernorm.weight", "post_attention_layernorm.weight", "model.norm.weight")
#: Families whose tensors are these.
FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
#: Of these, transformers loads no model whose width is no multiple of its query heads.
WHOLE_HEADS = ("llama",)
_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)")


@dataclass(frozen=True)
class Place:
    """Where a tensor belongs.

    Attributes:
        layer: number of its layer; None outside of them.
        role: its name inside the layer, or its whole name.
        axes: what its axes run over.
    """

    layer: int | None
    role: str
    axes: tuple[Axis, ...]


def place_of(name: str) -> Place:
    """Return where a tensor of a checkpoint belongs.

    Raises:
        CheckpointError: a tensor that these families do not have.
    """
    found = _LAYER.fullmatch(name)
    if found is not None and found[2] in LAYER:
        return Place(int(found[1]), found[2], LAYER[found[2]])
    if name in WHOLE:
        return Place(None, name, WHOLE[name])
    if name.endswith("rotary_emb.inv_freq"):
        return Place(int(found[1]) if found else None, name, (None,))
    raise CheckpointError(
        f"{name!r} is no tensor of {', '.join(FAMILIES)}: it is not known what to cut from it"
    )


def name_of(layer: int, role: str) -> str:
    """Return the name of a layer's tensor."""
    return f"model.layers.{layer}.{role}"


def sizes_of(config: Mapping[str, Any], where: str) -> Sizes:
    """Return the sizes of a configuration.

    Raises:
        InputError: another family, a model that is quantized already, or sizes that do not fit.
    """
    family = config.get("model_type")
    if family not in FAMILIES:
        raise InputError(
            f"{where}: structured pruning knows {', '.join(FAMILIES)}; this is {family!r}"
        )
    if "quantization_config" in config:
        raise InputError(f"{where}: the model is quantized: prune it before that")
    try:
        layers, heads = int(config["num_hidden_layers"]), int(config["num_attention_heads"])
        hidden, ffn = int(config["hidden_size"]), int(config["intermediate_size"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{where}: config.json lacks a size ({error})") from None
    kv_heads = int(config.get("num_key_value_heads") or heads)
    if min(layers, heads, kv_heads, hidden, ffn) < 1 or heads % kv_heads:
        raise InputError(
            f"{where}: {heads} query heads and {kv_heads} of keys and values do not fit together"
        )
    depth = int(config.get("head_dim") or hidden // heads)
    return Sizes(layers, kv_heads, heads // kv_heads, depth, ffn, hidden)


def resized(config: Mapping[str, Any], old: Sizes, new: Sizes, kept: tuple[int, ...]) -> Any:
    """Return the configuration of a pruned model.

    Args:
        config: that of the whole model.
        old: its sizes.
        new: sizes that stay.
        kept: layers that stay.

    Raises:
        InputError: sizes that transformers does not load.
    """
    heads = new.kv_heads * new.queries
    if config["model_type"] in WHOLE_HEADS and new.hidden % heads:
        raise InputError(
            f"plan: {heads} query heads and a width of {new.hidden} would stay; of the family "
            f"{config['model_type']}, transformers loads only widths that are multiples of the "
            "heads"
        )
    made = {
        **config,
        "num_hidden_layers": new.layers,
        "num_attention_heads": heads,
        "num_key_value_heads": new.kv_heads,
        "head_dim": new.head_dim,
        "intermediate_size": new.ffn,
        "hidden_size": new.hidden,
    }
    if new.hidden != old.hidden:
        # The mean of squares is taken over fewer channels.
        made["rms_norm_eps"] = float(config["rms_norm_eps"]) * old.hidden / new.hidden
    if isinstance(config.get("layer_types"), list):
        made["layer_types"] = [config["layer_types"][layer] for layer in kept]
    if isinstance(config.get("max_window_layers"), int):
        made["max_window_layers"] = sum(layer < config["max_window_layers"] for layer in kept)
    return made
