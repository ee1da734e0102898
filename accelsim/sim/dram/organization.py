"""What a DRAM system is made of: channels, ranks, bank groups, banks, rows, columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from accelsim.sim._core.dram_state import MAX_BANKS


@dataclass(frozen=True, slots=True)
class Organization:
    """Counts per parent: groups per rank, banks per group, rows per bank.

    Attributes:
        columns: of a row, each as wide as the bus.
        bus_bits: width of a channel's data bus.
        device_bits: width of one device; a rank has as many as fill the bus.
        burst_length: columns that one request moves.
    """

    channels: int
    ranks: int
    groups: int
    banks: int
    rows: int
    columns: int
    bus_bits: int
    device_bits: int
    burst_length: int

    @property
    def request_bytes(self) -> int:
        """Bytes that one request moves."""
        return self.bus_bits // 8 * self.burst_length

    @property
    def devices(self) -> int:
        """Devices per rank."""
        return self.bus_bits // self.device_bits

    @property
    def all_banks(self) -> int:
        """Banks per channel."""
        return self.ranks * self.groups * self.banks

    @property
    def size_bytes(self) -> int:
        """Bytes of all channels."""
        row = self.columns * self.bus_bits // 8
        return self.channels * self.all_banks * self.rows * row

    def problems(self) -> Iterator[tuple[str, str]]:
        """Yield a count and a sentence for everything that cannot be."""
        for name in ("channels", "ranks", "groups", "banks", "rows", "columns", "burst_length"):
            value = getattr(self, name)
            if value < 1 or value & (value - 1):
                yield name, f"found {value}; address bits select one, so a power of two is needed"
        if self.all_banks > MAX_BANKS:
            yield "banks", f"found {self.all_banks} per channel; at most {MAX_BANKS} are simulated"
        if self.bus_bits < self.device_bits or self.bus_bits % self.device_bits:
            yield "bus_bits", f"found {self.bus_bits}; devices of {self.device_bits} cannot fill it"
        if self.columns < self.burst_length:
            yield "columns", f"found {self.columns}; a request moves {self.burst_length} of a row"
