"""Rows of mapping tables as layers and hierarchies.

The tables give loops and widths, not strides. A stride follows from the rows before: a layer reads
the latest output that has its input's channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from accelsim.mapping.loopnest.layer import DIMS, Kind, Layer
from accelsim.spec.hierarchy import OPERANDS, HierarchySpec, load_hierarchy, shipped_hierarchies

Row = Mapping[str, str]

#: Names in the tables, and ours.
_HARDWARE = {
    "tpu_like (no output register)": "tpu_like_no_register",
}
_KINDS: dict[str, Kind] = {
    "Conv": "conv",
    "Conv_downsample": "conv",
    "Gemm": "gemm",
    "Pooling": "pool",
    "Add": "add",
}
#: Loops that GEMM layers call otherwise; D is a batch of 1.
_LOOPS = {"D0": "B", "D1": "K", "D2": "C", "D": "B"}
#: Width of the pictures of the networks in the tables.
_IMAGE = 224
#: Taps of a first layer after which a pool halves the picture, in tables without pools.
_STEM_TAPS = 7


def pairs_of(text: str) -> dict[str, int]:
    """Read ``B=1 K=64`` or ``W=8 I=8``.

    Raises:
        ValueError: it is not of this form.
    """
    found = {}
    for part in text.split():
        name, value = part.split("=")
        found[name] = int(value)
    return found


def hierarchy_of(name: str, *, per_bit: bool = False) -> HierarchySpec | None:
    """Return the hierarchy of a table's name, or None where we have none.

    Args:
        name: in the column ``hw``.
        per_bit: whether the table's tool charges accesses by the bit.
    """
    known = _HARDWARE.get(name, f"{name}_per_bit" if per_bit else name)
    return load_hierarchy(known) if known in shipped_hierarchies() else None


def layer_of(row: Row, stride: int = 1, padded: bool = False) -> Layer | None:
    """Return a row's layer, or None where the row cannot be read.

    Args:
        row: with ``dims``, and where the table has them ``precision`` and ``type``.
        stride: of its windows.
        padded: whether its input is stored without the zeros around it.
    """
    try:
        sizes = {_LOOPS.get(n, n): v for n, v in pairs_of(row["dims"]).items()}
        bits = pairs_of(row.get("precision", "") or "W=8 I=8 O=8")
        kind = _KINDS[row.get("type", "") or "Gemm"]
        widths = {operand: bits[operand] for operand in OPERANDS}
    except (ValueError, KeyError):
        return None
    if any(size < 1 for size in sizes.values()) or not set(sizes) <= set(DIMS):
        return None
    stored = (stride * sizes.get("OY", 1), stride * sizes.get("OX", 1)) if padded else None
    final = bits.get("O_final", widths["O"])
    name = row.get("layer", "") or "layer"
    return Layer(kind, sizes, widths, final, (stride, stride), stored, name)


@dataclass(frozen=True, slots=True)
class _Output:
    channels: int
    columns: int


def strides(rows: Sequence[Row]) -> list[int]:
    """Return the strides of a table's rows."""
    seen: dict[tuple[str, str, str], list[_Output]] = {}
    pools = {_network(row) for row in rows if row.get("type") == "Pooling"}
    found = []
    for row in rows:
        network = _network(row)
        before = seen.setdefault(network, [])
        layer = layer_of(row)
        if layer is None or layer.kind == "gemm":
            found.append(1)
            continue
        stride = _stride(layer, before)
        found.append(stride)
        columns = layer.size("OX")
        if layer.size("FX") == _STEM_TAPS and layer.size("C") <= 4 and network not in pools:
            columns //= 2
        before.append(_Output(layer.size("G") * layer.size("K"), columns))
    return found


def _network(row: Row) -> tuple[str, str, str]:
    return row.get("hw", ""), row.get("workload", ""), row.get("opt", "")


def _stride(layer: Layer, before: Iterable[_Output]) -> int:
    if layer.kind == "add" or layer.size("OX") == 1:
        return 1
    channels = layer.size("G") * layer.size("C")
    sources = [output for output in before if output.channels == channels]
    if sources:
        return max(1, round(sources[-1].columns / layer.size("OX")))
    if channels <= 4:
        return max(1, round(_IMAGE / layer.size("OX")))
    # A table that starts in the middle: residual networks double their channels where they halve.
    return 2 if layer.size("K") == 2 * layer.size("C") else 1


def is_padded(row: Row) -> bool:
    """Whether a table's network knows its padding; the ones written by hand do not."""
    return row.get("workload", "").endswith(".onnx")
