"""A chip as the kernels see it: one array with one pair of formats, in flat vectors."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from accelsim.jit import Floats, Ints
from accelsim.mapping._core import layout as at
from accelsim.spec.arch import ArchSpec
from accelsim.spec.compute import ArraySpec, MacMode
from accelsim.spec.memory import MemorySpec

_PS = 1e12
#: Dataflow names of a chip in the order of the kernels' codes.
DATAFLOWS = ("output_stationary", "weight_stationary", "input_stationary")


@dataclass(frozen=True)
class Machine:
    """What the kernels need of a chip.

    Attributes:
        arch: the chip.
        array: the kind of array that executes an op, or None for vector work alone.
        mode: the array's mode for the op's formats.
        cost_fj: energy per bit at the nearest level's port, then of each link; it chooses among
            equally fast plans.
        objective: what a plan is searched for, one of ``layout.OBJECTIVES``.
    """

    arch: ArchSpec
    array: ArraySpec | None
    mode: MacMode | None
    cost_fj: tuple[float, ...] = field(default=())
    objective: str = "latency"

    @property
    def levels_used(self) -> int:
        """On-chip levels; link l leads into level l from level l + 1 or from DRAM."""
        return len(self.arch.memories)

    @property
    def ps_per_cycle(self) -> float:
        """Length of a cycle of the chip's clock."""
        return _PS / self.arch.clock_hz

    @property
    def accumulator_bits(self) -> int:
        """Storage of one partial sum."""
        return self.mode.how.accumulator_bits if self.mode else 32

    @cached_property
    def vector(self) -> Ints:
        """The machine vector of the kernels."""
        found = np.zeros(at.C_SIZE, np.int64)
        found[at.C_LEVELS] = self.levels_used
        found[at.C_RESULT_BUFFERS] = 2
        if self.array is not None:
            found[at.C_RESULT_BUFFERS] = self.array.result_buffers
            found[at.C_ROWS] = self.array.rows
            found[at.C_COLS] = self.array.columns
            found[at.C_COUNT] = self.array.count
            found[at.C_WEIGHT_DB] = self.array.weight_double_buffer
            found[at.C_OUTPUT_DB] = self.array.output_double_buffer
            found[at.C_ACC_BITS] = 8 * (self.array.accumulator_bytes or 0)
        return found

    @cached_property
    def levels(self) -> Ints:
        """Size, buffers, ports and banks per level."""
        found = np.zeros((at.MAX_LEVELS, at.L_SIZE), np.int64)
        for i, memory in enumerate(self.arch.memories):
            found[i, at.L_BITS] = 8 * memory.size_bytes
            found[i, at.L_BUFFERS], found[i, at.L_PORTS] = memory.buffers, memory.ports
            found[i, at.L_BANKING] = at.BANKINGS.index(memory.banking)
            found[i, at.L_APART] = all(end.ports == 2 for end in self._banked_ends(i))
            found[i, at.L_TENSOR0 :] = [8 * size for size in memory.tensor_bytes]
        return found

    def _banked_ends(self, link: int) -> list[MemorySpec]:
        """Levels at the ends of a link whose banks belong to tensors."""
        ends = self.arch.memories[link : link + 2]
        return [level for level in ends if level.banking != "interleaved"]

    def free_levels(self, held_bits: int) -> Ints:
        """``levels`` less what earlier ops left in the outermost level."""
        found = self.levels.copy()
        found[self.levels_used - 1, at.L_BITS] -= held_bits
        return found

    @cached_property
    def rates(self) -> Floats:
        """The rate vector of the kernels."""
        arch = self.arch
        found = np.zeros(at.R_SIZE, np.float64)
        found[at.R_PS_PER_CYCLE] = self.ps_per_cycle
        found[at.R_OVERHEAD] = _ps(arch.dispatch.op_overhead_s)
        found[at.R_TILE] = _ps(arch.dispatch.tile_overhead_s)
        found[at.R_PORT0] = _ps_per_bit(arch.memories[0].bandwidth_bytes_per_s)
        found[at.R_OBJECTIVE] = at.OBJECTIVES.index(self.objective)
        found[at.R_PORT_COST] = self.cost_fj[0] if self.cost_fj else 0.0
        for link in range(self.levels_used):
            found[at.R_LINK0 + link] = _ps_per_bit(self._link_bandwidth(link))
            outermost = link + 1 == self.levels_used
            latency = arch.dma.setup_s + (arch.dram.latency_s if outermost else 0.0)
            found[at.R_SETUP0 + link] = _ps(latency)
            if self.cost_fj:
                found[at.R_COST0 + link] = self.cost_fj[1 + link]
            for group in range(at.BANK_GROUPS):
                ends = [e.tensor_bytes_per_s[group] for e in self._banked_ends(link)]
                banks = at.R_LINK_BANKS0 + at.BANK_GROUPS * link + group
                found[banks] = max(map(_ps_per_bit, ends), default=0.0)
        nearest = arch.memories[0].tensor_bytes_per_s
        found[at.R_PORT_BANKS0 :][: at.BANK_GROUPS] = [_ps_per_bit(rate) for rate in nearest]
        return found

    def _link_bandwidth(self, link: int) -> float:
        """Bytes per second between a level and the next one out: the slower side decides."""
        inner = self.arch.memories[link].bandwidth_bytes_per_s
        if link + 1 < self.levels_used:
            return min(inner, self.arch.memories[link + 1].bandwidth_bytes_per_s)
        return min(inner, self.arch.dram.sustained_bytes_per_s)

    @property
    def link_banks(self) -> Floats:
        """Picoseconds per bit of the banks of each queue at the ends of its link: ``[links, 4]``.

        What is loaded for results and what is stored lies in the same banks. 0: no banks of its
        own.
        """
        rates = self.rates[at.R_LINK_BANKS0 :].reshape(-1, at.BANK_GROUPS)[: self.levels_used]
        return np.concatenate([rates, rates[:, at.OP_C :]], axis=1)

    def level_ps_per_bit(self, level: int) -> float:
        """Picoseconds per bit of a level's own port."""
        return _ps_per_bit(self.arch.memories[level].bandwidth_bytes_per_s)

    def milli_cycles(self, work: tuple[tuple[str, int], ...]) -> int:
        """Vector work in 1/1000 cycles, all lanes busy, rounded up."""
        vector = self.arch.vector
        cycles = sum(count * vector.cycles(name) for name, count in work) / vector.lanes
        return int(np.ceil(cycles * 1000))


def _ps(seconds: float) -> float:
    """Whole picoseconds at or above a time; a digit that only floats have is not a picosecond."""
    return float(np.ceil(round(seconds * _PS, 3)))


def _ps_per_bit(bytes_per_s: float) -> float:
    return _PS / (8 * bytes_per_s)
