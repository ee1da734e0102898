from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackDescriptor, TrackEvent

from accelsim.report.timeline import trace_bytes, write_trace
from accelsim.sim.result import Span

Run = dict[str, Any]
Make = Callable[..., dict[str, Any]]

UNITS = ["vector", "array", "dram W", "dram A", "scratchpad", "dispatch", "dram store", "shared A"]
spans_like = st.lists(
    st.builds(
        Span,
        unit=st.sampled_from(UNITS),
        name=st.sampled_from(["q [0]", "q [1]", "up"]),
        start_ps=st.integers(0, 20_000),
        duration_ps=st.integers(0, 9_000),
        flow=st.integers(0, 3),
    ),
    max_size=25,
)


class Read:
    """A trace as a viewer sees it: tracks in order, and slices and values per track."""

    def __init__(self, data: bytes) -> None:
        trace = Trace()
        trace.ParseFromString(data)
        self.tracks: dict[int, TrackDescriptor] = {}
        self.slices: dict[str, list[tuple[int, int, str, tuple[int, ...]]]] = {}
        self.values: list[tuple[int, int]] = []
        stacks: dict[int, list[Any]] = {}
        for packet in trace.packet:
            assert packet.trusted_packet_sequence_id == 1
            if packet.HasField("track_descriptor"):
                self.tracks[packet.track_descriptor.uuid] = packet.track_descriptor
                continue
            event = packet.track_event
            name = self.tracks[event.track_uuid].name
            if event.type == TrackEvent.TYPE_COUNTER:
                self.values.append((packet.timestamp, event.counter_value))
            elif event.type == TrackEvent.TYPE_SLICE_BEGIN:
                stacks.setdefault(event.track_uuid, []).append(packet)
            else:
                begin = stacks[event.track_uuid].pop()
                self.slices.setdefault(name, []).append(
                    (
                        begin.timestamp,
                        packet.timestamp,
                        begin.track_event.name,
                        tuple(begin.track_event.flow_ids),
                    )
                )
        assert not any(stacks.values())

    @property
    def order(self) -> list[str]:
        children = [t for t in self.tracks.values() if t.HasField("sibling_order_rank")]
        return [track.name for track in sorted(children, key=lambda t: t.sibling_order_rank)]


def read(run: Run, spans: Iterable[Span]) -> Read:
    return Read(trace_bytes(run, spans))


def test_tracks_stand_in_order_under_the_run(small_run: Run) -> None:
    found = read(small_run, [Span(unit, "q", i, 1) for i, unit in enumerate(UNITS)])
    assert found.order == [
        "dispatch", "dram A", "dram W", "dram store", "scratchpad", "shared A", "array", "vector",
        "DRAM bandwidth",
    ]  # fmt: skip
    root = next(track for track in found.tracks.values() if not track.parent_uuid)
    assert root.name == "small-lm on edge_npu: prefill, w8a8_int8"
    assert root.child_ordering == TrackDescriptor.EXPLICIT
    assert all(t.parent_uuid == root.uuid for t in found.tracks.values() if t is not root)


def test_slices_are_in_nanoseconds_and_joined_by_arrows(small_run: Run) -> None:
    found = read(
        small_run,
        [
            Span("array", "q", 2_500, 3_000, 7),
            Span("dram", "q", 1_999, 501, 7),
            Span("array", "up", 5_500, 1_500),
        ],
    )
    assert found.slices == {
        "dram": [(1, 2, "q", (7,))],
        "array": [(2, 5, "q", (7,)), (5, 7, "up", ())],
    }


def test_spans_at_the_same_time_get_lanes(small_run: Run) -> None:
    found = read(
        small_run,
        [Span("dram", "a", 0, 4000), Span("dram", "b", 1000, 1000), Span("dram", "c", 4000, 1000)],
    )
    assert found.order == ["dram", "dram (2)", "DRAM bandwidth"]
    assert [name for _, _, name, _ in found.slices["dram"]] == ["a", "c"]


@given(spans_like)
def test_every_span_is_one_slice_and_none_overlap(small_run: Run, spans: list[Span]) -> None:
    found = read(small_run, spans)
    slices = [one for track in found.slices.values() for one in track]
    expected = [
        (
            s.start_ps // 1000,
            (s.start_ps + s.duration_ps) // 1000,
            s.name,
            (s.flow,) if s.flow else (),
        )
        for s in spans
    ]
    assert sorted(slices) == sorted(expected)
    for track in found.slices.values():
        assert all(a[1] <= b[0] for a, b in pairwise(track))


@given(spans_like, st.randoms(use_true_random=False))
def test_bytes_do_not_depend_on_the_order_of_spans(
    small_run: Run, spans: list[Span], random: Any
) -> None:
    shuffled = list(spans)
    random.shuffle(shuffled)
    assert trace_bytes(small_run, shuffled) == trace_bytes(small_run, spans)


def test_the_counter_is_each_layers_bandwidth(make_run: Make, make_layer: Make) -> None:
    run = make_run([make_layer("a", cycles=2000), make_layer("b", cycles=4000, dram_bytes=0)])
    assert read(run, []).values == [(0, 20_000 * 10**9 // 2000), (2000, 0), (6000, 0)]
    run["layers"][1] |= {"start_ps": 1_000_000, "dram_bytes": 4000}
    assert read(run, []).values == [(0, 10**10), (1000, 11 * 10**9), (2000, 10**9), (5000, 0)]


def test_a_run_without_places_has_no_counter_values(make_run: Make) -> None:
    run = make_run()
    for layer in run["layers"]:
        layer["duration_ps"] = 0
    assert read(run, []).values == []


def test_the_trace_is_written_packet_by_packet(small_run: Run) -> None:
    out = io.BytesIO()
    spans = (Span("array", "q", i * 1000, 1000) for i in range(100))
    write_trace(small_run, spans, out)
    assert len(Read(out.getvalue()).slices["array"]) == 100


@pytest.mark.parametrize("name", ["模型", "<b>", "a\nb", ""])
def test_names_come_back(small_run: Run, name: str) -> None:
    assert read(small_run, [Span("array", name, 0, 1000)]).slices["array"][0][2] == name
