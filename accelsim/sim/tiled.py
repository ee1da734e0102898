"""One plan tile by tile: the flat arrays of the tile engine, and how fast the DRAM link is.

The engine gives the outermost link a rate. How fast a DRAM answers depends on what it is asked, in
which order and with which pauses, so the rate is measured on the plan's own requests: as if reads
and writes came apart first, then by what the DRAM is late when it is asked at the times of the
schedule that comes of that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accelsim.jit import Floats, Ints
from accelsim.mapping._core import layout as at
from accelsim.mapping.plan import Plan
from accelsim.sim._core import cycle_requests, engine, queues
from accelsim.sim.cycle import places_of
from accelsim.sim.memory import Dram, Pace

#: Requests that a plan's own pattern is sampled by, per channel and at most.
_SAMPLE, _MOST_SAMPLED = 2048, 1 << 14
#: Steps that the sample is drawn from at most.
_SAMPLED_STEPS = 4096


@dataclass(frozen=True)
class Asked:
    """The first requests of a plan in the order of its steps.

    Attributes:
        words: byte addresses, top bit set for a write.
        used: bytes of each that are of use.
        queue: the queue that each belongs to.
        first: how many of them come before the first pause.
    """

    words: Ints
    used: Ints
    queue: Ints
    first: int

    def per_bit(self, each_ps: float, request_bytes: int) -> Floats:
        """Picoseconds per useful bit of each queue, when every request takes as long."""
        sent = np.bincount(self.queue, minlength=queues.QUEUES)
        useful = np.bincount(self.queue, self.used, minlength=queues.QUEUES)
        whole = np.full(queues.QUEUES, float(request_bytes))
        per_request = np.divide(useful, sent, out=whole, where=sent > 0)
        return np.asarray(each_ps / (8.0 * per_request), np.float64)


def sampled(plan: Plan, dram: Dram) -> tuple[Floats, Pace]:
    """Return picoseconds per useful bit of each queue of the outermost link, and the DRAM's pace.

    A request that is only partly of use takes as long as any other.
    """
    key = (plan.workload, plan.choice.tobytes())
    if key not in dram.paces:
        dram.paces[key] = _sampled(plan, dram)
    return dram.paces[key]


def _sampled(plan: Plan, dram: Dram) -> tuple[Floats, Pace]:
    asked = _asked(plan, dram)
    pace = dram.pace(asked.words, asked.first)
    rates = asked.per_bit(pace.apart_ps, dram.request_bytes)
    if pace.request_ps > pace.apart_ps:
        late = _late_ps(plan, dram, asked, run(plan, dram, rates, pace)[1])
        rates = asked.per_bit(pace.apart_ps + late / asked.words.size, dram.request_bytes)
    return rates, pace


def _asked(plan: Plan, dram: Dram) -> Asked:
    bits = np.ascontiguousarray(plan.steps.bits[-1, :, :_SAMPLED_STEPS])
    places = places_of(plan, bits.shape[1])
    words = np.zeros(min(_SAMPLE * dram.channels, _MOST_SAMPLED), np.int64)
    used, queue = np.zeros_like(words), np.zeros_like(words)
    burst, size = plan.machine.arch.dma.burst_bytes, dram.request_bytes
    loads = bits.copy()
    loads[queues.STORE] = 0
    first = int(cycle_requests.interleaved(loads, places[:1], size, burst, words, used, queue))
    count = int(cycle_requests.interleaved(bits, places, size, burst, words, used, queue))
    return Asked(words[:count], used[:count], queue[:count], first)


def _late_ps(plan: Plan, dram: Dram, asked: Asked, spans: Ints) -> float:
    """Return by how much the DRAM ends later than a schedule when asked at the schedule's times."""
    sent, due = _schedule(plan, dram, asked, spans)
    order = np.argsort(sent, kind="stable")
    answered = dram.answered(asked.words[order], sent[order])
    return max(0.0, float(answered.max() - due.max()))


def _schedule(plan: Plan, dram: Dram, asked: Asked, spans: Ints) -> tuple[Floats, Floats]:
    """Return when each request is sent, and when it is done, if tiles move as in a schedule.

    Requests of a tile leave as fast as the level inside can take what they bring, so early that
    the first one is answered when the tile starts to move.
    """
    sent, due = np.zeros(asked.words.size), np.zeros(asked.words.size)
    per_byte = 8 * plan.machine.level_ps_per_bit(plan.machine.levels_used - 1)
    for which in range(queues.QUEUES):
        mine = np.flatnonzero(asked.queue == which)
        bits = plan.steps.bits[-1, which]
        size = np.ceil(bits[bits > 0] / 8)
        came, ends = np.cumsum(asked.used[mine]), np.cumsum(size)
        tile = np.searchsorted(ends, came)
        done = came - (ends - size)[tile]
        start, end = spans[:, -1, which][:, tile].astype(np.float64)
        latency = dram.write_latency_ps if which == queues.STORE else dram.read_latency_ps
        sent[mine] = start - latency + (done - asked.used[mine]) * per_byte
        due[mine] = start + (end - start) * (done / size[tile])
    return np.maximum(sent, 0.0), due


def run(plan: Plan, dram: Dram, rates: Floats, pace: Pace) -> tuple[Ints, Ints, Ints]:
    """Run a plan; returns the engine's result, transfers, and times of array and vector unit."""
    result, spans, steps, _ = engine.run(
        plan.steps.bits,
        plan.steps.work,
        _lanes(plan, dram, pace),
        _per_bit(plan, rates),
        _parameters(plan),
        plan.machine.levels,
        plan.machine.rates,
    )
    return result, spans, steps


def _parameters(plan: Plan) -> Ints:
    rates = plan.machine.rates
    found = np.zeros(engine.E_SIZE, np.int64)
    found[engine.E_OVERHEAD] = int(rates[at.R_OVERHEAD])
    found[engine.E_TILE] = int(rates[at.R_TILE])
    found[engine.E_DRAIN] = int(np.ceil(plan.steps.drain_cycles * rates[at.R_PS_PER_CYCLE]))
    found[engine.E_RESULT_BUFFERS] = int(plan.machine.vector[at.C_RESULT_BUFFERS])
    return found


def _lanes(plan: Plan, dram: Dram, pace: Pace) -> Ints:
    arch, links = plan.machine.arch, plan.machine.levels_used
    setup = round(1e12 * arch.dma.setup_s)
    found = np.zeros((links, queues.LANE_RING + arch.dma.engines), np.int64)
    for link, memory in enumerate(arch.memories):
        outermost = link + 1 == links
        found[link, queues.LANE_SETUP] = setup + outermost * dram.read_latency_ps
        found[link, queues.LANE_STORE_SETUP] = setup + outermost * dram.write_latency_ps
        found[link, queues.LANE_BUFFERS] = memory.buffers
        found[link, queues.LANE_BURST] = 8 * arch.dma.burst_bytes
        found[link, queues.LANE_APART] = plan.machine.levels[link, at.L_APART]
    found[-1, queues.LANE_COLD] = pace.cold_ps
    found[-1, queues.LANE_ABSORBED] = pace.absorbed_ps
    found[-1, queues.LANE_REFRESH] = pace.refresh_ps
    found[-1, queues.LANE_REFRESH_EVERY] = pace.refresh_every_ps
    return found


def _per_bit(plan: Plan, dram_rates: Floats) -> Floats:
    """Picoseconds per bit of every link and queue, and of the queue's banks, ``[2, links, 4]``.

    The outermost link is as fast as the DRAM answers this plan's own requests, unless the level
    inside it is slower.
    """
    machine, last = plan.machine, plan.machine.levels_used - 1
    rates = machine.rates
    found = np.empty((2, last + 1, queues.QUEUES), np.float64)
    found[queues.LINK] = rates[at.R_LINK0 : at.R_LINK0 + last + 1, None]
    found[queues.LINK, last] = np.maximum(dram_rates, machine.level_ps_per_bit(last))
    found[queues.BANKS] = machine.link_banks
    return found
