"""Energy, area and leakage of the parts of a chip, each a range with its source.

All figures stand in ``energy_table.yaml``; docs/energy.md explains them. Nothing here knows a chip:
callers give formats, capacities and a node, and get low / typical / high.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

import yaml
from pydantic import model_validator

from accelsim.errors import UnknownNameError
from accelsim.spec.figures import Citation, Cited, Composite, Composites, Entry, Sram, figure_at
from accelsim.spec.scaling import Frozen, NodeScaling, blend
from accelsim.units import Range

#: Operand formats that share the multiplier of another name.
_SAME_MULTIPLIER = {"uint8": "int8", "bool": "int8", "fp8_e4m3": "fp8", "fp8_e5m2": "fp8"}
_TABLE = Path(__file__).with_name("energy_table.yaml")


class EnergyTable(Frozen):
    """The table and the lookups on it. Every lookup returns a Range; its unit is in its name."""

    schema_version: Literal[1]
    references: dict[str, str]
    scaling: NodeScaling
    entries: tuple[Entry, ...]
    composites: Composites
    sram: Sram

    @model_validator(mode="after")
    def _consistent(self) -> EnergyTable:
        cited = [*(entry.source for entry in self.entries), self.scaling.source]
        cited += [self.composites.source, self.sram.source]
        missing = {key for keys in cited for key in keys} - set(self.references)
        if missing:
            raise ValueError(f"references lack {', '.join(sorted(missing))}")
        places = [(entry.name, entry.node_nm) for entry in self.entries]
        if len(set(places)) != len(places):
            raise ValueError("an entry stands twice for one node")
        return self

    @cached_property
    def _figures(self) -> dict[str, tuple[Entry, ...]]:
        found: dict[str, list[Entry]] = {}
        for entry in sorted(self.entries, key=lambda entry: entry.node_nm or 0):
            found.setdefault(entry.name, []).append(entry)
        return {name: tuple(rows) for name, rows in found.items()}

    def at(self, name: str, node_nm: float) -> Range:
        """Return an entry, in its own unit, at a node.

        Raises:
            UnknownNameError: no such entry.
            InputError: a node outside the table.
        """
        if name not in self._figures:
            raise UnknownNameError("energy figure", name, self._figures)
        return figure_at(self._figures[name], node_nm, self.scaling)

    # Arithmetic ------------------------------------------------------------------------------

    def _keys(self, prefix: str, kind: str, formats: tuple[str, ...]) -> tuple[str, ...]:
        keys = {k.removeprefix(prefix) for k in self._figures if k.startswith(prefix)}
        known = {f for f in (keys | set(_SAME_MULTIPLIER)) if _SAME_MULTIPLIER.get(f, f) in keys}
        known -= {"fp8"}  # A multiplier, not a format.
        for name in formats:
            if name not in known:
                raise UnknownNameError(kind, name, known)
        return tuple(prefix + _SAME_MULTIPLIER.get(name, name) for name in formats)

    def _mac_keys(
        self, group: str, activation: str, weight: str, accumulator: str
    ) -> tuple[str, str, str]:
        first, second = self._keys(group + ".multiply.", "operand format", (activation, weight))
        (adder,) = self._keys(group + ".add.", "accumulator format", (accumulator,))
        return first, second, adder

    def _mac(self, keys: tuple[str, str, str], node_nm: float) -> Range:
        first, second, adder = keys
        narrow, wide = sorted(
            (self.at(first, node_nm), self.at(second, node_nm)), key=lambda value: value.typical
        )
        mean = blend(narrow, wide, 0.5)
        integers = ".int" in first and ".int" in second
        product = Range(mean.low, mean.typical if integers else wide.typical, wide.high)
        return product + self.at(adder, node_nm)

    def mac_pj(self, activation: str, weight: str, accumulator: str, node_nm: float) -> Range:
        """Energy of one multiply and one add, in pJ: no register, no wire, no clock tree.

        Operands of two formats: integers cost by the product of their widths, which is the
        geometric mean of the two multipliers; with a float, typical is the costlier multiplier.
        Low is the geometric mean and high the costlier multiplier unchanged (an upper bound).

        Raises:
            UnknownNameError: a format without a figure.
            InputError: a node outside the table.
        """
        return self._mac(self._mac_keys("mac", activation, weight, accumulator), node_nm)

    def mac_um2(self, activation: str, weight: str, accumulator: str, node_nm: float) -> Range:
        """Area of one multiplier and one adder, in um2, registers apart; raises as ``mac_pj``."""
        return self._mac(self._mac_keys("area", activation, weight, accumulator), node_nm)

    def mac_names(self, activation: str, weight: str, accumulator: str) -> tuple[str, ...]:
        """Entries behind ``mac_pj`` and ``mac_um2``, for ``sources``; raises as ``mac_pj``."""
        groups = (self._mac_keys(g, activation, weight, accumulator) for g in ("mac", "area"))
        return tuple(dict.fromkeys(key for keys in groups for key in keys))

    @cached_property
    def primitives(self) -> dict[str, Composite]:
        """Vector primitives by name."""
        return {row.name: row for row in self.composites.rows}

    def vector_pj(self, primitive: str, node_nm: float) -> Range:
        """Energy of one primitive on one element, in pJ: typical FP32, low a 16-bit lane.

        Beyond add and mul these are multiples of the two (estimated).

        Raises:
            UnknownNameError: no such primitive.
            InputError: a node outside the table.
        """
        if primitive not in self.primitives:
            raise UnknownNameError("vector primitive", primitive, self.primitives)
        row = self.primitives[primitive]
        adds = self.at("vector.add", node_nm).times(Range(*row.adds))
        return adds + self.at("vector.mul", node_nm).times(Range(*row.muls))

    def vector_lane_um2(self, node_nm: float) -> Range:
        """Area of one vector lane with its special functions, in um2 (estimated)."""
        return self.at("area.vector_lane", node_nm)

    # Storage and wires -----------------------------------------------------------------------

    def sram_read_pj_per_bit(self, capacity_bytes: float, node_nm: float) -> Range:
        """Energy per bit read from one bank, in pJ; raises as ``Sram.at``."""
        return self.sram.at("read_pj_per_bit", capacity_bytes, node_nm, self.scaling)

    def sram_write_pj_per_bit(self, capacity_bytes: float, node_nm: float) -> Range:
        """Energy per bit written to one bank, in pJ; raises as ``Sram.at``."""
        return self.sram.at("write_pj_per_bit", capacity_bytes, node_nm, self.scaling)

    def sram_um2_per_bit(self, capacity_bytes: float, node_nm: float) -> Range:
        """Area per bit of one bank, periphery included, in um2; raises as ``Sram.at``."""
        return self.sram.at("um2_per_bit", capacity_bytes, node_nm, self.scaling)

    def register_pj_per_bit(self, node_nm: float) -> Range:
        """Energy of reading or writing one flip-flop, in pJ."""
        return self.at("register.bit", node_nm)

    def register_um2_per_bit(self, node_nm: float) -> Range:
        """Area of one flip-flop, in um2."""
        return self.at("area.register", node_nm)

    def wire_pj_per_bit_mm(self, node_nm: float) -> Range:
        """Energy of moving one bit over 1 mm of repeated wire, in pJ (estimated)."""
        return self.at("wire.bit_mm", node_nm)

    def logic_leakage_mw_per_mm2(self, node_nm: float) -> Range:
        """Leakage of logic, in mW per mm2 (estimated)."""
        return self.at("leakage.logic", node_nm)

    def sram_leakage_mw_per_mib(self, node_nm: float) -> Range:
        """Leakage of SRAM, in mW per MiB (estimated, the same at every node)."""
        return self.at("leakage.sram", node_nm)

    # DRAM ------------------------------------------------------------------------------------

    @cached_property
    def dram_standards(self) -> tuple[str, ...]:
        """Standards with a figure, as a chip's file spells them."""
        return tuple(k.removeprefix("dram.") for k in self._figures if k.startswith("dram."))

    def dram_pj_per_bit(self, standard: str) -> Range:
        """Energy per bit read or written, in pJ: device, both PHYs and controller.

        Raises:
            UnknownNameError: no such standard.
        """
        if standard not in self.dram_standards:
            raise UnknownNameError("DRAM standard", standard, self.dram_standards)
        return self._figures["dram." + standard][0].range

    def dram_phy_mm2(self, standard: str) -> Range:
        """Area on the chip of one interface with its controller, in mm2 (estimated, any node).

        Per 16-bit channel for LPDDR, 64-bit channel for DDR, 32-bit device for GDDR, stack for HBM.

        Raises:
            UnknownNameError: no such standard.
        """
        if standard not in self.dram_standards:
            raise UnknownNameError("DRAM standard", standard, self.dram_standards)
        families = (k for k in self._figures if k.startswith("phy."))
        (key,) = (k for k in families if standard.startswith(k.removeprefix("phy.")))
        return self._figures[key][0].range

    # Sources ---------------------------------------------------------------------------------

    def sources(self, names: Iterable[str]) -> list[Citation]:
        """Return where figures come from, one item per entry and node, in the order of ``names``.

        ``sram``, ``vector`` and ``scaling`` name the three groups that are not single entries.

        Raises:
            UnknownNameError: no such figure or group.
        """
        groups: dict[str, Cited] = {"sram": self.sram, "vector": self.composites}
        groups["scaling"] = Cited(
            source=self.scaling.source, confidence="secondary", note=self.scaling.note
        )
        found = []
        for name in names:
            if name not in self._figures and name not in groups:
                raise UnknownNameError("energy figure", name, [*self._figures, *groups])
            rows: tuple[Cited, ...] = self._figures.get(name) or (groups[name],)
            found += [self._citation(name, row) for row in rows]
        return found

    def _citation(self, name: str, row: Cited) -> Citation:
        text = "; ".join(self.references[key] for key in row.source)
        shared = {"name": name, "source": text, "confidence": row.confidence, "note": row.note}
        if not isinstance(row, Entry):
            return Citation.model_validate(shared)
        figure = (row.low, row.typical, row.high)
        return Citation.model_validate(
            {**shared, "unit": row.unit, "node_nm": row.node_nm, "figure": figure}
        )


@cache
def load_energy_table() -> EnergyTable:
    """Read the shipped table once."""
    return EnergyTable.model_validate(yaml.safe_load(_TABLE.read_text(encoding="utf-8")))
