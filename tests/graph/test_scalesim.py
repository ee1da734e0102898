"""Topologies of SCALE-Sim: those that it cannot load itself, and what is wrong with others."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.errors import FileError, InputError
from accelsim.graph.ops import macs
from accelsim.graph.request import GraphRequest
from accelsim.graph.scalesim import Layer, open_topology, read_topology
from accelsim.graph.source import open_model

CONV = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, "


def topology(folder: Path, text: str) -> Path:
    path = folder / "net.csv"
    path.write_text(text, encoding="utf-8")
    return path


def mistakes(path: Path, kind: str | None = None) -> list[str]:
    with pytest.raises(FileError) as caught:
        read_topology(path, kind)
    return [str(mistake).removeprefix(f"{path}:") for mistake in caught.value.mistakes]


@pytest.mark.parametrize(
    ("name", "layers"),
    [("alexnet", 5), ("gpt2", 6), ("NCF", 12), ("Resnet18", 21), ("Resnet50", 54), ("vit_s", 5)],
)
def test_shipped_topologies_load_as_they_are(name: str, layers: int, reference: Path) -> None:
    path = reference / "array/topologies" / f"{name}.csv"
    assert len(read_topology(path).layers) == layers


def test_a_convolution_is_a_product(tmp_path: Path) -> None:
    text = CONV + "Strides,\nc , 224,224 ,7,7,3, 64 ,2,\n"
    (layer,) = read_topology(topology(tmp_path, text)).layers
    assert layer == Layer("c", 224, 224, 7, 7, 3, 64, 2)
    # The last window reaches one pixel beyond the input, and SCALE-Sim counts it.
    assert (layer.m, layer.n, layer.k) == (110 * 110, 64, 147)


def test_rows_that_scale_sim_itself_cannot_load(tmp_path: Path) -> None:
    text = (
        CONV + "Strides,,,Eh,Ew\r\n,,,,,,,,\r\n\r\na,8,8,3,3,4,5,1\r\n"
        "b,8,8,3,3,4,5,1,,,6,6\r\nc,8,8,3,3,4,5,1,2:4,\r\n"
    )
    found = read_topology(topology(tmp_path, text))
    assert [(layer.name, layer.kept, layer.of) for layer in found.layers] == [
        ("a", 1, 1), ("b", 1, 1), ("c", 2, 4),
    ]  # fmt: skip
    assert len({layer.macs for layer in found.layers}) == 1


def test_the_header_says_what_the_rows_are(tmp_path: Path) -> None:
    path = topology(tmp_path, "Layer Name, M, N, K,\nx,2,3,4,1:4,\n")
    found = read_topology(path)
    assert found.kind == "gemm"
    assert [(one.m, one.n, one.k, one.kept, one.of) for one in found.layers] == [(2, 3, 4, 1, 4)]
    assert read_topology(path, "gemm") == found
    assert mistakes(path, "conv") == ["1:1: its header is that of gemm, not conv"]


@pytest.mark.parametrize(
    ("header", "asked", "kind"),
    [
        ("Name,rows,columns,depth,", None, "gemm"),
        ("Name,rows,columns,depth,", "gemm", "gemm"),
        ("Name,a,b,c,d,e,f,g,", None, "conv"),
        ("Name,a,b,c,", "conv", "conv"),
    ],
)
def test_other_headers_tell_by_their_length(
    header: str, asked: str | None, kind: str, tmp_path: Path
) -> None:
    row = {"gemm": "x,2,3,4,\n", "conv": "x,8,8,3,3,4,5,1,\n"}[kind]
    assert read_topology(topology(tmp_path, f"{header}\n{row}"), asked).kind == kind


def test_a_depthwise_convolution_is_a_layer_per_channel(tmp_path: Path) -> None:
    path = topology(tmp_path, CONV + "Strides,\nDP1,8,8,3,3,4,1,1,\n")
    found = read_topology(path).layers
    assert [layer.name for layer in found] == [f"DP1Channel_{i}" for i in range(4)]
    assert {layer.channels for layer in found} == {1}


def test_every_malformed_row_is_named(tmp_path: Path) -> None:
    text = CONV + (
        "Strides,\na,8,8,3,3,4,5,1,\nb,8,8,3,3,4\nc,8,x,3,3,0,5,1,\nd,2,8,3,9,4,5,1,\n"
        "e,8,8,3,3,4,5,1.5,\nf,8,8,3,3,4,5,1,4:2,\n"
    )
    sizes = "a name and IFMAP height, IFMAP width, filter height, filter width, channels, filters, "
    assert mistakes(topology(tmp_path, text)) == [
        f"3:1: 6 cells; {sizes}stride are needed",
        "4:5: IFMAP width is 'x', a whole number from 1 on is needed",
        "4:11: channels is '0', a whole number from 1 on is needed",
        "5:7: filter height 3 is above IFMAP height 2",
        "5:7: filter width 9 is above IFMAP width 8",
        "6:15: stride is '1.5', a whole number from 1 on is needed",
        "7:17: sparsity is 4:2; N:M keeps N of M, 1 <= N <= M",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "1:1: the header is ''"),
        ("a,8,8,3,3,4,5,1,\n", "1:1: the header is 'a,8,8,3,3,4,5,1,'"),
        ("Name,a,b,c,d,e,\nx,1,1,1,1,1,\n", "1:1: the header is 'Name,a,b,c,d,e,'"),
        ("Layer,M,N,K,\n\n,,,\n", "2:1: there is no layer"),
    ],
)
def test_files_without_layers(text: str, says: str, tmp_path: Path) -> None:
    (found,) = mistakes(topology(tmp_path, text))
    assert found.startswith(says)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_topology(tmp_path / "none.csv")
    (tmp_path / "net.csv").write_bytes(b"Layer,M,N,K,\n\xff\xfe,1,1,1,\n")
    with pytest.raises(InputError, match="not UTF-8"):
        read_topology(tmp_path / "net.csv")


def test_a_topology_is_a_model(tmp_path: Path) -> None:
    path = topology(tmp_path, CONV + "Strides,\nc,9,8,3,2,5,11,2,\nc,9,9,3,3,5,4,1,\n")
    source = open_model(str(path))
    graph = source.graph(GraphRequest(batch=2))
    layers = read_topology(path).layers
    assert [op.name for op in graph.ops] == ["0.c", "1.c"]
    assert [macs(graph, op) for op in graph.ops] == [2 * layer.macs for layer in layers]
    assert (source.name, source.values) == ("net", None)
    with pytest.raises(InputError, match="no decode phase"):
        source.graph(GraphRequest("decode"))


def test_products_are_a_model_too(tmp_path: Path) -> None:
    source = open_topology(topology(tmp_path, "Layer,M,N,K,\nx,2,3,4,\n"))
    graph = source.graph(GraphRequest())
    assert macs(graph, graph.ops[0]) == 24


def test_a_topology_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_model("none.csv")
