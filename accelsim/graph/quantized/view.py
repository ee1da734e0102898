"""A quantized checkpoint as a model sees it: one weight per module, whatever it is kept as."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from accelsim.errors import CheckpointError
from accelsim.graph.checkpoint import Checkpoint, Entry
from accelsim.graph.quantized import described_compressed, described_others
from accelsim.graph.quantized.coded import CodedWeight
from accelsim.graph.quantized.described import Described, Settings
from accelsim.graph.quantized.layout import Layout
from accelsim.graph.quantized.layouts import LAYOUTS
from accelsim.graph.quantized.layouts_torchao import SCALE
from accelsim.graph.quantized.raw import FORMAT_OF, Raw, numbers, read_raw
from accelsim.graph.quantized.scheme import Scheme

#: Methods of quantization whose checkpoints are read.
METHODS: Mapping[str, Callable[[Settings], Described]] = {
    "compressed-tensors": described_compressed.describe,
    "gptq": described_others.describe_gptq,
    "awq": described_others.describe_awq,
    "torchao": described_others.describe_torchao,
}
#: Keys of a configuration that speak of codes, and files that do in their place.
KEYS = ("quantization_config", "compression_config")
BESIDE = {"quantize_config.json": "gptq", "quant_config.json": "awq"}
#: Tensors of a module that hold its scales, and that tell how its activations are coded.
SCALES = ("weight_scale", "scales", SCALE)
INPUTS = ("input_scale", "input_global_scale", "input_zero_point")


@dataclass(frozen=True, slots=True)
class CodedEntry(Entry):
    """The weight of a module that lies in a checkpoint as codes.

    Attributes:
        module: the module's name in the checkpoint.
        scheme: how it is quantized.
        parts: its tensors by local names; ``dtype``, ``file`` and ``offset`` are the first one's.
    """

    module: str = ""
    scheme: Scheme = field(default_factory=lambda: Scheme("", ""))
    parts: Mapping[str, Entry] = field(default_factory=dict)

    @property
    def files(self) -> frozenset[Path]:
        """Where its parts lie."""
        return frozenset(entry.file for entry in self.parts.values())

    @property
    def scale_format(self) -> str:
        """Format of its scales, as the file's type of them tells."""
        kind = next(e.dtype for name, e in self.parts.items() if name in SCALES)
        return FORMAT_OF.get("F8_E8M0" if kind == "U8" else kind, "fp32")

    def read(self) -> CodedWeight:
        """Return its codes and scales.

        Raises:
            CheckpointError: they cannot be read, do not belong together, or are not finite.
        """
        raw = {
            local: read_raw(f"{self.module}.{local}", entry)
            for local, entry in self.parts.items()
            if local not in INPUTS
        }
        found = LAYOUTS[self.scheme.layout].read(self.module, raw, self.scheme)
        found.check(f"{self.file}: {self.module}.weight")
        if found.shape != self.shape:
            raise CheckpointError(
                f"{self.file}: {self.module}.weight holds codes {list(found.shape)}, "
                f"{list(self.shape)} are announced"
            )
        return found

    def input_scale(self) -> float | None:
        """Return the one scale of its activations, where it is known beforehand."""
        if "input_scale" not in self.parts:
            return None
        name = f"{self.module}.input_scale"
        return float(numbers(name, read_raw(name, self.parts["input_scale"])).reshape(-1)[0])


def quantization_of(config: Path) -> tuple[Any, str] | None:
    """Return what a model's configuration says about codes, and where; None: nothing.

    Older checkpoints of GPTQ and AWQ say it in a file of its own beside the configuration.

    Raises:
        CheckpointError: a file that is no JSON.
    """
    whole = _mapping(config)
    inner = whole.get("text_config")
    for part in (whole, inner if isinstance(inner, Mapping) else {}):
        for key in KEYS:
            if part.get(key):
                return part[key], f"{config}: {key}"
    for name, method in BESIDE.items():
        path = config.with_name(name)
        if path.is_file():
            return {"quant_method": method, **_mapping(path)}, str(path)
    return None


def _mapping(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read as JSON: {error}") from None
    return found if isinstance(found, Mapping) else {}


def coded_view(checkpoint: Checkpoint, config: Any, where: str) -> Checkpoint:
    """Return a checkpoint with ``module.weight`` for what is kept as codes.

    Args:
        checkpoint: what the files hold.
        config: the model's ``quantization_config``.
        where: its place, for messages.

    Raises:
        CheckpointError: a method or setting that is not read, or tensors that it does not have.
    """
    settings = Settings(config, where)
    described = METHODS[settings.choice("quant_method", tuple(METHODS))](settings)
    modules: dict[str, dict[str, Entry]] = {}
    for name, entry in checkpoint.items():
        module, _, local = name.rpartition(".")
        modules.setdefault(module, {})[local] = entry
    found = dict(checkpoint)
    count = 0
    for module, tensors in modules.items():
        if any(marker in tensors for marker in described.markers):
            entry = _coded(module, tensors, described, where)
            for local in entry.parts:
                del found[f"{module}.{local}"]
            found[f"{module}.weight"] = entry
            count += 1
    if not count:
        raise CheckpointError(
            f"{where}: says {described.method}, and no tensor of the "
            f"checkpoint is one of its ({', '.join(described.markers)})"
        )
    return found


def _coded(
    module: str, tensors: Mapping[str, Entry], described: Described, where: str
) -> CodedEntry:
    scheme = described.scheme(module, tensors)
    layout = LAYOUTS[scheme.layout]
    needed = [*layout.needed, *_inputs(scheme, layout)]
    if not scheme.symmetric and "weight_zero_point" in layout.optional:
        needed.append("weight_zero_point")
    missing = [local for local in needed if local not in tensors]
    if missing:
        raise CheckpointError(
            f"{where}: {module} is {scheme.layout} and lacks {', '.join(missing)}"
        )
    wanted = dict.fromkeys((*needed, *layout.optional, *_allowed(scheme)))
    parts = {local: tensors[local] for local in wanted if local in tensors}
    for local, entry in parts.items():
        if len(entry.shape) > 2 or 0 in entry.shape:
            raise CheckpointError(
                f"{entry.file}: {module}.{local} is {list(entry.shape)}; a matrix with something "
                "in it is needed"
            )
    first, shape = parts[layout.needed[0]], _shape(module, parts, scheme)
    scheme = _simplest(scheme, shape)
    return CodedEntry(first.dtype, shape, first.file, first.offset, module, scheme, parts)


def _inputs(scheme: Scheme, layout: Layout) -> tuple[str, ...]:
    """Tensors that activations need whose scales are known beforehand; torchao names its own."""
    wanted = scheme.activation
    if wanted is None or "weight_scale" not in layout.needed:
        return ()
    if wanted.scale_format == "ue4m3":
        return ("input_global_scale",)
    return ("input_scale",) if wanted.granularity == "tensor" else ()


def _allowed(scheme: Scheme) -> tuple[str, ...]:
    wanted = scheme.activation
    return ("input_zero_point",) if wanted is not None and wanted.granularity == "tensor" else ()


def _shape(module: str, parts: Mapping[str, Entry], scheme: Scheme) -> tuple[int, int]:
    """Return outputs and inputs of a weight, from the sizes of its tensors where they tell."""
    layout = LAYOUTS[scheme.layout]
    first = parts[layout.needed[0]]
    try:
        found = layout.shape({local: entry.shape for local, entry in parts.items()}, scheme)
        n, k = found or _announced(module, parts["weight_shape"])
    except ValueError:
        raise CheckpointError(
            f"{first.file}: {module}.{layout.needed[0]} is {list(first.shape)}; two sizes are "
            "needed"
        ) from None
    if min(n, k) < 1:
        raise CheckpointError(f"{first.file}: {module}.weight is {[n, k]}; it needs both sizes")
    return n, k


def _simplest(scheme: Scheme, shape: tuple[int, int]) -> Scheme:
    """Call a run of all of k a row, and a block as high as the weight the whole tensor.

    MX and NVFP4 keep their blocks, however short a row is.
    """
    if scheme.layout.removeprefix("torchao-").startswith(("mx", "nvfp4")):
        return scheme
    n, k = shape
    group = 0 if scheme.group >= k else scheme.group
    rows = 0 if scheme.rows >= n > 1 else scheme.rows
    return replace(scheme, group=group, rows=rows)


def _announced(module: str, entry: Entry) -> tuple[int, ...]:
    raw: Raw = read_raw(f"{module}.weight_shape", entry)
    return tuple(int(size) for size in raw.values.reshape(-1))
