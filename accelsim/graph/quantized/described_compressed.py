"""The configuration of compressed-tensors: groups of modules, and how each is quantized."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from accelsim.errors import CheckpointError
from accelsim.graph.checkpoint import Entry
from accelsim.graph.quantized.described import PATTERN, Described, Settings, codes_of
from accelsim.graph.quantized.scheme import ActivationCodes, Scheme

#: Its formats that are read, and what codes each keeps.
FORMATS: Mapping[str, tuple[str, ...]] = {
    "int-quantized": ("int",), "float-quantized": ("fp8",), "naive-quantized": ("int", "fp8"),
    "pack-quantized": ("int",), "mxfp4-pack-quantized": ("fp4",),
    "mxfp6-pack-quantized": ("fp6",), "mxfp8-quantized": ("fp8",),
    "nvfp4-pack-quantized": ("fp4",),
}  # fmt: skip
_MX = ("mxfp4-pack-quantized", "mxfp6-pack-quantized", "mxfp8-quantized")
MIXED, SPARSE = "mixed-precision", "sparse-24-bitmask"
MARKERS = ("weight_scale", "weight_packed", "compressed")


def describe(settings: Settings) -> Described:
    """Return what a configuration of compressed-tensors says.

    Raises:
        CheckpointError: a key or value that is not read.
    """
    settings.absent("transform_config", "kv_cache_scheme", "moe_sparsity_config")
    settings.choice("quantization_status", ("compressed", "frozen"), "compressed")
    whole = settings.choice("format", (*FORMATS, MIXED))
    groups = settings.part("config_groups")
    found = [
        (groups.part(name).names("targets"), _scheme(groups.part(name), whole))
        for name in groups.values
    ]
    ignored = settings.names("ignore")
    sparsity = _Sparsity(settings)

    def scheme(module: str, parts: Mapping[str, Entry]) -> Scheme:
        chosen = None if matches(module, ignored) else _chosen(module, found)
        if chosen is None:
            raise CheckpointError(
                f"{settings.where}: {module} has codes in the file, and no group of the "
                "configuration is meant for it"
            )
        return sparsity.applied(module, chosen, parts)

    return Described("compressed-tensors", MARKERS, scheme)


def matches(module: str, names: Sequence[str]) -> bool:
    """Whether a module is named, by itself or by a pattern ``re:...``."""
    return module in names or any(
        name.startswith(PATTERN) and re.match(name.removeprefix(PATTERN), module) for name in names
    )


def _chosen(
    module: str, groups: Sequence[tuple[Sequence[str], Scheme]]
) -> Scheme | None:  # fmt: skip
    """Names come before patterns, and both before classes, which the file does not tell apart."""
    for targets, scheme in groups:
        if module in targets:
            return scheme
    for targets, scheme in groups:
        if matches(module, targets):
            return scheme
    for targets, scheme in groups:
        if any(not t.startswith(PATTERN) and "." not in t for t in targets):
            return scheme
    return None


def _scheme(group: Settings, whole: str) -> Scheme:
    group.absent("output_activations")
    layout = group.choice("format", tuple(FORMATS), None if whole == MIXED else whole)
    weights = group.part("weights")
    if not codes_of(weights).startswith(FORMATS[layout]):
        raise CheckpointError(f"{weights.where}: {layout} keeps no {codes_of(weights)} codes")
    strategy = weights.choice(
        "strategy", ("tensor", "channel", "group", "tensor_group", "block"), _inferred(weights)
    )
    found = Scheme(
        layout, codes_of(weights), symmetric=weights.flag("symmetric", True),
        activation=_activation(group, layout),
    )  # fmt: skip
    if strategy == "tensor":
        return replace(found, rows=0)
    if strategy == "block":
        rows, columns = _block(weights)
        return replace(found, rows=rows, group=columns)
    if strategy == "channel":
        return found
    return replace(found, group=weights.integer("group_size"))


def _inferred(weights: Settings) -> str:
    size = weights.values.get("group_size")
    return "tensor" if size is None else "channel" if size == -1 else "group"


def _block(weights: Settings) -> tuple[int, int]:
    found = weights.values.get("block_structure")
    if isinstance(found, str):
        found = [int(size) if size.isdecimal() else 0 for size in found.split("x")]
    if (
        not isinstance(found, list)
        or len(found) != 2
        or not all(isinstance(size, int) and size > 0 for size in found)
    ):
        raise CheckpointError(
            f"{weights.where}.block_structure: is {found!r}; two whole numbers are needed"
        )
    return found[0], found[1]


def _activation(group: Settings, layout: str) -> ActivationCodes | None:
    if group.values.get("input_activations") is None:
        return None
    given = group.part("input_activations")
    strategy = given.choice("strategy", ("token", "tensor", "group", "tensor_group"), "tensor")
    fmt, size = codes_of(given), 0
    scale = "fp32"
    granularity: Literal["token", "tensor", "group"] = "token"
    if strategy == "tensor":
        granularity = "tensor"
        if given.values.get("dynamic"):
            raise CheckpointError(f"{given.where}: one scale found at run time is not read")
    elif strategy != "token":
        granularity, size = "group", given.integer("group_size")
        named = given.values.get("scale_dtype")
        powers = str(named).endswith("uint8") or (named is None and layout in _MX and size == 32)
        scale = "ue4m3" if strategy == "tensor_group" else "e8m0" if powers else "fp32"
    return ActivationCodes(fmt, granularity, size, scale, given.flag("symmetric", True))


class _Sparsity:
    """Which modules are pruned 2:4, and whether only what is kept lies in the file."""

    def __init__(self, settings: Settings) -> None:
        self.targets: tuple[str, ...] = ()
        self.ignored: tuple[str, ...] = ()
        self.where = settings.where
        if not settings.values.get("sparsity_config"):
            return
        given = settings.part("sparsity_config")
        given.choice("format", ("dense", SPARSE))
        if given.choice("sparsity_structure", ("2:4", "unstructured", "0:0"), "0:0") == "2:4":
            self.targets, self.ignored = given.names("targets"), given.names("ignore")

    def applied(self, module: str, scheme: Scheme, parts: Mapping[str, Entry]) -> Scheme:
        if "compressed" in parts:
            return replace(scheme, layout=SPARSE, sparsity="2:4")
        classes = any("." not in t and not t.startswith(PATTERN) for t in self.targets)
        meant = matches(module, self.targets) or classes
        if not meant or matches(module, self.ignored):
            return scheme
        return replace(scheme, sparsity="2:4")
