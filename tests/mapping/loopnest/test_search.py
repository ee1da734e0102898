"""The search against whole map spaces, and what users rely on: gaps, monotony, reasons, caches."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accelsim.errors import MappingError
from accelsim.mapping import store
from accelsim.mapping.loopnest import objective, plan, search
from accelsim.mapping.loopnest.cost import latency_of, roofline_cycles
from accelsim.mapping.loopnest.exhaustive import count
from accelsim.mapping.loopnest.frame import Frame, KPath
from accelsim.mapping.loopnest.lattice import lattice, padded, tile_sizes
from accelsim.mapping.loopnest.layer import Layer
from accelsim.mapping.loopnest.nest import check
from accelsim.mapping.loopnest.plan import spread
from accelsim.mapping.loopnest.search import branch_and_bound, energy_weights, spaces
from accelsim.mapping.loopnest.space import Space
from accelsim.spec.hierarchy import HierarchySpec, load_hierarchy
from tests.mapping.loopnest import small

PLACES = {
    "registers": small.registers(), "tight": small.registers(200), "shared": small.all_shared(),
    "uneven": small.uneven(), "not held": small.registers(hold=False),
}  # fmt: skip
LAYERS = {
    "gemm": small.gemm(4, 8, 6),
    "ragged": small.gemm(5, 7, 9),
    "conv": small.conv(K=4, C=2, OX=4, FX=3),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("what", LAYERS)
def test_the_optimum_is_that_of_the_whole_space(place: str, what: str) -> None:
    compared = 0
    for space in spaces(LAYERS[what], PLACES[place]):
        # Every chain of up to seven boundaries: coarse tiles keep their number small.
        if space.lattice.points > 40:
            continue
        compared += 1
        whole = count(space)
        if whole.fitting == 0:
            with pytest.raises(MappingError):
                branch_and_bound([space], energy_weights)
            continue
        best = branch_and_bound([space], energy_weights)
        assert best.value == pytest.approx(whole.energy_pj, rel=1e-12)
        assert best.gap <= 1e-12
    assert compared > 2


@pytest.mark.parametrize("what", LAYERS)
def test_a_stopped_search_states_a_valid_gap(what: str) -> None:
    listed = spaces(LAYERS[what], PLACES["tight"])
    best = branch_and_bound(listed, energy_weights)
    for nodes in range(1, 40):
        with mock.patch.object(search, "MOST_NODES", nodes):
            try:
                stopped = branch_and_bound(listed, energy_weights)
            except MappingError:
                continue
        assert stopped.bound <= best.value * (1 + 1e-12) <= stopped.value * (1 + 2e-12)
        assert stopped.gap >= stopped.value / best.value - 1 - 1e-9


def test_a_wanted_gap_is_kept() -> None:
    listed = spaces(LAYERS["ragged"], PLACES["tight"])
    best = branch_and_bound(listed, energy_weights)
    near = branch_and_bound(listed, energy_weights, gap=0.1)
    assert near.nodes <= best.nodes
    assert near.gap <= 0.1
    assert best.value <= near.value <= 1.1 * best.value


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.tuples(*[st.integers(1, 24)] * 3), bits=st.integers(60, 900), more=st.integers(1, 900)
)
def test_more_memory_never_costs_energy(sizes: tuple[int, int, int], bits: int, more: int) -> None:
    layer = small.gemm(*sizes)
    less, larger = (
        branch_and_bound(spaces(layer, small.registers(n)), energy_weights).value
        for n in (bits, bits + more)
    )
    assert larger <= less * (1 + 1e-12)


@settings(max_examples=15)
@given(sizes=st.tuples(*[st.integers(1, 30)] * 3), bits=st.integers(60, 900))
def test_bounds_of_every_objective_hold(sizes: tuple[int, int, int], bits: int) -> None:
    layer, place = small.gemm(*sizes), small.registers(bits)
    listed = spaces(layer, place)
    outcomes = [
        f(listed, 0.0)
        for f in (objective.least_energy, objective.least_latency, objective.least_edp)
    ]
    points = [*(o.point for o in outcomes), *objective.pareto(listed)]
    energy, latency, edp = (o.bound for o in outcomes)
    for point in points:
        assert point.energy_pj >= energy * (1 - 1e-12)
        assert point.latency_cycles >= latency
        assert point.edp >= edp * (1 - 1e-12)
        assert point.latency_cycles == latency_of(point.space, point.chain).cycles


def test_the_front_falls_and_holds_both_ends() -> None:
    layer = Layer("gemm", {"B": 512, "K": 4096, "C": 4096}, small.BITS, 8)  # type: ignore[arg-type]
    place = load_hierarchy("tpu_like_per_bit")
    points = plan.front(layer, place)
    assert len(points) >= 3
    energies = [point.energy_pj for point in points]
    cycles = [point.latency_cycles for point in points]
    assert energies == sorted(energies, reverse=True) and cycles == sorted(cycles)
    assert energies[-1] == pytest.approx(plan.search(layer, place).value)
    assert cycles[0] == plan.search(layer, place, "latency").value


def test_equally_good_mappings_are_told_apart_by_their_latency() -> None:
    """128 x 128 x 128 takes the same energy on 32 units as on 1,024."""
    layer = Layer("gemm", {"B": 128, "K": 128, "C": 128}, small.BITS, 8)  # type: ignore[arg-type]
    found = plan.search(layer, load_hierarchy("tpu_like_per_bit"))
    assert spread(found.nest) == 1024
    assert found.cost.latency_cycles == found.roofline_cycles == 6144


@pytest.mark.parametrize("units", [1, 2])
def test_a_k_path_is_kept(units: int) -> None:
    layer, place = small.gemm(8, 8, 24), small.registers()
    for chunk in (4, 12, 24):
        found = plan.search(layer, place, k_path=KPath(units, chunk))
        assert found.nest.unrolled("C") == units
        inside = [n for level in found.nest.temporal["O"][:1] for d, n in level if d == "C"]
        product = units
        for n in inside:
            product *= int(n)
        assert min(product, 24) == chunk
    free = plan.search(layer, place).value
    assert all(
        plan.search(layer, place, k_path=KPath(units, n)).value >= free * (1 - 1e-12)
        for n in (4, 12, 24)
    )


def test_a_chunk_that_divides_nothing_is_a_tile_size_too() -> None:
    layer, place = small.gemm(8, 8, 23), small.registers()
    found = plan.search(layer, place, k_path=KPath(1, 5))
    inside = [n for d, n in found.nest.temporal["O"][0] if d == "C"]
    assert inside == [5]


def test_a_k_path_that_no_axis_has_is_refused() -> None:
    with pytest.raises(MappingError, match="no axis of small spreads C over 3 units"):
        plan.search(small.gemm(4, 4, 6), small.registers(), k_path=KPath(units=3))


def test_what_fits_nowhere_is_named() -> None:
    place = small.hierarchy(small.level("rw", "W", 32, ("D1",)), small.level("sram", "IO", 12))
    words = "the smallest tiles of I and O are 0.5 bytes over in sram"
    with pytest.raises(MappingError, match=words):
        plan.search(small.gemm(4, 4, 4), place)


def test_results_are_found_again(tmp_path: Path) -> None:
    layer, place = small.gemm(4, 8, 8), small.registers()
    first = plan.search(layer, place)
    with mock.patch.object(plan, "spaces", side_effect=AssertionError("searched again")):
        assert plan.search(layer, place) == first
        store.forget()
        assert plan.search(layer, place) == first
        # A name is no part of the content; everything that shapes a mapping is.
        assert plan.search(replace(layer, name="other"), place).nest == first.nest
        for change in (
            {"sizes": {"B": 4, "K": 8, "C": 9}}, {"final_bits": 4},
            {"bits": {**small.BITS, "O": 16}},
        ):  # fmt: skip
            with pytest.raises(AssertionError, match="searched again"):
                plan.search(replace(layer, **change), place)
        with pytest.raises(AssertionError, match="searched again"):
            plan.search(layer, small.registers(401))


def test_a_spoilt_file_of_the_cache_is_searched_again(tmp_path: Path) -> None:
    layer, place = small.gemm(4, 8, 8), small.registers()
    first = plan.search(layer, place)
    files = list((tmp_path / "cache" / "mappings").glob("*.json"))
    assert len(files) == 1
    for text in ("{", "[]", json.dumps({"spatial": []})):
        files[0].write_text(text)
        store.forget()
        assert plan.search(layer, place) == first


def test_tile_sizes_divide_the_loop_or_one_a_little_longer() -> None:
    assert tile_sizes(12) == (1, 2, 3, 4, 6, 12)
    assert padded(43) == 48
    assert tile_sizes(43) == (1, 2, 3, 4, 6, 8, 12, 16, 24, 43)
    tiles = lattice((43, 1, 1, 1, 1, 1, 1, 12))
    assert tiles.points == 10 * 6
    assert tiles.tile(tiles.points - 1)[0] == 43


def test_a_longer_loop_of_many_sizes_stays_small() -> None:
    assert len(tile_sizes(2**6 * 3**4 * 5**2 * 7)) <= 40


def test_nests_of_winners_are_mappings_of_their_layer() -> None:
    for name in ("tpu_like", "eyeriss_like", "meta_prototype", "gemm_l1_l3"):
        place: HierarchySpec = load_hierarchy(name)
        layer = Layer("gemm", {"B": 24, "K": 40, "C": 33})
        found = plan.search(layer, place)
        check(found.nest, layer, place)
        assert found.gap == 0.0
        assert found.cost.latency_cycles >= roofline_cycles(layer, place)


def test_quick_bounds_are_bounds() -> None:
    for name in ("tpu_like", "meta_prototype", "tpu_like_per_bit"):
        frame = Frame(Layer("gemm", {"B": 9, "K": 17, "C": 33}), load_hierarchy(name))
        space = Space(frame, tuple(("", 1) for _ in frame.hierarchy.axes))
        best = branch_and_bound([space], lambda of: (of.energy, 0.0)).value
        assert space.floor(space.energy) <= space.least(space.energy) * (1 + 1e-12)
        assert space.least(space.energy) <= best * (1 + 1e-12)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("what", LAYERS)
def test_a_shared_order_of_some_operands_is_a_bound(place: str, what: str) -> None:
    for space in spaces(LAYERS[what], PLACES[place])[:6]:
        prices = space.cost(space.energy)
        value, chain = space.cheapest(prices)
        rows = {boundary: row for row, boundary in enumerate(space.moving)}
        paid = sum(float(prices[rows[boundary], point]) for boundary, point in chain)
        assert paid == pytest.approx(value, rel=1e-12)
        alone = float(prices.min(axis=1).sum())
        for pair in itertools.combinations(range(3), 2):
            bound = space.coupled(prices, pair)
            assert alone * (1 - 1e-12) <= bound <= value * (1 + 1e-12)
        assert space.coupled(prices, range(3)) == value


@pytest.mark.parametrize("what", ["energy", "latency"])
def test_bounds_by_a_shared_order_leave_out_nothing(what: str) -> None:
    layer, place = Layer("gemm", {"B": 6, "K": 24, "C": 20}), load_hierarchy("meta_prototype")
    found = getattr(objective, f"least_{what}")(spaces(layer, place), 0.0)
    with mock.patch.object(search._Job, "_couple", lambda self, node: None):
        plain = getattr(objective, f"least_{what}")(spaces(layer, place), 0.0)
    assert found.value == pytest.approx(plain.value, rel=1e-12)
    assert found.nodes <= plain.nodes


def test_long_loops_and_large_lattices_stay_within_bounds() -> None:
    assert padded(2**31 - 1) > 2**31 - 1
    assert len(tile_sizes(2**31 - 1)) <= 40
    full = lattice((64, 64, 112, 7, 112, 7, 512, 512), 10**9)
    thin = lattice((64, 64, 112, 7, 112, 7, 512, 512), 5000)
    assert thin.points <= 5000 < full.points
    assert [int(thin.values[d, n - 1]) for d, n in enumerate(thin.shape)] == [
        64, 64, 112, 7, 112, 7, 512, 512,
    ]  # fmt: skip
