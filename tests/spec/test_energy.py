"""The energy table reproduces what it cites, and moves the right way with node and size."""

import csv
import math
import os
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

import accelsim.spec.energy as energy_module
from accelsim.errors import InputError, UnknownNameError
from accelsim.spec.compute import PRIMITIVES
from accelsim.spec.energy import EnergyTable, load_energy_table
from accelsim.units import Range

TABLE = load_energy_table()
NODES = (65.0, 45.0, 40.0, 32.0, 28.0, 22.0, 20.0, 16.0, 14.0, 12.0, 10.0, 7.0, 5.0, 3.0, 2.0)
KIB, MIB = 1 << 10, 1 << 20
SIZES = (256, 2 * KIB, 8 * KIB, 32 * KIB, 100_000, 256 * KIB, MIB, 2 * MIB, 16 * MIB, 128 * MIB)
OPERANDS = ("int2", "int4", "int8", "int16", "fp8_e4m3", "fp8_e5m2", "bf16", "fp16", "fp32")
ACCUMULATORS = ("int16", "int32", "int64", "bf16", "fp16", "fp32")
Raw = dict[str, Any]


def ordered(value: Range) -> bool:
    return 0 < value.low <= value.typical <= value.high < math.inf


def holds(value: Range, published: float) -> bool:
    return value.low <= published <= value.high


def raw_table() -> Raw:
    path = Path(energy_module.__file__).with_name("energy_table.yaml")
    raw: Raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    return raw


# What the table states about itself ----------------------------------------------------------


def test_every_figure_has_a_reference_and_a_unit() -> None:
    for entry in TABLE.entries:
        assert entry.unit
        for citation in TABLE.sources([entry.name]):
            assert len(citation.source) > 20
            if citation.source == TABLE.references["none"]:
                assert citation.confidence == "estimated"


def test_every_reference_is_used() -> None:
    used = {key for entry in TABLE.entries for key in entry.source}
    used |= {*TABLE.scaling.source, *TABLE.composites.source, *TABLE.sram.source}
    assert used == set(TABLE.references)


@pytest.mark.parametrize(
    ("confidence", "low", "high"), [("recalled", 0.7, 1.5), ("estimated", 0.75, 1.4)]
)
def test_unchecked_figures_are_wide(confidence: str, low: float, high: float) -> None:
    rows = [entry for entry in TABLE.entries if entry.confidence == confidence]
    assert rows
    for entry in rows:
        assert entry.low <= low * entry.typical * (1 + 1e-9), entry.name
        assert entry.high >= high * entry.typical * (1 - 1e-9), entry.name


def test_sources_spell_out_figure_and_confidence() -> None:
    (only,) = TABLE.sources(["dram.lpddr5"])
    assert only.figure == (3.4, 7.0, 20.0)
    assert only.unit == "pJ/bit"
    assert only.confidence == "secondary"
    assert "Micron" in only.source and "AiF" in only.source and "PIM-AI" in only.source
    fine, coarse = TABLE.sources(["mac.multiply.int8"])
    assert (fine.node_nm, coarse.node_nm) == (7, 45)
    assert [c.name for c in TABLE.sources(["sram", "vector", "scaling"])] == [
        "sram",
        "vector",
        "scaling",
    ]
    names = TABLE.mac_names("int8", "int4", "int32")
    assert names[:3] == ("mac.multiply.int8", "mac.multiply.int4", "mac.add.int32")
    assert {c.name for c in TABLE.sources(names)} == set(names)


# Every lookup, everywhere --------------------------------------------------------------------


@cache
def every_lookup(node: float) -> dict[str, Range]:
    found = {
        "register": TABLE.register_pj_per_bit(node),
        "register area": TABLE.register_um2_per_bit(node),
        "wire": TABLE.wire_pj_per_bit_mm(node),
        "lane": TABLE.vector_lane_um2(node),
    }
    for a in OPERANDS:
        for w in OPERANDS:
            for acc in ACCUMULATORS:
                found[f"mac {a} {w} {acc}"] = TABLE.mac_pj(a, w, acc, node)
                found[f"area {a} {w} {acc}"] = TABLE.mac_um2(a, w, acc, node)
    for primitive in TABLE.primitives:
        found[primitive] = TABLE.vector_pj(primitive, node)
    for size in SIZES:
        found[f"read {size}"] = TABLE.sram_read_pj_per_bit(size, node)
        found[f"write {size}"] = TABLE.sram_write_pj_per_bit(size, node)
        found[f"sram area {size}"] = TABLE.sram_um2_per_bit(size, node)
    return found


def test_corners_ascend_everywhere() -> None:
    for node in NODES:
        values = dict(every_lookup(node))
        values["leak"] = TABLE.logic_leakage_mw_per_mm2(node)
        values["sram leak"] = TABLE.sram_leakage_mw_per_mib(node)
        for name, value in values.items():
            assert ordered(value), (name, node)
    for standard in TABLE.dram_standards:
        assert ordered(TABLE.dram_pj_per_bit(standard))
        assert ordered(TABLE.dram_phy_mm2(standard))


def test_a_finer_node_never_costs_more_energy_or_area() -> None:
    for coarse, fine in pairwise(NODES):
        before, after = every_lookup(coarse), every_lookup(fine)
        for name in before:
            for corner in ("low", "typical", "high"):
                was, now = getattr(before[name], corner), getattr(after[name], corner)
                assert now <= was * (1 + 1e-9), (name, coarse, fine, corner)


@pytest.mark.parametrize("lookup", [TABLE.sram_read_pj_per_bit, TABLE.sram_write_pj_per_bit])
@pytest.mark.parametrize("node", NODES)
def test_a_larger_bank_never_costs_less_energy(
    lookup: Callable[[float, float], Range], node: float
) -> None:
    values = [lookup(size, node) for size in SIZES]
    for small, large in pairwise(values):
        assert small.low <= large.low * (1 + 1e-9)
        assert small.typical <= large.typical * (1 + 1e-9)
        assert small.high <= large.high * (1 + 1e-9)


@pytest.mark.parametrize("accumulator", ACCUMULATORS)
def test_a_wider_format_costs_more(accumulator: str) -> None:
    for group in (("int2", "int4", "int8", "int16"), ("fp8_e4m3", "bf16", "fp16", "fp32")):
        for narrow, wide in pairwise(group):
            for lookup in (TABLE.mac_pj, TABLE.mac_um2):
                small = lookup(narrow, narrow, accumulator, 7)
                large = lookup(wide, wide, accumulator, 7)
                assert small.low < large.low
                assert small.typical < large.typical
                assert small.high < large.high


def test_dram_generations_keep_their_order_in_every_corner() -> None:
    for family in (("lpddr4", "lpddr4x", "lpddr5", "lpddr5x"), ("ddr3", "ddr4", "ddr5"),
                   ("hbm2", "hbm2e", "hbm3", "hbm3e", "hbm4")):  # fmt: skip
        for older, newer in pairwise(TABLE.dram_pj_per_bit(name) for name in family):
            assert older.low >= newer.low
            assert older.typical >= newer.typical
            assert older.high >= newer.high


# Published figures ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "node", "published"),
    [
        ("mac.multiply.int8", 7, 0.07), ("mac.add.int32", 7, 0.03), ("mac.multiply.bf16", 7, 0.21),
        ("mac.add.fp32", 7, 0.38), ("mac.multiply.fp32", 7, 1.31), ("mac.multiply.fp16", 7, 0.34),
        ("mac.multiply.int8", 45, 0.2), ("mac.add.int32", 45, 0.1), ("mac.add.fp32", 45, 0.9),
        ("mac.multiply.fp32", 45, 3.7), ("mac.multiply.fp16", 45, 1.1), ("mac.add.fp16", 45, 0.4),
        ("register.bit", 40, 0.009), ("area.register", 40, 5.98),
    ],
)  # fmt: skip
def test_published_anchors_come_back(name: str, node: float, published: float) -> None:
    assert TABLE.at(name, node).typical == pytest.approx(published, rel=1e-12)


def test_int8_mac_is_that_of_two_independent_sources() -> None:
    at_7 = TABLE.mac_pj("int8", "int8", "int32", 7)
    assert 0.10 <= at_7.typical <= 0.11
    assert holds(at_7, 0.1088)  # Aladdin, 40 nm, brought to 7 nm by hwcomponents.
    assert holds(TABLE.mac_pj("int8", "int8", "int32", 16), 0.2002)
    assert holds(TABLE.mac_pj("int8", "int8", "int32", 40), 1.0025)
    assert holds(TABLE.mac_pj("int4", "int4", "int16", 7), 0.0329)
    assert holds(TABLE.mac_pj("int8", "int8", "int32", 5), 0.0920)


def test_whole_chips_spend_more_than_our_macs() -> None:
    # Agrawal et al., ISSCC 2021, 7 nm: 16.9 TOPS/W INT4 and 3.58 TFLOPS/W HFP8, so 2/x pJ per MAC.
    for accumulator in ("int16", "int32"):
        assert TABLE.mac_pj("int4", "int4", accumulator, 7).high < 2 / 16.9
    assert TABLE.mac_pj("fp8_e4m3", "fp8_e5m2", "fp16", 7).high < 2 / 3.58
    assert TABLE.mac_pj("fp8_e4m3", "fp8_e5m2", "fp32", 7).typical < 2 / 3.58


def test_measured_tensor_core_datapath_is_inside() -> None:
    # Antepara et al., SC'25: 0.33 pJ per FP16 flop on A100's (7 nm) data path, so 0.66 per MAC.
    measured = TABLE.mac_pj("fp16", "fp16", "fp32", 7)
    assert holds(measured, 0.66)
    assert measured.typical == pytest.approx(0.66, rel=0.1)


def test_fp8_costs_as_much_more_than_int8_as_reported() -> None:
    # van Baalen et al. 2023: 50 to 180 % above INT8.
    fp8 = TABLE.mac_pj("fp8_e4m3", "fp8_e4m3", "fp16", 7).typical
    assert 1.5 <= fp8 / TABLE.mac_pj("int8", "int8", "int32", 7).typical <= 2.8


def test_macs_of_tpuv4i_fit_in_its_matrix_units() -> None:
    # 11 % of less than 400 mm2 for 4 x 128 x 128 BF16 MACs with their registers and control.
    ours = TABLE.mac_um2("bf16", "bf16", "fp32", 7)
    assert 0.2 * 671 < ours.typical < 671


def test_sram_rows_come_back() -> None:
    read = TABLE.sram_read_pj_per_bit(32 * KIB, 28)
    assert read.typical == pytest.approx(0.0710405625, rel=1e-5)
    assert TABLE.sram_write_pj_per_bit(2 * MIB, 45).typical == pytest.approx(1.331, rel=1e-6)
    assert TABLE.sram_um2_per_bit(2 * KIB, 7).typical == pytest.approx(0.038471, rel=1e-5)


def test_large_sram_reaches_tpuv4i() -> None:
    # Jouppi et al. 2021 and 2023. 1 MB: 14 pJ per 64 bit.
    read, write = TABLE.sram_read_pj_per_bit, TABLE.sram_write_pj_per_bit
    assert read(128 * MIB, 7).typical == pytest.approx(1.88, rel=0.02)
    assert write(128 * MIB, 7).typical == pytest.approx(2.36, rel=0.25)
    assert read(4 * MIB, 7).typical == pytest.approx(0.249, rel=0.30)
    assert write(4 * MIB, 7).typical == pytest.approx(0.293, rel=0.02)
    for value, published in [
        (read(128 * MIB, 7), 1.88), (write(128 * MIB, 7), 2.36), (read(4 * MIB, 7), 0.249),
        (write(4 * MIB, 7), 0.293), (read(MIB, 7), 14 / 64), (read(8 * KIB, 7), 7.5 / 64),
        (read(32 * KIB, 7), 8.5 / 64), (read(8 * KIB, 45), 10 / 64), (read(32 * KIB, 45), 20 / 64),
        (read(MIB, 45), 100 / 64),
    ]:  # fmt: skip
        assert holds(value, published), published
    # 28 % of less than 400 mm2 for 128 MiB.
    assert holds(TABLE.sram_um2_per_bit(128 * MIB, 7), 0.28 * 400e6 / (128 * MIB * 8))


def test_a_recorded_query_of_the_library_comes_back() -> None:
    folder = os.environ.get("ACCELSIM_REFERENCE")
    if not folder:
        pytest.skip("ACCELSIM_REFERENCE is not set")
    with open(Path(folder) / "mapping" / "hwcomponents_queries.csv", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["component"].startswith("SRAM")]
    assert len(rows) == 16
    for row in rows:
        _, size, _, node = row["component"].split()
        place = int(size.removesuffix("KiB")) * KIB, float(node.removesuffix("nm"))
        for lookup, expected in (
            (TABLE.sram_read_pj_per_bit, float(row["read_pJ_per_bit"])),
            (TABLE.sram_write_pj_per_bit, float(row["write_pJ_per_bit"])),
            (TABLE.sram_um2_per_bit, float(row["area_um2"]) / (place[0] * 8)),
        ):
            assert lookup(*place).typical == pytest.approx(expected, rel=2e-4)


def test_lpddr5_against_the_data_sheet_it_cites() -> None:
    # Micron Y52P, x16 at 7500 Mb/s: VDD2H 1.05 V, VDD1 1.8 V, VDDQ 0.5 V; mA of a read stream.
    streaming = (390 * 1.05 + 18.0 * 1.8 + 111.9 * 0.5) / (16 * 7.5)
    assert streaming == pytest.approx(4.15, abs=0.005)
    assert (
        TABLE.dram_pj_per_bit("lpddr5x").low < streaming < TABLE.dram_pj_per_bit("lpddr5x").typical
    )
    for standard in ("lpddr5", "lpddr5x"):
        value = TABLE.dram_pj_per_bit(standard)
        assert holds(value, 10.0)  # PIM-AI, LPDDR5X
        assert value.high < 31.25  # ZigZag's figure is not credible: 51 W at 204.8 GB/s.
    assert holds(TABLE.dram_pj_per_bit("lpddr5"), 7.0)  # AiF
    assert holds(TABLE.dram_pj_per_bit("lpddr5"), 20.0)  # PIM-AI


@pytest.mark.parametrize(
    ("standard", "published"),
    [
        ("hbm2", 3.92), ("hbm2", 5.47), ("hbm2", 250 / 64), ("hbm2", 450 / 64), ("hbm2", 6.25),
        ("hbm2e", 4.3), ("hbm2e", 13.11), ("hbm3", 4.05), ("hbm3", 11.68), ("hbm3e", 3.44),
        ("gddr6", 6.48), ("lpddr4", 8.0), ("ddr4", 1300 / 64), ("ddr3", 70),
    ],
)  # fmt: skip
def test_published_dram_figures_are_inside(standard: str, published: float) -> None:
    assert holds(TABLE.dram_pj_per_bit(standard), published)


# Scaling -------------------------------------------------------------------------------------


def test_node_factors_equal_hand_computed_ratios() -> None:
    # a V^2 + b V + c by hand: 7 nm at 0.75 V, 16 nm at 0.8 V, 45 nm at 0.9 V.
    f7 = 0.1776 * 0.5625 - 0.09097 * 0.75 + 0.02447
    f16 = 0.2958 * 0.64 - 0.1241 * 0.8 + 0.03024
    f45 = 1.103 * 0.81 - 0.362 * 0.9 + 0.2767
    assert (f7, f16, f45) == pytest.approx((0.0561425, 0.120272, 0.84433))
    scaling = TABLE.scaling
    assert scaling.factor("energy", 45, 7).typical == pytest.approx(f7 / f45)
    assert scaling.factor("energy", 16, 7).typical == pytest.approx(f7 / f16)
    assert scaling.factor("area", 45, 7) == Range(0.059, 0.059, 0.059)
    assert scaling.factor("area", 65, 16).typical == pytest.approx(0.19 / 1.5)
    assert scaling.factor("voltage", 16, 7).typical == pytest.approx((0.75 / 0.8) ** 2)
    assert scaling.factor("leakage", 45, 7).typical == pytest.approx(f7 / f45 / 0.059)
    half = math.sqrt(20 * 32)  # the geometric middle of two nodes
    assert scaling.area_factor(half) == pytest.approx(math.sqrt(0.21 * 0.46))


def test_below_7_nm_the_corners_part() -> None:
    factor = TABLE.scaling.factor("energy", 7, 5)
    assert factor.typical == pytest.approx(math.sqrt(5 / 7))  # hwcomponents: 0.0920 / 0.1088
    assert factor.low == pytest.approx(0.70, abs=0.02)  # Yeap et al.: 30 % less power
    assert factor.high == 1
    area = TABLE.scaling.factor("area", 7, 5)
    assert area.typical == pytest.approx(5 / 7)
    assert 1 / area.low == pytest.approx(1.8, rel=0.01)  # Yeap et al.: 1.8x density
    dense = TABLE.sram_um2_per_bit(MIB, 7)
    assert TABLE.sram_um2_per_bit(MIB, 5).typical == pytest.approx(dense.typical * (5 / 7) ** 0.75)
    assert TABLE.sram_um2_per_bit(MIB, 5).high == dense.high  # SRAM cells may not shrink at all.
    register = TABLE.register_pj_per_bit(5)
    at_7 = TABLE.register_pj_per_bit(7)
    assert register.high / register.low > at_7.high / at_7.low


def test_a_single_anchor_scales_and_two_anchors_blend() -> None:
    f40, f7 = TABLE.scaling.energy_factor(40), TABLE.scaling.energy_factor(7)
    assert TABLE.register_pj_per_bit(7).typical == pytest.approx(0.009 * f7 / f40)
    f45, f16 = TABLE.scaling.energy_factor(45), TABLE.scaling.energy_factor(16)
    power = math.log(0.2 / 0.07) / math.log(f45 / f7)
    assert TABLE.at("mac.multiply.int8", 16).typical == pytest.approx(0.07 * (f16 / f7) ** power)
    assert TABLE.at("mac.multiply.int8", 65).typical == pytest.approx(
        0.2 * TABLE.scaling.energy_factor(65) / f45
    )


def test_sram_capacity_interpolates_holds_and_extends() -> None:
    middle = math.sqrt(2 * KIB * 32 * KIB)
    expected = math.sqrt(0.003915 * 0.0231)
    assert TABLE.sram_read_pj_per_bit(middle, 7).typical == pytest.approx(expected)
    assert TABLE.sram_read_pj_per_bit(64, 7) == TABLE.sram_read_pj_per_bit(2 * KIB, 7)
    slope = math.log(0.225285 / 0.078304) / math.log(8)
    assert TABLE.sram_read_pj_per_bit(32 * MIB, 7).typical == pytest.approx(0.225285 * 16**slope)
    assert TABLE.sram_um2_per_bit(32 * MIB, 7) == TABLE.sram_um2_per_bit(2 * MIB, 7)
    node = math.sqrt(7 * 16)
    expected = math.sqrt(0.0231 * 0.034924)
    assert TABLE.sram_read_pj_per_bit(32 * KIB, node).typical == pytest.approx(expected)


# Mixed formats and primitives ----------------------------------------------------------------


def test_mixed_integers_cost_by_the_product_of_the_widths() -> None:
    pair = TABLE.mac_pj("int8", "int4", "int32", 7)
    adder = TABLE.at("mac.add.int32", 7)
    assert pair.typical - adder.typical == pytest.approx(math.sqrt(0.07 * 0.02))
    assert pair == TABLE.mac_pj("int4", "int8", "int32", 7)
    wide, narrow = (TABLE.mac_pj(f, f, "int32", 7) for f in ("int8", "int4"))
    assert narrow.typical < pair.typical < wide.typical
    assert pair.high == wide.high


def test_a_float_with_an_integer_costs_the_float_multiplier() -> None:
    pair, wide = TABLE.mac_pj("bf16", "int4", "fp32", 7), TABLE.mac_pj("bf16", "bf16", "fp32", 7)
    assert (pair.typical, pair.high) == (wide.typical, wide.high)
    assert pair.low < wide.low


def test_names_that_share_a_multiplier() -> None:
    assert TABLE.mac_pj("uint8", "int8", "int32", 7) == TABLE.mac_pj("int8", "int8", "int32", 7)
    assert TABLE.mac_um2("fp8_e4m3", "fp8_e4m3", "fp32", 7) == TABLE.mac_um2(
        "fp8_e5m2", "fp8_e5m2", "fp32", 7
    )


def test_primitives_cover_the_vector_unit_and_compose() -> None:
    assert {*PRIMITIVES, "reduce", "move"} <= set(TABLE.primitives)
    add, mul = TABLE.vector_pj("add", 7), TABLE.vector_pj("mul", 7)
    assert (add.typical, mul.typical) == (0.38, 1.31)
    assert TABLE.vector_pj("exp", 7).typical == pytest.approx(5 * 0.38 + 5 * 1.31)
    # A float division was measured at 7.1 multiplies on a Cortex-M4F (PMC8934428, Table 3).
    assert holds(TABLE.vector_pj("div", 45), 7.1 * 3.7)
    for cheap, dear in (("move", "add"), ("max", "add"), ("add", "mul"), ("mul", "exp")):
        assert TABLE.vector_pj(cheap, 7).typical < TABLE.vector_pj(dear, 7).typical
    for part, whole in (("exp", "sigmoid"), ("exp", "tanh"), ("rsqrt", "sqrt")):
        assert TABLE.vector_pj(part, 7).typical < TABLE.vector_pj(whole, 7).typical


# Wrong input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: TABLE.mac_pj("int9", "int8", "int32", 7), "operand format 'int9'"),
        (lambda: TABLE.mac_pj("fp8", "int8", "int32", 7), "operand format 'fp8'"),
        (lambda: TABLE.mac_um2("int8", "fp64", "int32", 7), "operand format 'fp64'"),
        (lambda: TABLE.mac_pj("int8", "int8", "int8", 7), "accumulator format 'int8'"),
        (lambda: TABLE.vector_pj("expp", 7), "did you mean 'exp'"),
        (lambda: TABLE.dram_pj_per_bit("lpddr55"), "did you mean 'lpddr5'"),
        (lambda: TABLE.dram_phy_mm2("LPDDR5"), "DRAM standard 'LPDDR5'"),
        (lambda: TABLE.at("mac.multiply.int9", 7), "energy figure"),
        (lambda: TABLE.sources(["sram", "srma"]), "energy figure 'srma'"),
    ],
)
def test_unknown_names_say_what_is_known(call: Callable[[], object], said: str) -> None:
    with pytest.raises(UnknownNameError, match=said):
        call()


@pytest.mark.parametrize("node", [0, 1, 1.9, 66, 180, -7, math.nan])
def test_nodes_outside_the_table_are_refused(node: float) -> None:
    calls: tuple[Callable[[], Range], ...] = (
        lambda: TABLE.mac_pj("int8", "int8", "int32", node),
        lambda: TABLE.sram_read_pj_per_bit(MIB, node),
        lambda: TABLE.sram_leakage_mw_per_mib(node),
    )
    for call in calls:
        with pytest.raises(InputError, match="a node from 2 to 65 nm"):
            call()


@pytest.mark.parametrize("size", [0, -1, math.nan])
def test_a_capacity_must_be_above_zero(size: float) -> None:
    with pytest.raises(ValueError, match="capacity_bytes"):
        TABLE.sram_read_pj_per_bit(size, 7)


def _swap_corners(raw: Raw) -> None:
    raw["entries"][0]["low"] = raw["entries"][0]["high"] * 2


def _drop_source(raw: Raw) -> None:
    del raw["entries"][0]["source"]


def _unknown_source(raw: Raw) -> None:
    raw["entries"][0]["source"] = ["nobody2099"]


def _twice(raw: Raw) -> None:
    raw["entries"].append(raw["entries"][0])


def _no_rule(raw: Raw) -> None:
    raw["entries"][0]["rule"] = "none"


def _bad_powers(raw: Raw) -> None:
    raw["scaling"]["below_smallest"]["energy"]["high"] = 3


def _bad_width(raw: Raw) -> None:
    raw["sram"]["rows"][0]["energy_width"] = [1.2, 2.0]


def _bad_counts(raw: Raw) -> None:
    raw["composites"]["rows"][0]["adds"] = [2, 1, 1]


@pytest.mark.parametrize(
    "damage",
    [_swap_corners, _drop_source, _unknown_source, _twice, _no_rule, _bad_powers, _bad_width,
     _bad_counts],
)  # fmt: skip
def test_a_damaged_table_does_not_load(damage: Callable[[Raw], None]) -> None:
    raw = raw_table()
    EnergyTable.model_validate(raw)
    damage(raw)
    with pytest.raises(ValidationError):
        EnergyTable.model_validate(raw)


def test_the_table_is_read_once_and_frozen() -> None:
    assert load_energy_table() is TABLE
    with pytest.raises(ValidationError):
        setattr(TABLE.entries[0], "low", 1.0)  # noqa: B010
