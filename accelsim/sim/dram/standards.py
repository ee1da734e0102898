"""The standards that ship: tables of organisation, timings, currents and energy per bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from accelsim.errors import InputError, UnknownNameError
from accelsim.sim.dram.energy import Currents
from accelsim.sim.dram.organization import Organization
from accelsim.sim.dram.timing import Timing

_TABLES = Path(__file__).parent / "standards"
_NOTES = ("source", "estimated")
_GBIT = 1 << 27  # bytes
#: Names without a speed stand for the grade that chips of the generation have.
ALIASES = {
    "ddr4": "ddr4-3200", "ddr5": "ddr5-4800", "lpddr4": "lpddr4-3200", "lpddr5": "lpddr5-6400",
    "lpddr5x": "lpddr5x-8533", "hbm2": "hbm2-2400", "hbm2e": "hbm2e-3600", "hbm3": "hbm3-6400",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Standard:
    """A speed grade of a standard.

    Attributes:
        name: of the grade.
        counts: of its organisation, with ``rows_by_gbit``, ``gbit`` and ``max_ranks``.
        sources: where the blocks come from; ``estimated`` where nothing published says them.
    """

    name: str
    counts: Mapping[str, Any]
    timing: Timing
    mapping: str
    dual: bool
    currents: Currents | None
    pj_per_bit: tuple[float, float, float] | None
    sources: Mapping[str, str]

    def organization(
        self, channels: int | None, ranks: int | None, size_bytes: int | None
    ) -> Organization:
        """Return counts for a number of channels and ranks, and a size.

        Raises:
            InputError: the standard has no such device or no so many ranks.
        """
        counts = self.counts
        channels = counts.get("channels", 1) if channels is None else channels
        ranks = counts["ranks"] if ranks is None else ranks
        if not 1 <= ranks <= counts["max_ranks"]:
            raise InputError(
                f"{self.name}: found {ranks} ranks; a channel has 1 to {counts['max_ranks']}"
            )
        devices = counts["bus_bits"] // counts["device_bits"]
        rows = counts["rows_by_gbit"]
        gbit = counts["gbit"]
        if size_bytes is not None:
            fits = {channels * ranks * devices * g * _GBIT: g for g in rows}
            if size_bytes not in fits:
                sizes = ", ".join(f"{size >> 20} MiB" for size in sorted(fits))
                raise InputError(
                    f"{self.name}: found a size of {size_bytes / (1 << 20):g} MiB; {channels} "
                    f"channels of {ranks} ranks hold {sizes}"
                )
            gbit = fits[size_bytes]
        return Organization(
            channels, ranks, counts["groups"], counts["banks"], rows[gbit], counts["columns"],
            counts["bus_bits"], counts["device_bits"], counts["burst_length"],
        )  # fmt: skip


@cache
def _grades() -> dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]]:
    found: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
    for path in sorted(_TABLES.glob("*.yaml")):
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
        found |= {name: (table, grade) for name, grade in table["grades"].items()}
    return found


def names() -> tuple[str, ...]:
    """Return every grade."""
    return tuple(_grades())


@cache
def load(name: str) -> Standard:
    """Return a grade by its name, or by that of its generation.

    Raises:
        UnknownNameError: there is none.
    """
    from accelsim.spec.energy import load_energy_table

    grade_name = ALIASES.get(name.lower(), name.lower())
    if grade_name not in _grades():
        raise UnknownNameError("DRAM standard", name, [*_grades(), *ALIASES])
    table, grade = _grades()[grade_name]
    counts = {**table["organization"], **grade.get("organization", {})}
    blocks = {
        "organization": counts, "timing": grade["timing"], "currents": grade.get("currents"),
    }  # fmt: skip
    sources = {
        block: "estimated" if values.get("estimated") else str(values["source"])
        for block, values in blocks.items()
        if values is not None
    }
    currents = None
    if blocks["currents"] is not None:
        currents = Currents(**_numbers(blocks["currents"]))
    figure = load_energy_table().dram_pj_per_bit(grade.get("pj_per_bit", table["pj_per_bit"]))
    return Standard(
        grade_name, counts, Timing(**_numbers(grade["timing"])), table["mapping"],
        bool(table.get("dual", False)), currents, (figure.low, figure.typical, figure.high),
        sources,
    )  # fmt: skip


def _numbers(block: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in block.items() if key not in _NOTES}


def closest(family: str, interfaces: int, bytes_per_s: float) -> tuple[str, int]:
    """Return the grade and the number of channels that come closest to a bandwidth.

    Args:
        family: generation or grade.
        interfaces: channels, or stacks, that a chip names; of equally close answers the one with
            that many channels or stacks wins.
        bytes_per_s: peak of all channels.

    Raises:
        UnknownNameError: nothing is known of the generation.
    """
    grades = [name for name in _grades() if name == family or name.split("-")[0] == family]
    if not grades:
        grades = [load(family).name]
    options = []
    for name in grades:
        standard = load(name)
        request = standard.organization(1, None, None).request_bytes
        each = request / (standard.timing.burst * standard.timing.tCK) * 1e9
        for channels in (1 << power for power in range(9)):
            ratio = max(each * channels / bytes_per_s, bytes_per_s / (each * channels))
            options.append((round(ratio, 2), channels != interfaces, name, channels))
    _, _, name, channels = min(options)
    return name, channels
