"""The cost model against a walk through the nest that counts every access."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.errors import MappingError
from accelsim.mapping import store
from accelsim.mapping.loopnest import plan
from accelsim.mapping.loopnest.boundary import charges
from accelsim.mapping.loopnest.cost import cost, cost_of, placed, roofline_cycles
from accelsim.mapping.loopnest.layer import DIMS, Layer
from accelsim.mapping.loopnest.nest import Loop, Nest
from accelsim.mapping.loopnest.plan import nest_of
from accelsim.mapping.loopnest.search import branch_and_bound, energy_weights, spaces
from accelsim.spec.hierarchy import OPERANDS, HierarchySpec, load_hierarchy
from tests.mapping.loopnest import small
from tests.mapping.loopnest.walk import walk

HIERARCHIES = {
    "registers": small.registers(100_000),
    "not held": small.registers(100_000, hold=False),
    "shared": small.all_shared(100_000),
    "uneven": small.uneven(100_000),
}
LAYERS = {
    "gemm": small.gemm(3, 8, 6),
    "ragged gemm": small.gemm(5, 7, 5),
    "conv": small.conv(K=4, C=3, OY=3, OX=4, FY=2, FX=3),
    "strided": small.conv(stride=2, K=2, C=2, OY=3, OX=3, FY=3, FX=3),
    "sparse windows": small.conv(stride=3, K=2, C=2, OY=2, OX=3, FY=2, FX=2),
    "depthwise": Layer("conv", {"G": 4, "OX": 5, "FX": 3}, small.BITS, 8),  # type: ignore[arg-type]
}


@st.composite
def nests(draw: st.DrawFn, layer: Layer, hierarchy: HierarchySpec) -> Nest:
    """Any order of loops with any cuts; loops may overshoot what they run over."""
    units = {"K": draw(st.sampled_from([1, 2, 4])), "C": draw(st.sampled_from([1, 2]))}
    units = {dim: min(n, layer.size(dim)) for dim, n in units.items()}
    loops: list[Loop] = []
    for dim, size in layer.sizes.items():
        steps = -(-size // units.get(dim, 1))
        inner = draw(st.integers(1, steps))
        loops += [(dim, inner), (dim, -(-steps // inner))]
    order = draw(st.permutations([loop for loop in loops if loop[1] > 1]))
    temporal = {}
    for operand in OPERANDS:
        levels = len(hierarchy.levels_of(operand))
        cuts = sorted(draw(st.integers(0, len(order))) for _ in range(levels - 1))
        edges = [0, *cuts, len(order)]
        temporal[operand] = tuple(tuple(order[a:b]) for a, b in pairwise(edges))
    spatial = tuple(((dim, n),) if n > 1 else () for dim, n in units.items())
    return Nest(spatial, temporal)


def check_against_walk(nest: Nest, layer: Layer, hierarchy: HierarchySpec) -> None:
    space, chain = placed(nest, layer, hierarchy)
    # Neighbouring windows may end and begin with the same element: a chance that does not count.
    exact = layer.kind == "gemm" and all(
        nest.unrolled(dim) * prod(n for d, n in nest.order() if d == dim) == layer.size(dim)
        for dim in DIMS
    )
    walked = walk(nest, layer, hierarchy, by_content=exact)
    for index, boundary in enumerate(space.all):
        expected = walked[boundary]
        # The multipliers keep nothing that would count below them.
        sides = (0, 1) if boundary.lower is None else (0, 1, 2, 3)
        found = space.bits(index, chain) / 8
        assert [found[s] for s in sides] == [expected[s] for s in sides], (boundary, nest)


@pytest.mark.parametrize("place", HIERARCHIES)
@pytest.mark.parametrize("what", ["gemm", "ragged gemm", "conv", "strided", "sparse windows"])
@settings(max_examples=8)
@given(data=st.data())
def test_crossings_are_those_of_a_walk(place: str, what: str, data: st.DataObject) -> None:
    layer, hierarchy = LAYERS[what], HIERARCHIES[place]
    check_against_walk(data.draw(nests(layer, hierarchy)), layer, hierarchy)


@pytest.mark.parametrize("what", LAYERS)
@pytest.mark.parametrize("place", [small.registers(), small.all_shared(), small.uneven()])
def test_winners_cost_what_a_walk_counts(what: str, place: HierarchySpec) -> None:
    layer = LAYERS[what]
    best = branch_and_bound(spaces(layer, place), energy_weights)
    nest = nest_of(best.space, best.chain)
    energy = layer.macs * place.mac_pj
    for boundary, counts in walk(nest, layer, place).items():
        per_bit = charges(place, boundary).energy_pj
        energy += sum(8 * n * pj for n, pj in zip(counts, per_bit, strict=True))
    assert best.value == pytest.approx(energy, rel=1e-12)
    assert cost(nest, layer, place).energy_pj == pytest.approx(energy, rel=1e-12)


@pytest.mark.parametrize("sizes", [(8, 64, 64), (5, 40, 50)])
def test_a_winner_on_a_real_array_is_recounted(sizes: tuple[int, int, int]) -> None:
    layer, place = small.gemm(*sizes), load_hierarchy("tpu_like_per_bit")
    found = plan.search(layer, place)
    energy = layer.macs * place.mac_pj
    for boundary, counts in walk(found.nest, layer, place).items():
        per_bit = charges(place, boundary).energy_pj
        energy += sum(8 * n * pj for n, pj in zip(counts, per_bit, strict=True))
    assert found.value == pytest.approx(energy, rel=1e-12)


def test_one_access_more_is_noticed() -> None:
    """The walk and the model agree to the access: a planted error of one byte turns red."""
    layer, place = LAYERS["ragged gemm"], small.registers()
    best = branch_and_bound(spaces(layer, place), energy_weights)
    best.space.tables[0, best.chain[0][0], best.chain[0][1]] += 8.0
    nest = nest_of(best.space, best.chain)
    assert cost_of(best.space, best.chain).energy_pj > cost(nest, layer, place).energy_pj + 1.0


def test_narrow_results_leave_as_such() -> None:
    place = small.registers(10**6)
    wide = Layer("gemm", {"B": 2, "K": 4, "C": 4}, {"I": 8, "W": 8, "O": 16}, 8)
    nest = Nest(
        ((("K", 4),), ()),
        {
            "I": ((), (("C", 4), ("B", 2))),
            "W": ((("C", 4),), (("B", 2),)),
            "O": ((("C", 4),), (), (("B", 2),)),
        },
    )
    found = {(p.level, p.operand): p for p in cost(nest, wide, place, check_room=False).traffic}
    # 8 outputs of 8 bits reach the SRAM and the DRAM; nothing comes back.
    assert found["sram", "O"].written_bits == found["dram", "O"].written_bits == 64
    assert found["sram", "O"].read_bits == 64
    # A register adds 4 products of 16 bits to each, reads 3 of 4, and sends 8 finished bits on.
    assert found["ro", "O"].written_bits == 8 * 4 * 16 - 8 * 8
    assert found["ro", "O"].read_bits == 8 * 3 * 16 + 8 * 8


def test_a_tile_too_large_names_level_operands_and_bytes() -> None:
    nest = Nest(
        ((), ()),
        {
            "I": ((), (("B", 4), ("C", 8), ("K", 8))),
            "W": ((("B", 4), ("C", 8)), (("K", 8),)),
            "O": ((("B", 4),), (("C", 8),), (("K", 8),)),
        },
    )
    with pytest.raises(
        MappingError, match=r"rw takes 4 bytes of tiles, the mapping needs 4 more \(W 8\)"
    ):
        cost(nest, small.gemm(4, 8, 8), small.registers())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"O": ((), (), (("B", 2),))}, "I and O run different loops"),
        ({"W": ((("B", 4),),)}, "W has loops for 1 levels, small holds it in 2: rw, dram"),
    ],
)
def test_loops_must_agree(change: dict[str, tuple[tuple[Loop, ...], ...]], words: str) -> None:
    temporal = {"I": ((), (("B", 4),)), "W": ((), (("B", 4),)), "O": ((), (), (("B", 4),))}
    nest = Nest(((), ()), {**temporal, **change})  # type: ignore[dict-item]
    with pytest.raises(MappingError, match=words):
        cost(nest, small.gemm(4, 1, 1), small.registers())


def test_a_mapping_covers_its_layer_and_its_axes_suffice() -> None:
    temporal = {"I": ((), (("B", 4),)), "W": ((), (("B", 4),)), "O": ((), (), (("B", 4),))}
    with pytest.raises(MappingError, match="runs 4 iterations of B, the layer has 5"):
        cost(Nest(((), ()), temporal), small.gemm(5, 1, 1), small.registers())  # type: ignore[arg-type]
    with pytest.raises(MappingError, match="axis D1 has 4 units, the mapping uses 8"):
        cost(Nest(((("K", 8),), ()), temporal), small.gemm(4, 8, 1), small.registers())  # type: ignore[arg-type]


@settings(max_examples=15, deadline=None)
@given(b=st.integers(1, 40), k=st.integers(1, 40), c=st.integers(1, 40))
def test_no_latency_is_below_the_roofline(b: int, k: int, c: int) -> None:
    store.forget()
    layer, place = small.gemm(b, k, c), small.registers()
    for objective in plan.OBJECTIVES:
        found = plan.search(layer, place, objective)
        assert found.cost.latency_cycles >= roofline_cycles(layer, place)
        assert found.value >= found.bound
