"""The run's timeline as a native Perfetto trace: drop the file on https://ui.perfetto.dev.

One track per unit, slices named by op, arrows from a transfer to the work that waited for it, and
the DRAM bandwidth as a counter. Perfetto counts nanoseconds; both ends of a span are rounded down,
so spans that touch stay in touch.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import (
    CounterDescriptor,
    TracePacket,
    TrackDescriptor,
    TrackEvent,
)
from perfetto.trace_builder.proto_builder import StreamingTraceProtoBuilder

from accelsim.report.rows import Run
from accelsim.sim.result import Span

#: Units from the top of the screen; what is not listed (memories, links) stands in the middle.
_ORDER = {"dispatch": 0, "dram": 1, "vector": 4}
_MIDDLE, _ARRAY = 2, 3
_QUEUES = ("A", "W", "C", "store")

_RUN_TRACK = 1
_COUNTER_TRACK = 2
_FIRST_UNIT_TRACK = 3
_SEQUENCE = 1
_PS_PER_NS = 1000
_PS_PER_S = 10**12


@dataclass(slots=True)
class Lane:
    """A track's spans, one after the other; a unit with overlapping spans has several lanes."""

    name: str
    spans: list[Span] = field(default_factory=list)


def trace_bytes(run: Run, spans: Iterable[Span]) -> bytes:
    """Return the trace of a run."""
    out = io.BytesIO()
    write_trace(run, spans, out)
    return out.getvalue()


def write_trace(run: Run, spans: Iterable[Span], file: IO[bytes]) -> None:
    """Write the trace of a run, packet by packet.

    Args:
        run: names the trace; its layers give the DRAM bandwidth.
        spans: the run's intervals, in any order.
        file: open for bytes.
    """
    builder = StreamingTraceProtoBuilder(file)
    lanes = _lanes(spans)
    for packet in (*_descriptors(run, lanes), *_counter(run)):
        builder.write_packet(packet)
    for index, lane in enumerate(lanes):
        for packet in _slices(lane, _FIRST_UNIT_TRACK + index):
            builder.write_packet(packet)


def _lanes(spans: Iterable[Span]) -> list[Lane]:
    """Return lanes in the order in which they are shown, spans in order of time."""
    ordered = sorted(spans, key=lambda s: (s.start_ps, -s.duration_ps, s.unit, s.name, s.flow))
    units: dict[str, list[Lane]] = {}
    owners: dict[str, int] = {}
    for span in ordered:
        owners.setdefault(_owner(span.unit), len(owners))
        lanes = units.setdefault(span.unit, [])
        free = next((la for la in lanes if _end_ps(la.spans[-1]) <= span.start_ps), None)
        if free is None:
            number = f" ({len(lanes) + 1})" if lanes else ""
            free = Lane(span.unit + number)
            lanes.append(free)
        free.spans.append(span)
    shown = sorted(units, key=lambda u: (_rank(_owner(u)), owners[_owner(u)], _queue(u), u))
    return [lane for unit in shown for lane in units[unit]]


def _end_ps(span: Span) -> int:
    return span.start_ps + span.duration_ps


def _owner(unit: str) -> str:
    """Return the unit that a queue belongs to: ``dram W`` → ``dram``."""
    return unit.split(" ")[0]


def _queue(unit: str) -> int:
    queue = unit.partition(" ")[2]
    return _QUEUES.index(queue) if queue in _QUEUES else len(_QUEUES)


def _rank(owner: str) -> int:
    return _ORDER.get(owner, _ARRAY if "array" in owner else _MIDDLE)


def _descriptors(run: Run, lanes: Sequence[Lane]) -> Iterator[TracePacket]:
    """Describe the tracks: the run, the counter, and one per lane."""
    title = f"{run['model']} on {run['arch']}: {run['phase']}, {run['recipe']}"
    packet = _track(_RUN_TRACK, title)
    packet.track_descriptor.child_ordering = TrackDescriptor.EXPLICIT
    packet.sequence_flags = TracePacket.SEQ_INCREMENTAL_STATE_CLEARED
    yield packet
    packet = _track(_COUNTER_TRACK, "DRAM bandwidth", rank=len(lanes))
    counter = packet.track_descriptor.counter
    counter.unit = CounterDescriptor.UNIT_SIZE_BYTES
    counter.unit_name = "B/s"
    counter.y_axis_share_key = "bandwidth"
    yield packet
    for index, lane in enumerate(lanes):
        yield _track(_FIRST_UNIT_TRACK + index, lane.name, rank=index)


def _track(uuid: int, name: str, rank: int | None = None) -> TracePacket:
    packet = TracePacket()
    packet.timestamp = 0
    packet.trusted_packet_sequence_id = _SEQUENCE
    packet.track_descriptor.uuid = uuid
    packet.track_descriptor.name = name
    if rank is not None:
        packet.track_descriptor.parent_uuid = _RUN_TRACK
        packet.track_descriptor.sibling_order_rank = rank
        packet.track_descriptor.sibling_merge_behavior = TrackDescriptor.SIBLING_MERGE_BEHAVIOR_NONE
    return packet


def _event(time_ps: int, kind: Any, track: int) -> TracePacket:
    packet = TracePacket()
    packet.timestamp = time_ps // _PS_PER_NS
    packet.trusted_packet_sequence_id = _SEQUENCE
    packet.track_event.type = kind
    packet.track_event.track_uuid = track
    return packet


def _slices(lane: Lane, track: int) -> Iterator[TracePacket]:
    """Open and close every span; Perfetto draws an arrow along slices of the same flow."""
    for span in lane.spans:
        packet = _event(span.start_ps, TrackEvent.TYPE_SLICE_BEGIN, track)
        packet.track_event.name = span.name
        if span.flow:
            packet.track_event.flow_ids.append(span.flow)
        yield packet
        yield _event(_end_ps(span), TrackEvent.TYPE_SLICE_END, track)


def _counter(run: Run) -> Iterator[TracePacket]:
    """Count DRAM bytes per second: the mean of each layer over its place on the timeline."""
    changes: dict[int, int] = {}
    for layer in run["layers"]:
        start, duration = layer.get("start_ps", 0), layer.get("duration_ps", 0)
        if duration:
            # Integers, so that what begins and ends cancels out exactly.
            rate = layer["dram_bytes"] * _PS_PER_S // duration
            changes[start] = changes.get(start, 0) + rate
            changes[start + duration] = changes.get(start + duration, 0) - rate
    rate = 0
    for time_ps, change in sorted(changes.items()):
        rate += change
        packet = _event(time_ps, TrackEvent.TYPE_COUNTER, _COUNTER_TRACK)
        packet.track_event.counter_value = rate
        yield packet
