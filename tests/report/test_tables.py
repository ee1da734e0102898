from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from accelsim.report import tables

Run = dict[str, Any]
Make = Callable[..., dict[str, Any]]


def test_the_roofline_is_in_ops_and_bytes(small_run: Run) -> None:
    up, q = tables.roofline_rows(small_run)
    assert (up["name"], q["count"]) == ("model.layers.*.mlp.up_proj.linear", 2)
    assert up["ops"] == 2 * 2 * 16_000_000
    assert up["ops_per_byte"] == pytest.approx(64e6 / 60_000)
    assert up["ops_per_s"] == pytest.approx(64e6 / 10e-6)
    assert up["peak_ops_per_s"] == 2 * 4.096e12
    assert tuple(up) == tables.ROOFLINE_COLUMNS


def test_no_traffic_is_no_intensity(make_run: Make, make_layer: Make) -> None:
    run = make_run([make_layer("fc", dram_bytes=0), make_layer("norm", 0)])
    (row,) = tables.roofline_rows(run)
    assert row["ops_per_byte"] is None


def test_the_chips_peak_stands_in_for_the_layers(make_run: Make, make_layer: Make) -> None:
    known = make_layer("known", peak_macs_per_s=0.0)
    odd = {"activation": "fp32", "weight": "fp32", "output": "fp32"}
    run = make_run([known, make_layer("unknown", 4_000_000, peak_macs_per_s=0.0, formats=odd)])
    peaks = {row["name"]: row["peak_ops_per_s"] for row in tables.roofline_rows(run)}
    assert peaks == {"known": 2 * 4.096e12, "unknown": 0.0}


@pytest.mark.parametrize(("top", "length"), [(1, 2), (12, 13), (28, 29), (29, 30), (99, 30)])
def test_the_rest_is_summed(crowded_run: Run, top: int, length: int) -> None:
    found = tables.cycles_rows(crowded_run, top)
    assert len(found) == length
    assert sum(row["cycles"] for row in found) == crowded_run["totals"]["cycles"]
    assert math.isclose(sum(row["share"] for row in found), 1.0)
    for row in found:
        assert tuple(row) == tables.CYCLES_COLUMNS
        assert sum(row[part] for part in tables.CYCLE_PARTS) == row["cycles"]
    named_rest = [row for row in found if row["name"].startswith("rest")]
    assert len(named_rest) == (1 if top < 29 else 0)


def test_energy_parts_add_up(crowded_run: Run) -> None:
    found = tables.energy_rows(crowded_run)
    parts = [name for name in found[0] if name.endswith("_pj") and not name.startswith("energy")]
    assert parts == ["array_pj", "dram_pj", "scratchpad_pj"]
    for row in found:
        assert sum(row[part] for part in parts) == pytest.approx(row["energy_typical_pj"])
    total = found.pop()
    assert total["name"] == "total"
    typical = "energy_typical_pj"
    assert sum(row[typical] for row in found) == pytest.approx(total[typical])


def test_energy_that_no_part_accounts_for_is_other(make_run: Make, make_layer: Make) -> None:
    run = make_run([make_layer("fc", energy_by_part={}), make_layer("norm", 0)])
    del run["totals"]["energy_by_part"]
    found = {row["name"]: row for row in tables.energy_rows(run)}
    assert found["fc"]["other_pj"] == found["fc"]["energy_typical_pj"]
    assert found["norm"]["other_pj"] == 0.0
    assert found["total"]["other_pj"] == pytest.approx(found["fc"]["other_pj"])


def test_area_is_known_by_part_or_not_at_all(make_run: Make) -> None:
    run = make_run()
    found = tables.area_rows(run)
    assert [row["part"] for row in found] == ["scratchpad", "array", "vector", "total"]
    assert found[0]["share"] == 0.5
    del run["totals"]["area_by_part"]
    assert tables.area_rows(run) == []
