"""Topologies of SCALE-Sim: the CSV of layers, read as it is found, and as a graph.

Columns are read by their place, as SCALE-Sim does: a convolution is a name, height and width of the
input, height and width of the filter, channels, filters and stride; a product is a name, M, N and
K. After them may come a ratio ``N:M`` of kept weights. Empty rows, further columns and a missing
comma at the end of a row do no harm here. There is no padding: it is part of the input's size.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from accelsim.errors import FileError, InputError, Mistake
from accelsim.graph.ir import Attr, Graph, Op, Tensor
from accelsim.graph.ops import verify
from accelsim.graph.request import GraphRequest, Kind
from accelsim.graph.values import ModelValues

KINDS = ("conv", "gemm")
_CONV = ("IFMAP height", "IFMAP width", "filter height", "filter width", "channels", "filters",
         "stride")  # fmt: skip
_GEMM = ("M", "N", "K")
_RATIO = re.compile(r"(\d+)\s*:\s*(\d+)")
#: A name with these letters is a depthwise convolution: one layer per channel.
_DEPTHWISE = "DP"


@dataclass(frozen=True, slots=True)
class Layer:
    """One row of a topology.

    A product of M x K and K x N is a convolution of an M x K input with N filters of 1 x K.

    Attributes:
        kept, of: the ratio of kept weights, 1 of 1 where the row names none.
    """

    name: str
    in_h: int
    in_w: int
    filter_h: int
    filter_w: int
    channels: int
    filters: int
    stride: int
    kept: int = 1
    of: int = 1

    @property
    def out_h(self) -> int:
        """Rows of the output; the last window may reach beyond the input."""
        return -(-(self.in_h - self.filter_h + self.stride) // self.stride)

    @property
    def out_w(self) -> int:
        """Columns of the output."""
        return -(-(self.in_w - self.filter_w + self.stride) // self.stride)

    @property
    def m(self) -> int:
        """Pixels of an output channel."""
        return self.out_h * self.out_w

    @property
    def n(self) -> int:
        """Output channels."""
        return self.filters

    @property
    def k(self) -> int:
        """Elements of a filter."""
        return self.filter_h * self.filter_w * self.channels

    @property
    def macs(self) -> int:
        """Multiply-accumulates, no weight left out."""
        return self.m * self.n * self.k


@dataclass(frozen=True)
class Topology:
    """The layers of a file, in order."""

    name: str
    kind: str
    layers: tuple[Layer, ...]


def read_topology(path: str | Path, kind: str | None = None) -> Topology:
    """Read a topology.

    Args:
        path: the CSV.
        kind: ``conv`` or ``gemm``; None: what its header says.

    Raises:
        InputError: the file cannot be read.
        FileError: rows that are no layers, all of them with their lines.
    """
    file = Path(path)
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read: it is not UTF-8 text") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    found = _kind_of(lines, str(path), kind)
    reader = _Reader(str(path), found)
    layers = [
        layer for number, line in enumerate(lines[1:], 2) for layer in reader.row(number, line)
    ]
    if not layers and not reader.mistakes:
        reader.mistakes.append(Mistake(f"{path}:2:1", "", "there is no layer"))
    if reader.mistakes:
        raise FileError(reader.mistakes)
    return Topology(file.stem, found, tuple(layers))


def _kind_of(lines: Sequence[str], where: str, asked: str | None) -> str:
    """Return what the header says; ``asked`` must not contradict it, and decides where it is vague.

    SCALE-Sim itself skips the first line whatever it holds.
    """
    cells = [cell.strip().lower() for cell in (lines[0] if lines else "").split(",")]
    named = [cell for cell in cells if cell]
    told: str | None = None
    if cells[1:4] == ["m", "n", "k"]:
        told = "gemm"
    elif len(cells) > len(_CONV) and "ifmap" in cells[1] and "filter" in cells[3]:
        told = "conv"
    if told is not None and asked not in (None, told):
        raise FileError([Mistake(f"{where}:1:1", "", f"its header is that of {told}, not {asked}")])
    by_length = {4: "gemm", 5: "gemm"}.get(len(named), "conv" if len(named) > len(_CONV) else None)
    found = told or asked or by_length
    if found is None or any(cell.isdecimal() for cell in cells[1:4]) or not named:
        shown = lines[0] if lines else ""
        what = (
            f"the header is {shown!r}; needed is 'Layer, M, N, K,' or 'Layer name, IFMAP Height, "
            "IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,'"
        )
        raise FileError([Mistake(f"{where}:1:1", "", what)])
    return found


class _Reader:
    """Reads rows and keeps what is wrong with them."""

    def __init__(self, where: str, kind: str) -> None:
        self.where, self.columns = where, _GEMM if kind == "gemm" else _CONV
        self.mistakes: list[Mistake] = []

    def row(self, number: int, line: str) -> list[Layer]:
        """Return the layers of a row: none of an empty one, one per channel of a depthwise one."""
        cells = line.split(",")
        if not any(cell.strip() for cell in cells):
            return []
        before = len(self.mistakes)
        starts = [sum(len(cell) + 1 for cell in cells[:i]) + 1 for i in range(len(cells) + 1)]
        if len(cells) <= len(self.columns):
            what = f"{len(cells)} cells; a name and {', '.join(self.columns)} are needed"
            self._say(number, 1, what)
            return []
        sizes = [
            self._size(number, starts[i], name, cells[i].strip())
            for i, name in enumerate(self.columns, 1)
        ]
        extra = len(self.columns) + 1
        ratio = self._ratio(number, starts[extra], cells[extra] if len(cells) > extra else "")
        if len(self.mistakes) > before:
            return []
        layer = _layer(cells[0].strip(), sizes, ratio)
        for side in ("h", "w"):
            whole, part = getattr(layer, f"in_{side}"), getattr(layer, f"filter_{side}")
            if part > whole:
                name = {"h": "height", "w": "width"}[side]
                self._say(number, starts[3], f"filter {name} {part} is above IFMAP {name} {whole}")
        if len(self.mistakes) > before:
            return []
        return _channels_of(layer)

    def _size(self, number: int, column: int, name: str, text: str) -> int:
        if not (text.isdecimal() and int(text) >= 1):
            self._say(number, column, f"{name} is {text!r}, a whole number from 1 on is needed")
            return 1
        return int(text)

    def _ratio(self, number: int, column: int, text: str) -> tuple[int, int]:
        found = _RATIO.fullmatch(text.strip())
        if found is None:
            return 1, 1  # some other column; SCALE-Sim's own files have such
        kept, of = int(found[1]), int(found[2])
        if not 1 <= kept <= of:
            self._say(number, column, f"sparsity is {text.strip()}; N:M keeps N of M, 1 <= N <= M")
        return kept, of

    def _say(self, number: int, column: int, what: str) -> None:
        self.mistakes.append(Mistake(f"{self.where}:{number}:{column}", "", what))


def _layer(name: str, sizes: Sequence[int], ratio: tuple[int, int]) -> Layer:
    if len(sizes) == len(_GEMM):
        m, n, k = sizes
        return Layer(name, m, k, 1, k, 1, n, 1, *ratio)
    in_h, in_w, filter_h, filter_w, channels, filters, stride = sizes
    return Layer(name, in_h, in_w, filter_h, filter_w, channels, filters, stride, *ratio)


def _channels_of(layer: Layer) -> list[Layer]:
    if _DEPTHWISE not in layer.name:
        return [layer]
    return [
        replace(layer, name=f"{layer.name}Channel_{i}", channels=1) for i in range(layer.channels)
    ]


@dataclass(frozen=True)
class TopologySource:
    """A topology as a model: its layers in order, each with an input of its own, without values."""

    topology: Topology
    kind: Kind = "vision"
    values: ModelValues | None = None

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.topology.name

    def graph(self, request: GraphRequest) -> Graph:
        """Return the layers as a graph; which weights are kept is the recipe's business.

        Raises:
            InputError: a decode step, which layers of a table do not have.
        """
        if request.phase == "decode":
            raise InputError(f"{self.name}: a topology has no decode phase")
        tensors: dict[str, Tensor] = {}
        ops: list[Op] = []
        for index, layer in enumerate(self.topology.layers):
            op, own = _op(f"{index}.{layer.name}", layer, self.topology.kind, request.batch)
            tensors.update({tensor.name: tensor for tensor in own})
            ops.append(op)
        outputs = tuple(op.outputs[0] for op in ops)
        found = Graph(self.name, tensors, tuple(ops), outputs, sizes=request.sizes(self.kind))
        return verify(found)


def open_topology(path: Path) -> TopologySource:
    """Read a topology as a model.

    Raises:
        InputError: as ``read_topology``.
    """
    return TopologySource(read_topology(path))


def _op(name: str, layer: Layer, kind: str, batch: int) -> tuple[Op, tuple[Tensor, Tensor, Tensor]]:
    ins, out_name = (f"{name}.x", f"{name}.weight"), f"{name}.y"
    if kind == "gemm":
        x = Tensor(ins[0], (batch * layer.m, layer.k), "input")
        weight = Tensor(ins[1], (layer.n, layer.k), "weight")
        out = Tensor(out_name, (batch * layer.m, layer.n))
        return Op(name, "matmul", ins, (out_name,)), (x, weight, out)
    # SCALE-Sim counts a window that reaches beyond the input, so the input is as large as that.
    height = (layer.out_h - 1) * layer.stride + layer.filter_h
    width = (layer.out_w - 1) * layer.stride + layer.filter_w
    x = Tensor(ins[0], (batch, layer.channels, height, width), "input")
    shape = (layer.filters, layer.channels, layer.filter_h, layer.filter_w)
    weight = Tensor(ins[1], shape, "weight")
    out = Tensor(out_name, (batch, layer.filters, layer.out_h, layer.out_w))
    attrs: dict[str, Attr] = {"groups": 1}
    for side in "hw":
        attrs[f"stride_{side}"], attrs[f"padding_{side}"] = layer.stride, 0
    return Op(name, "conv2d", ins, (out_name,), attrs), (x, weight, out)
