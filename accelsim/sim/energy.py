"""Energy of one op and area of a chip, from counters and the cited table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from accelsim.mapping.machine import Machine
from accelsim.sim.outcome import Counters
from accelsim.spec.arch import ArchSpec
from accelsim.spec.compute import ArraySpec, MacMode
from accelsim.spec.energy import EnergyTable, load_energy_table
from accelsim.units import Range
from accelsim_kernels.formats import FORMATS

_UM2_PER_MM2 = 1e6
_BITS_PER_MIB = 8 * 2**20


@dataclass(frozen=True)
class EnergyModel:
    """Energy and area of one chip.

    Dynamic energy counts multiply-accumulates with the registers they pass, accesses to every
    memory level per bit, DRAM per bit, and vector primitives. Leakage is area times a density.
    """

    arch: ArchSpec
    table: EnergyTable

    @classmethod
    def of(cls, arch: ArchSpec) -> EnergyModel:
        """Return the model of a chip with the shipped table."""
        return cls(arch, load_energy_table())

    @property
    def _node(self) -> float:
        return self.arch.technology.node_nm

    def _bank_bytes(self, level: int) -> float:
        memory = self.arch.memories[level]
        return memory.size_bytes / memory.instances

    def mac_pj(self, mode: MacMode) -> Range:
        """One multiply-accumulate with the operand and sum registers that it clocks."""
        arithmetic = mode.how
        bits = FORMATS[mode.activation].bits + FORMATS[mode.weight].bits
        registers = self.table.register_pj_per_bit(self._node) * (
            bits + FORMATS[arithmetic.accumulator].bits
        )
        logic = self.table.mac_pj(mode.activation, mode.weight, arithmetic.accumulator, self._node)
        return logic + registers

    def dram_pj_per_bit(self) -> Range:
        """Access and interface of the chip's DRAM."""
        return self.table.dram_pj_per_bit(self.arch.dram.standard)

    def cost_fj(self) -> tuple[float, ...]:
        """Typical energy per bit in fJ: at the nearest level's port, then over each link."""
        costs = [1000 * self.table.sram_read_pj_per_bit(self._bank_bytes(0), self._node).typical]
        for link in range(len(self.arch.memories)):
            inner = self.table.sram_write_pj_per_bit(self._bank_bytes(link), self._node).typical
            if link + 1 < len(self.arch.memories):
                outer = self.table.sram_read_pj_per_bit(
                    self._bank_bytes(link + 1), self._node
                ).typical
            else:
                outer = self.dram_pj_per_bit().typical
            costs.append(1000 * (inner + outer))
        return tuple(costs)

    def op_energy(
        self,
        machine: Machine,
        counted: Counters,
        computed_macs: int,
        work: Mapping[str, int],
        seconds: float,
    ) -> Mapping[str, Range]:
        """Energy in pJ of one op by part of the chip.

        Args:
            machine: the array and mode that ran it.
            counted: what moved.
            computed_macs: multiply-accumulates that switch, hidden ones of a block included.
            work: vector primitives, those in drain or DMA included.
            seconds: how long it took, for leakage.
        """
        lanes = dict(work)
        if machine.mode is None:
            # Without an array the lanes multiply and add.
            for primitive in ("mul", "add"):
                lanes[primitive] = lanes.get(primitive, 0) + computed_macs
        parts = {"array": Range(), "vector": self._vector(lanes)}
        if machine.mode is not None and machine.array is not None:
            parts["array"] = self.mac_pj(machine.mode) * computed_macs
            parts["array"] += self._sums(machine.array, counted.sums)
        for level in range(len(self.arch.memories)):
            parts[self.arch.memories[level].name] = self._level(level, counted)
        parts["dram"] = self.dram_pj_per_bit() * sum(counted.links[-1])
        parts["leakage"] = self.leakage_w * (seconds * 1e12)
        return parts

    def _vector(self, work: Mapping[str, int]) -> Range:
        return Range.total(
            self.table.vector_pj(name, self._node) * count for name, count in work.items()
        )

    def _sums(self, array: ArraySpec, bits: int) -> Range:
        if not array.accumulator_bytes or not bits:
            return Range()
        # One bank per column, so that all columns can be served in a cycle.
        bank = array.accumulator_bytes / array.columns
        read = self.table.sram_read_pj_per_bit(bank, self._node)
        written = self.table.sram_write_pj_per_bit(bank, self._node)
        return (read + written) * (bits / 2)

    def _level(self, level: int, counted: Counters) -> Range:
        """Loads from outside and stores from inside write a level; the others read it."""
        loaded, stored = counted.links[level]
        read, written = stored, loaded
        if level == 0:
            read += counted.port_read
            written += counted.port_written
        else:
            inner_loaded, inner_stored = counted.links[level - 1]
            read += inner_loaded
            written += inner_stored
        bank = self._bank_bytes(level)
        reading = self.table.sram_read_pj_per_bit(bank, self._node) * read
        return reading + self.table.sram_write_pj_per_bit(bank, self._node) * written

    def level_bytes(self, counted: Counters) -> Mapping[str, int]:
        """Bytes read and written per level, DRAM included."""
        found: dict[str, int] = {}
        for level, memory in enumerate(self.arch.memories):
            bits = sum(counted.links[level])
            if level == 0:
                bits += counted.port_read + counted.port_written
            else:
                bits += sum(counted.links[level - 1])
            found[memory.name] = -(-bits // 8)
        found["dram"] = -(-sum(counted.links[-1]) // 8)
        return found

    @cached_property
    def area_by_part(self) -> Mapping[str, Range]:
        """Area in mm2: multipliers shared between formats, so the largest mode counts."""
        parts = {
            "array": Range.total(self._array_mm2(array) for array in self.arch.arrays),
            "vector": self.table.vector_lane_um2(self._node)
            * (self.arch.vector.lanes / _UM2_PER_MM2),
        }
        for level, memory in enumerate(self.arch.memories):
            per_bit = self.table.sram_um2_per_bit(self._bank_bytes(level), self._node)
            parts[memory.name] = per_bit * (8 * memory.size_bytes / _UM2_PER_MM2)
        phy = self.table.dram_phy_mm2(self.arch.dram.standard)
        parts["dram_phy"] = phy * self.arch.dram.channels
        return parts

    def _array_mm2(self, array: ArraySpec) -> Range:
        per_pe = max((self._pe_um2(mode) for mode in array.modes), key=lambda area: area.typical)
        area = per_pe * (array.pes / _UM2_PER_MM2)
        if array.accumulator_bytes:
            bank = array.accumulator_bytes / array.columns
            per_bit = self.table.sram_um2_per_bit(bank, self._node)
            area += per_bit * (8 * array.accumulator_bytes * array.count / _UM2_PER_MM2)
        return area

    def _pe_um2(self, mode: MacMode) -> Range:
        arithmetic = mode.how
        mac = self.table.mac_um2(mode.activation, mode.weight, arithmetic.accumulator, self._node)
        bits = FORMATS[mode.activation].bits + FORMATS[mode.weight].bits
        bits += FORMATS[arithmetic.accumulator].bits
        return mac * mode.macs_per_pe_per_cycle + self.table.register_um2_per_bit(self._node) * bits

    @property
    def area_mm2(self) -> Range:
        """Area of everything that is modelled."""
        return Range.total(self.area_by_part.values())

    @cached_property
    def leakage_w(self) -> Range:
        """Static power of logic and SRAM."""
        logic = self.area_by_part["array"] + self.area_by_part["vector"]
        leak = self.table.logic_leakage_mw_per_mm2(self._node).times(logic) * 1e-3
        sram_bits = sum(8 * memory.size_bytes for memory in self.arch.memories)
        per_mib = self.table.sram_leakage_mw_per_mib(self._node)
        return leak + per_mib * (1e-3 * sram_bits / _BITS_PER_MIB)
