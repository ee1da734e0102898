"""The ``quantization_config`` of compressed-tensors for what was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accelsim.graph.quantized.coded import bits_of_codes
from accelsim.graph.quantized.scheme import ActivationCodes, Scheme

#: The release whose configuration this is.
VERSION = "0.20.0"
#: How the configuration spells formats of scales that are no plain numbers.
SCALE_TYPES = {"e8m0": "torch.uint8", "ue4m3": "torch.float8_e4m3fn"}
#: Modules that read a weight under another name where it is tied.
_HEADS = ("lm_head",)


def quantization_config(
    schemes: Mapping[str, Scheme], plain: Sequence[str], scales: Mapping[str, str]
) -> dict[str, Any]:
    """Return the configuration.

    Args:
        schemes: by name of the module.
        plain: modules whose matrices stay plain.
        scales: formats of the weights' scales by module.
    """
    groups: dict[tuple[Scheme, str], list[str]] = {}
    for module, scheme in schemes.items():
        groups.setdefault((scheme, scales[module]), []).append(module)
    alone = len(groups) == 1
    ignored = sorted({*plain, *(h for h in _HEADS if h not in schemes)}) if alone else []
    described = {
        f"group_{i}": _group(scheme, fmt, ["Linear"] if alone else modules)
        for i, ((scheme, fmt), modules) in enumerate(groups.items())
    }
    layouts = {scheme.layout for scheme, _ in groups}
    found: dict[str, Any] = {
        "config_groups": described,
        "format": layouts.pop() if len(layouts) == 1 else "mixed-precision",
        "ignore": ignored,
        "kv_cache_scheme": None,
        "quant_method": "compressed-tensors",
        "quantization_status": "compressed",
        "version": VERSION,
    }
    sparse = sorted(name for name, scheme in schemes.items() if scheme.sparsity == "2:4")
    if sparse:
        # As compressed-tensors marked pruned weights that it did not pack.
        found["sparsity_config"] = {
            "format": "dense",
            "sparsity_structure": "2:4",
            "targets": ["Linear"] if alone else sparse,
            "ignore": ignored,
        }
    return found


def _group(scheme: Scheme, scale_format: str, targets: Sequence[str]) -> dict[str, Any]:
    return {
        "format": scheme.layout,
        "input_activations": _activation(scheme),
        "output_activations": None,
        "targets": list(targets),
        "weights": _weights(scheme, scale_format),
    }


def _kind(fmt: str) -> dict[str, Any]:
    return {"num_bits": bits_of_codes(fmt), "type": "int" if fmt.startswith("int") else "float"}


def _weights(scheme: Scheme, scale_format: str) -> dict[str, Any]:
    found = {
        **_kind(scheme.format),
        "symmetric": scheme.symmetric,
        "dynamic": False,
        "group_size": scheme.group if scheme.rows == 1 and scheme.group else None,
        "strategy": _strategy(scheme, scale_format),
    }
    if found["strategy"] == "block":
        found["block_structure"] = [scheme.rows, scheme.group]
    if scale_format in SCALE_TYPES:
        found["scale_dtype"] = SCALE_TYPES[scale_format]
    return found


def _strategy(scheme: Scheme, scale_format: str) -> str:
    if scheme.rows == 1:
        grouped = "tensor_group" if scale_format == "ue4m3" else "group"
        return grouped if scheme.group else "channel"
    return "tensor" if scheme.rows == 0 else "block"


def _activation(scheme: Scheme) -> dict[str, Any] | None:
    wanted = scheme.activation
    if wanted is None:
        return None
    strategy = wanted.granularity if wanted.scale_format != "ue4m3" else "tensor_group"
    found = {
        **_kind(wanted.format),
        "symmetric": wanted.symmetric,
        "dynamic": _dynamic(wanted),
        "group_size": wanted.group or None,
        "strategy": strategy,
    }
    if wanted.scale_format in SCALE_TYPES:
        found["scale_dtype"] = SCALE_TYPES[wanted.scale_format]
    return found


def _dynamic(wanted: ActivationCodes) -> bool | str:
    if wanted.scale_format == "ue4m3":
        return "local"
    return wanted.granularity != "tensor"
