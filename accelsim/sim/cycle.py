"""One plan at the fidelity ``cycle``: every unit clock by clock, DRAM request by request.

The chip and its memory take turns. A request that is sent now is answered no sooner than after the
path between them, so the chip runs ahead by that much, then the memory does: none ever sees the
other's future.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import Floats, Index, Ints
from accelsim.mapping._core import layout as at
from accelsim.mapping._core.places import (
    PLACE_SIZE,
    gemm_extents,
    gemm_places,
    streamed_places,
)
from accelsim.mapping._core.steps import W_ARRAY, W_VECTOR
from accelsim.mapping.gemm import problem_vector
from accelsim.mapping.plan import Plan
from accelsim.mapping.workload import GemmWorkload
from accelsim.sim._core import cycle_chip, cycle_requests, queues
from accelsim.sim._core import cycle_state as cs
from accelsim.sim.clocked import tile_times
from accelsim.sim.memory import Memory

#: Requests that may be on their way at once, at least.
_LEAST_WINDOW = 64
#: Clocks that the chip runs ahead at most.
_MOST_AHEAD = 1 << 12


def places_of(plan: Plan, steps: int) -> Ints:
    """Return where the tiles of the first steps lie in DRAM: int64 ``[steps, 4, PLACE_SIZE]``."""
    found = np.zeros((steps, queues.QUEUES, PLACE_SIZE), np.int64)
    workload, machine = plan.workload, plan.machine
    if isinstance(workload, GemmWorkload) and machine.mode is not None:
        gemm_places(problem_vector(workload, machine), machine.vector, plan.choice, found)
    else:
        streamed_places(np.ascontiguousarray(plan.steps.bits[-1]), found)
    return found


def clocked_work(plan: Plan) -> Ints:
    """Return the work of a plan's steps, with the array's cycles as the clocked array counts them.

    Every tile of a matrix product is run on it with real operands, equal ones once. The array's
    cycles of attention, which works on two products a tile, are the closed form's.
    """
    work, workload, machine = plan.steps.work.copy(), plan.workload, plan.machine
    if not isinstance(workload, GemmWorkload) or machine.mode is None:
        return work
    problem = problem_vector(workload, machine)
    extents = np.zeros((work.shape[0], at.DIMS), np.int64)
    gemm_extents(problem, machine.vector, plan.choice, extents)
    sizes, which = np.unique(extents, axis=0, return_inverse=True)
    cycles = [
        tile_times(problem, machine.vector, plan.choice, tuple(size)).occupied
        for size in sizes.tolist()
    ]
    work[:, W_ARRAY] = np.array(cycles, np.int64)[which.reshape(-1)]
    return work


class Chip:
    """The flat arrays of one plan, and its clock.

    Attributes:
        end: clocks from dispatch to the last store, once it is done.
        stalls: clocks by cause, in the order of ``sim.result.STALLS``.
    """

    def __init__(self, plan: Plan, request_bytes: int) -> None:
        self.bits, self.work = plan.steps.bits, clocked_work(plan)
        self.ps_per_cycle = float(plan.machine.rates[at.R_PS_PER_CYCLE])
        links, _, steps = self.bits.shape
        numbers = np.zeros((links, queues.QUEUES, queues.Q_SIZE), np.int64)
        self.index = queues.number_tiles(self.bits, numbers)
        self.queues = np.zeros((links, queues.QUEUES, cs.QS), np.int64)
        self.queues[:, :, cs.Q_COUNT] = numbers[:, :, queues.Q_COUNT]
        self.queues[:, :, cs.Q_TAKEN_OF] = -1
        self.tiles = np.zeros((cs.T_SIZE, links, queues.QUEUES, steps), np.int64)
        self.tiles[cs.T_BEGIN] = self.tiles[cs.T_END] = -1
        self.steps = np.zeros((cs.S_ROWS, steps), np.int64)
        self.steps[cs.S_VECTOR_START] = self.steps[cs.S_VECTOR_END] = -1
        self.lanes = self._lanes(plan)
        self.flow = self._flow(plan)
        self.units = self._units(plan, request_bytes)
        self.requests = self._requests(plan, request_bytes)

    def _clocks(self, ps: float) -> int:
        return int(np.ceil(round(ps / self.ps_per_cycle, 3)))

    def _lanes(self, plan: Plan) -> Ints:
        arch = plan.machine.arch
        found = np.zeros((self.bits.shape[0], cs.LANES), np.int64)
        for link, memory in enumerate(arch.memories):
            found[link, cs.L_SETUP] = self._clocks(1e12 * arch.dma.setup_s)
            found[link, cs.L_BUFFERS] = memory.buffers
            found[link, cs.L_BURST] = 8 * arch.dma.burst_bytes
            found[link, cs.L_ENGINES] = arch.dma.engines
            found[link, cs.L_QUEUE] = -1
            found[link, cs.L_APART] = plan.machine.levels[link, at.L_APART]
        return found

    def _flow(self, plan: Plan) -> Floats:
        links = self.bits.shape[0]
        rates, memories = plan.machine.rates, plan.machine.arch.memories
        port = np.zeros(cs.F_SIZE, np.float64)
        per_bit = rates[at.R_PORT_BANKS0 :][: at.BANK_GROUPS]
        port[cs.F_PORT : cs.F_PORT + at.BANK_GROUPS] = self.ps_per_cycle / per_bit
        found = np.zeros((links, cs.F_LINK), np.float64)
        found[:, cs.F_RATE] = self.ps_per_cycle / rates[at.R_LINK0 : at.R_LINK0 + links]
        # Requests leave as fast as the level inside can take what they bring.
        clock = plan.machine.arch.clock_hz
        found[-1, cs.F_RATE] = 8 * memories[-1].bandwidth_bytes_per_s / clock
        banks = plan.machine.link_banks
        limits = np.divide(
            self.ps_per_cycle, banks, out=np.full_like(banks, np.inf), where=banks > 0
        )
        found[:, cs.F_BANK_RATE : cs.F_BANK_CREDIT] = limits
        return np.concatenate([port, found.ravel()])

    def _units(self, plan: Plan, request_bytes: int) -> Ints:
        rates, arch = plan.machine.rates, plan.machine.arch
        found = np.zeros(cs.U_SIZE, np.int64)
        found[cs.U_STEPS] = self.work.shape[0]
        found[cs.U_OVERHEAD] = self._clocks(rates[at.R_OVERHEAD])
        found[cs.U_TILE] = self._clocks(rates[at.R_TILE])
        found[cs.U_DRAIN] = plan.steps.drain_cycles
        found[cs.U_PORTS] = arch.memories[0].ports
        banking = plan.machine.levels[0, at.L_BANKING]
        found[cs.U_GROUPS] = 1 if banking == at.INTERLEAVED else at.BANK_GROUPS
        found[cs.U_BUFFERS_APART] = banking == at.PER_BUFFER
        found[cs.U_RESULTS] = plan.machine.vector[at.C_RESULT_BUFFERS]
        # Twice what the DRAM moves during its latency: enough to hide it, too little to queue up.
        hidden = 2 * arch.dram.latency_s * arch.dram.bandwidth_bytes_per_s / request_bytes
        found[cs.U_WINDOW] = max(_LEAST_WINDOW, int(np.ceil(hidden)))
        found[cs.U_BLOCK] = 8 * request_bytes
        outputs = (self.work[:, W_VECTOR] > 0) | (self.bits[0, queues.STORE] > 0)
        found[cs.U_OUTPUTS] = int(outputs.sum())
        return found

    def _requests(self, plan: Plan, request_bytes: int) -> Ints:
        last = np.ascontiguousarray(self.bits[-1])
        first: Index = np.ascontiguousarray(self.index[queues.FIRST, -1])
        places = places_of(plan, self.work.shape[0])
        numbers = self.tiles[cs.T_REQUEST, -1]
        count = int(cycle_requests.count_requests(last, first, places, request_bytes, numbers))
        found = np.zeros((cs.R_SIZE, count), np.int64)
        cycle_requests.fill_requests(last, first, places, request_bytes, found)
        return found

    @property
    def end(self) -> int:
        """Clocks until the last store was done."""
        return int(self.units[cs.U_END])

    @property
    def stalls(self) -> list[int]:
        """Clocks in which the main unit waited, by cause."""
        return [int(clocks) for clocks in self.units[cs.U_STALL0 : cs.U_PORT_READ]]

    @property
    def busy(self) -> list[int]:
        """Clocks in which each link had something to send."""
        return [int(clocks) for clocks in self.lanes[:, cs.L_BUSY]]

    def run(self, until: int) -> bool:
        """Run until a clock; return whether everything was done before."""
        state = (self.steps, self.requests)
        return bool(
            cycle_chip.run(
                until, self.bits, self.index, self.work, self.units, self.flow, self.lanes,
                self.queues, self.tiles, state,
            )
        )  # fmt: skip

    def sent(self, since: int) -> tuple[Ints, Ints]:
        """Return the requests sent since the given number of them, and their clocks."""
        until = int(self.units[cs.U_SENT])
        return self.requests[cs.R_ORDER, since:until], self.requests[cs.R_SENT_AT, since:until]

    def deliver(self, which: Ints, clocks: Ints) -> None:
        """Say which requests are answered, and at which clocks."""
        start = int(self.units[cs.U_EVENTS])
        order = np.argsort(clocks, kind="stable")
        self.requests[cs.R_WHICH, start : start + which.size] = which[order]
        self.requests[cs.R_AT, start : start + which.size] = clocks[order]
        self.units[cs.U_EVENTS] = start + which.size


def run_plan(plan: Plan, memory: Memory) -> Chip:
    """Run a plan clock by clock against a memory."""
    chip = Chip(plan, memory.request_bytes)
    memory.reset(chip.requests[cs.R_WORD])
    ahead = max(1, min(_MOST_AHEAD, int(memory.path_ps // chip.ps_per_cycle)))
    now = sent = 0
    while not chip.run(now + ahead):
        now += ahead
        which, clocks = chip.sent(sent)
        sent += which.size
        memory.send(which, np.asarray(clocks * chip.ps_per_cycle, np.float64))
        found, times = memory.answers((now + ahead) * chip.ps_per_cycle)
        chip.deliver(found, np.ceil(times / chip.ps_per_cycle).astype(np.int64))
    return chip
