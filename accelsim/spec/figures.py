"""The rows of ``energy_table.yaml``: figures with their sources, and SRAM by capacity."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Literal

from pydantic import Field, field_validator, model_validator

from accelsim.spec.scaling import Frozen, NodeScaling, Rule, blend, log_log
from accelsim.units import Range

Confidence = Literal["primary", "secondary", "recalled", "estimated"]
Corners = tuple[float, float, float]
SramColumn = Literal["read_pj_per_bit", "write_pj_per_bit", "um2_per_bit"]


class Cited(Frozen):
    """What names its sources.

    Attributes:
        source: keys of the table's references.
        confidence: how the figure was checked; see the head of ``energy_table.yaml``.
        note: what a reader should know.
    """

    source: tuple[str, ...] = Field(min_length=1)
    confidence: Confidence
    note: str = ""


class Citation(Frozen):
    """Where one figure comes from, spelled out for a report.

    ``figure`` is low, typical, high at ``node_nm`` as the table has it; null for whole groups.
    """

    name: str
    unit: str = ""
    node_nm: float | None = None
    figure: Corners | None = None
    source: str
    confidence: Confidence
    note: str = ""


class Entry(Cited):
    """One figure at one node, in ``unit``."""

    name: str = Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)+$")
    unit: str
    node_nm: float | None = Field(default=None, ge=7)
    rule: Rule = "none"
    low: float = Field(gt=0)
    typical: float = Field(gt=0)
    high: float = Field(gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> Entry:
        if not self.low <= self.typical <= self.high:
            raise ValueError(f"{self.name}: low, typical and high must ascend")
        if (self.node_nm is None) != (self.rule == "none"):
            raise ValueError(f"{self.name}: a node and a scaling rule come together")
        return self

    @property
    def range(self) -> Range:
        """The figure as it stands in the table."""
        return Range(self.low, self.typical, self.high)


def figure_at(rows: tuple[Entry, ...], node_nm: float, scaling: NodeScaling) -> Range:
    """Carry a figure to a node; ``rows`` are its entries in ascending node.

    A figure known at two nodes passes through both: in between it is blended on the energy axis
    of the fits, so that their shape holds and their total is corrected.

    Raises:
        InputError: a node outside the table.
    """
    scaling.check(node_nm)
    above = next((i for i, row in enumerate(rows) if (row.node_nm or 0) >= node_nm), len(rows))
    if 0 < above < len(rows):
        fine, coarse = rows[above - 1], rows[above]
        axis = scaling.energy_factor
        start, stop = axis(fine.node_nm or 0), axis(coarse.node_nm or 0)
        weight = math.log(axis(node_nm) / start) / math.log(stop / start)
        return blend(fine.range, coarse.range, weight)
    row = rows[min(above, len(rows) - 1)]
    if row.node_nm is None:
        return row.range
    return row.range.times(scaling.factor(row.rule, row.node_nm, node_nm))


class Composite(Frozen):
    """A vector primitive as adds and multiplies per element, one count per corner."""

    name: str
    adds: Corners
    muls: Corners

    @field_validator("adds", "muls")
    @classmethod
    def _ordered(cls, counts: Corners) -> Corners:
        if list(counts) != sorted(counts) or counts[0] < 0:
            raise ValueError("counts must ascend from 0")
        return counts


class Composites(Cited):
    """All primitives of a vector lane."""

    rows: tuple[Composite, ...]


class SramRow(Frozen):
    """One bank of SRAM; the widths multiply the typical figure to low and high."""

    node_nm: float = Field(ge=7)
    capacity_bytes: int = Field(gt=0)
    read_pj_per_bit: float = Field(gt=0)
    write_pj_per_bit: float = Field(gt=0)
    um2_per_bit: float = Field(gt=0)
    energy_width: tuple[float, float]
    area_width: tuple[float, float]

    @field_validator("energy_width", "area_width")
    @classmethod
    def _ordered(cls, width: tuple[float, float]) -> tuple[float, float]:
        if not 0 < width[0] <= 1 <= width[1]:
            raise ValueError("a width is a factor up to 1 and one from 1")
        return width


class Sram(Cited):
    """SRAM by node and capacity."""

    rows: tuple[SramRow, ...] = Field(min_length=2)

    @cached_property
    def _by_node(self) -> dict[float, tuple[SramRow, ...]]:
        ordered = sorted(self.rows, key=lambda row: (row.node_nm, row.capacity_bytes))
        nodes = sorted({row.node_nm for row in ordered})
        return {node: tuple(row for row in ordered if row.node_nm == node) for node in nodes}

    def at(
        self, column: SramColumn, capacity_bytes: float, node_nm: float, scaling: NodeScaling
    ) -> Range:
        """Return a column for one bank of a capacity at a node.

        Capacity and node are interpolated on log-log axes; outside the rows' nodes the fits scale.

        Raises:
            ValueError: a capacity that is not above 0.
            InputError: a node outside the table.
        """
        if not capacity_bytes > 0:
            raise ValueError(f"capacity_bytes: found {capacity_bytes!r}, above 0 is needed")
        scaling.check(node_nm)
        nodes = list(self._by_node)
        nearest = min(max(node_nm, nodes[0]), nodes[-1])
        i = next(i for i, node in enumerate(nodes) if node >= nearest)
        value = self._curve(column, capacity_bytes, nodes[i])
        if nearest != nodes[i]:
            fine = self._curve(column, capacity_bytes, nodes[i - 1])
            share = math.log(nearest / nodes[i - 1]) / math.log(nodes[i] / nodes[i - 1])
            value = blend(fine, value, share)
        rule: Rule = "sram_area" if column == "um2_per_bit" else "energy"
        return value.times(scaling.factor(rule, nearest, node_nm))

    def _curve(self, column: SramColumn, capacity_bytes: float, node_nm: float) -> Range:
        rows = self._by_node[node_nm]
        area = column == "um2_per_bit"
        sizes = [row.capacity_bytes for row in rows]
        values = [float(getattr(row, column)) for row in rows]
        widths = [row.area_width if area else row.energy_width for row in rows]
        # Above the largest row energy follows the wires between banks; density stays.
        typical = log_log(capacity_bytes, sizes, values, extend=not area)
        low = log_log(capacity_bytes, sizes, [width[0] for width in widths], extend=False)
        high = log_log(capacity_bytes, sizes, [width[1] for width in widths], extend=False)
        return Range(typical * low, typical, typical * high)
