"""How a figure known at one process node is carried to another.

Between 65 and 7 nm energy and area follow the fits of Stillmaker and Baas (Integration 58, 2017)
at one nominal voltage per node; below 7 nm powers of the node stand in for data, and the three
corners take different powers, so that an extrapolated range is always wider.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from accelsim.errors import InputError
from accelsim.units import Range

Rule = Literal["none", "energy", "area", "sram_area", "voltage", "leakage"]


class Frozen(BaseModel):
    """A row of the table."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def blend(a: Range, b: Range, weight: float) -> Range:
    """Interpolate each corner geometrically: ``weight`` 0 gives ``a``, 1 gives ``b``."""
    return Range(
        a.low ** (1 - weight) * b.low**weight,
        a.typical ** (1 - weight) * b.typical**weight,
        a.high ** (1 - weight) * b.high**weight,
    )


def log_log(x: float, xs: Sequence[float], ys: Sequence[float], *, extend: bool) -> float:
    """Interpolate ``y(x)`` through ascending ``xs`` with straight lines on log-log axes.

    Below the first point the value is held; above the last it follows the last slope when
    ``extend`` is true and is held otherwise.
    """
    if x <= xs[0]:
        return ys[0]
    if x >= xs[-1] and not extend:
        return ys[-1]
    last = len(xs) - 1
    i = next((i for i in range(1, last) if x <= xs[i]), last)
    slope = math.log(ys[i] / ys[i - 1]) / math.log(xs[i] / xs[i - 1])
    return float(ys[i - 1] * (x / xs[i - 1]) ** slope)


class NodeRow(Frozen):
    """One node of the fits.

    Attributes:
        node_nm: its name in nm.
        nominal_v: supply at which every figure of this table is stated, in V (our choice).
        energy: a, b, c of ``a V^2 + b V + c``, in the arbitrary unit of the paper.
        area: area of the same circuit, 45 nm = 1.
    """

    node_nm: float = Field(gt=0)
    nominal_v: float = Field(gt=0)
    energy: tuple[float, float, float]
    area: float = Field(gt=0)

    def energy_at(self, volts: float) -> float:
        """Return the energy of a switching event at ``volts``, in the paper's unit."""
        a, b, c = self.energy
        return a * volts * volts + b * volts + c


class Exponents(Frozen):
    """Powers of ``node / 7 nm`` below 7 nm, one per corner."""

    low: float
    typical: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Exponents:
        # The ratio is below 1, so a larger power is a smaller factor.
        if not self.low >= self.typical >= self.high:
            raise ValueError("powers must fall from low to high")
        return self


class NodeScaling(Frozen):
    """The nodes and the rules between them."""

    source: tuple[str, ...] = Field(min_length=1)
    note: str = ""
    min_node_nm: float = Field(gt=0)
    nodes: tuple[NodeRow, ...] = Field(min_length=2)
    below_smallest: dict[Literal["energy", "area", "sram_area", "voltage", "leakage"], Exponents]

    @model_validator(mode="after")
    def _ascending(self) -> NodeScaling:
        names = [row.node_nm for row in self.nodes]
        if names != sorted(set(names)):
            raise ValueError("nodes must ascend")
        return self

    @cached_property
    def _node_names(self) -> tuple[float, ...]:
        return tuple(row.node_nm for row in self.nodes)

    @cached_property
    def _energies(self) -> tuple[float, ...]:
        return tuple(row.energy_at(row.nominal_v) for row in self.nodes)

    @cached_property
    def _areas(self) -> tuple[float, ...]:
        return tuple(row.area for row in self.nodes)

    def check(self, node_nm: float) -> None:
        """Refuse a node outside the table.

        Raises:
            InputError: the node is below ``min_node_nm`` or above the largest node.
        """
        if not self.min_node_nm <= node_nm <= self._node_names[-1]:
            raise InputError(
                f"node_nm: found {node_nm:g}, a node from {self.min_node_nm:g} "
                f"to {self._node_names[-1]:g} nm is needed"
            )

    def voltage(self, node_nm: float) -> float:
        """Nominal supply of a node, in V; 7 nm's is held below 7 nm."""
        return log_log(
            node_nm, self._node_names, [row.nominal_v for row in self.nodes], extend=False
        )

    def energy_factor(self, node_nm: float) -> float:
        """Energy of a switching event at nominal voltage, in the paper's unit (7 nm and above)."""
        return log_log(node_nm, self._node_names, self._energies, extend=False)

    def area_factor(self, node_nm: float) -> float:
        """Area of a circuit relative to 45 nm (7 nm and above)."""
        return log_log(node_nm, self._node_names, self._areas, extend=False)

    def _fitted(self, rule: Rule, node_nm: float) -> float:
        if rule == "energy":
            return self.energy_factor(node_nm)
        if rule in ("area", "sram_area"):
            return self.area_factor(node_nm)
        if rule == "voltage":
            return self.voltage(node_nm) ** 2
        # Leakage power follows energy per event, as hwcomponents has it; this is per area.
        return self.energy_factor(node_nm) / self.area_factor(node_nm)

    def factor(self, rule: Rule, from_nm: float, to_nm: float) -> Range:
        """Return what a figure at ``from_nm`` is multiplied by to stand at ``to_nm``.

        Down to 7 nm the three corners are equal; below, they part.

        Raises:
            InputError: a node outside the table.
        """
        self.check(from_nm)
        self.check(to_nm)
        if rule == "none" or from_nm == to_nm:
            return Range(1.0, 1.0, 1.0)
        down, back = self._below(rule, to_nm), self._below(rule, from_nm)
        fitted = self._fitted(rule, to_nm) / self._fitted(rule, from_nm)
        return Range(
            fitted * down.low / back.low,
            fitted * down.typical / back.typical,
            fitted * down.high / back.high,
        )

    def _below(self, rule: Rule, node_nm: float) -> Range:
        smallest = self._node_names[0]
        if rule == "none" or node_nm >= smallest:
            return Range(1.0, 1.0, 1.0)
        powers = self.below_smallest[rule]
        ratio = node_nm / smallest
        return Range(ratio**powers.low, ratio**powers.typical, ratio**powers.high)
