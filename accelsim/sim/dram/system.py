"""A DRAM system: organisation, timings, controller and address mapping, checked and frozen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from accelsim.errors import InputError, UnknownNameError
from accelsim.sim.dram.constants import pack
from accelsim.sim.dram.energy import Currents
from accelsim.sim.dram.mapping import parse
from accelsim.sim.dram.organization import Organization
from accelsim.sim.dram.timing import Timing

if TYPE_CHECKING:
    from accelsim.jit import Ints
    from accelsim.spec.memory import DramSpec

Profile = Literal["dramsim3", "ramulator2"]
PROFILES: tuple[Profile, ...] = ("dramsim3", "ramulator2")
PAGES = ("open", "close")
REFRESHES = ("rank-staggered", "all-bank", "per-bank")


@dataclass(frozen=True, slots=True)
class Controller:
    """How requests become commands.

    Attributes:
        profile: whose scheduling it follows: queues per bank (dramsim3) or flat ones (ramulator2).
        read_queue: reads that wait, per channel.
        write_buffer: writes that wait, per channel.
        bank_queue: commands per bank; dramsim3 only.
        hit_limit: accesses to an open row that may pass an older request; dramsim3 only.
        drain_low: writes above which an idle channel drains them (dramsim3), or the share of the
            write buffer below which it turns back to reads (ramulator2).
        drain_high: share of the write buffer above which writes are drained; ramulator2 only.
        page: whether a row stays open after an access; close is dramsim3 only.
        fair: reads that waited while writes were drained go before the next drain; without it a
            steady stream of writes starves them, as it does in DRAMsim3. dramsim3 only.
        refresh: rank after rank, all ranks at once, or bank after bank.
    """

    profile: Profile = "dramsim3"
    read_queue: int = 32
    write_buffer: int = 32
    bank_queue: int = 8
    hit_limit: int = 4
    drain_low: float = 8
    drain_high: float = 0.8
    page: str = "open"
    refresh: str = "rank-staggered"
    fair: bool = False

    def check(self) -> None:
        """Check names and sizes.

        Raises:
            InputError: one is not possible.
        """
        for kind, value, known in (
            ("profile", self.profile, PROFILES),
            ("page policy", self.page, PAGES),
            ("refresh policy", self.refresh, REFRESHES),
        ):
            if value not in known:
                raise UnknownNameError(kind, value, known)
        for name in ("read_queue", "write_buffer", "bank_queue"):
            size = getattr(self, name)
            if not 1 <= size <= 1024:
                raise InputError(f"{name}: found {size}; between 1 and 1024 entries are needed")
        if self.profile == "ramulator2" and (self.page, self.refresh) != ("open", "all-bank"):
            raise InputError(
                "profile ramulator2 keeps rows open and refreshes all banks at once; found page "
                f"{self.page!r} and refresh {self.refresh!r}"
            )


def default_controller(profile: str) -> Controller:
    """Return a controller as its model's defaults have it.

    Raises:
        UnknownNameError: there is no such profile.
    """
    if profile == "dramsim3":
        return Controller()
    if profile == "ramulator2":
        return Controller("ramulator2", drain_low=0.2, refresh="all-bank")
    raise UnknownNameError("profile", profile, PROFILES)


@dataclass(frozen=True)
class DramSystem:
    """A DRAM system that can be simulated.

    Attributes:
        name: for reports.
        organization: what it is made of.
        timing: in clocks.
        controller: scheduling, queues and policies.
        mapping: of addresses, by name, fields or bits.
        dual: a row and a column command are issued each clock, as HBM can.
        currents: for energy per command; None: only energy per bit is known.
        pj_per_bit: energy per bit (low, typical, high); None: it follows from the currents.

    Raises:
        InputError: something contradicts itself or cannot be; all of it is named.
    """

    name: str
    organization: Organization
    timing: Timing
    controller: Controller = field(default_factory=Controller)
    mapping: str = "rochrababgco"
    dual: bool = False
    currents: Currents | None = None
    pj_per_bit: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        """Check what was given."""
        wrong = [*self.organization.problems(), *self.timing.contradictions()]
        if wrong:
            raise InputError("\n".join(f"{self.name}: {name}: {what}" for name, what in wrong))
        self.controller.check()
        parse(self.mapping, self.organization)

    @property
    def tck_ns(self) -> float:
        """Length of a clock."""
        return self.timing.tCK

    @property
    def request_bytes(self) -> int:
        """Bytes that one request moves."""
        return self.organization.request_bytes

    @property
    def size_bytes(self) -> int:
        """Capacity."""
        return self.organization.size_bytes

    @property
    def peak_bytes_per_s(self) -> float:
        """What the data buses could move."""
        buses = self.organization.channels
        if self.dual and self.controller.profile == "ramulator2":
            buses *= self.organization.ranks  # pseudo channels
        return buses * self.request_bytes / (self.timing.burst * self.tck_ns) * 1e9

    @cached_property
    def parameters(self) -> Ints:
        """The constants that the kernels take, int64."""
        return pack(self, parse(self.mapping, self.organization))

    def clocks(self, seconds: float) -> int:
        """Return a time in clocks, rounded up."""
        return -int(-seconds * 1e9 // self.tck_ns)

    @classmethod
    def from_standard(
        cls, standard: str, *, channels: int | None = None, ranks: int | None = None,
        mapping: str | None = None, profile: str = "dramsim3", size_bytes: int | None = None,
    ) -> DramSystem:  # fmt: skip
        """Return a system of a standard's table; what is not given is as the table has it.

        Raises:
            UnknownNameError: there is no such standard or profile.
            InputError: the standard forbids it.
        """
        from accelsim.sim.dram.standards import load

        table = load(standard)
        organization = table.organization(channels, ranks, size_bytes)
        controller = default_controller(profile)
        timing = table.timing
        if profile == "dramsim3":
            timing = replace(timing, tAAD=0, act_clocks=1)
        return cls(
            table.name, organization, timing, controller, mapping or table.mapping,
            table.dual, table.currents, table.pj_per_bit,
        )  # fmt: skip

    @classmethod
    def from_spec(cls, spec: DramSpec, profile: str = "dramsim3") -> DramSystem:
        """Return the system that comes closest to a chip's main memory.

        Speed grade and number of channels, a power of two, are those whose peak bandwidth comes
        closest to the chip's; the clock is then scaled so that both are equal. Addresses beyond
        the capacity of the standard's devices wrap around.

        Raises:
            UnknownNameError: nothing is known of the standard.
        """
        from accelsim.sim.dram.standards import closest

        standard, channels = closest(spec.standard, spec.channels, spec.bandwidth_bytes_per_s)
        found = cls.from_standard(standard, channels=channels, profile=profile)
        scale = found.peak_bytes_per_s / spec.bandwidth_bytes_per_s
        return replace(found, timing=replace(found.timing, tCK=found.tck_ns * scale))
