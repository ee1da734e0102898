"""Spans of the trace: inside their op, in order, and never more than a unit can do."""

from __future__ import annotations

import itertools
from collections import defaultdict

from accelsim import api
from accelsim.graph.request import GraphRequest
from accelsim.sim.result import Span


def test_spans_lie_inside_the_run_and_units_do_one_thing_at_a_time() -> None:
    run = api.simulate("cloud_npu", "bert-base", "w8a8_int8", request=GraphRequest(seq_len=64))
    end = max(row.start_ps + row.duration_ps for row in run.layers)
    tracks: dict[str, list[Span]] = defaultdict(list)
    for span in run.spans:
        assert span.start_ps >= 0
        assert span.duration_ps > 0
        assert span.start_ps + span.duration_ps <= end
        tracks[span.unit].append(span)
    assert {"dispatch", "array", "vector", "dram A", "dram W", "dram store", "shared A"} <= set(
        tracks
    )
    for unit in ("dispatch", "array", "vector"):
        spans = sorted(tracks[unit], key=lambda span: span.start_ps)
        for before, after in itertools.pairwise(spans):
            assert before.start_ps + before.duration_ps <= after.start_ps, (before, after)


def test_every_op_is_dispatched_once() -> None:
    run = api.simulate("edge_npu", "vit-b-16")
    dispatched = [span.name for span in run.spans if span.unit == "dispatch"]
    assert dispatched == [row.name for row in run.layers]


def test_arrows_lead_from_the_last_transfer_of_a_tile_to_its_computation() -> None:
    run = api.simulate("edge_npu", "bert-base", request=GraphRequest(seq_len=16))
    ends: dict[int, list[Span]] = defaultdict(list)
    for span in run.spans:
        if span.flow:
            ends[span.flow].append(span)
    assert ends
    for pair in ends.values():
        source, target = sorted(pair, key=lambda span: span.start_ps)
        assert source.unit.startswith("dram ")
        assert target.unit in ("array", "vector")
        assert source.start_ps + source.duration_ps <= target.start_ps
