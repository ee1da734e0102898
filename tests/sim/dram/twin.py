"""Both DRAM controllers written plainly: every clock is looked at, every rule is asked anew."""

from __future__ import annotations

from dataclasses import dataclass, field

from accelsim.sim.dram.mapping import parse
from accelsim.sim.dram.system import DramSystem

BANK, GROUP, RANK, OTHER = range(4)
LONG_AGO = -(10**9)


@dataclass
class Request:
    number: int
    address: int
    write: bool
    channel: int
    bank: int
    row: int
    accepted: int = 0
    touched: bool = False


@dataclass
class Device:
    """Banks of a channel, and the clocks of the newest commands per bank."""

    system: DramSystem
    rules: list[tuple[str, str, int, int]]
    last: dict[tuple[int, str], int] = field(default_factory=dict)
    opened: dict[int, int] = field(default_factory=dict)
    activations: dict[int, list[int]] = field(default_factory=dict)
    log: list[tuple[int, str, int]] = field(default_factory=list)

    def rank(self, bank: int) -> int:
        return bank // (self.system.organization.groups * self.system.organization.banks)

    def scope(self, bank: int, scope: int) -> list[int]:
        banks = range(self.system.organization.all_banks)
        size = self.system.organization.banks
        if scope == OTHER:
            return [b for b in banks if self.rank(b) != self.rank(bank)]
        if scope == RANK:
            return [b for b in banks if self.rank(b) == self.rank(bank)]
        return [b for b in banks if b // size == bank // size and (scope == GROUP or b == bank)]

    def ready(self, command: str, bank: int, clock: int) -> bool:
        for before, after, scope, least in self.rules:
            if after == command:
                newest = max(
                    (self.last.get((b, before), LONG_AGO) for b in self.scope(bank, scope)),
                    default=LONG_AGO,
                )
                if newest + least > clock:
                    return False
        four = self.activations.get(self.rank(bank), [])[-4:]
        window = command == "ACT" and len(four) == 4
        return not (window and four[0] + self.system.timing.tFAW > clock)

    def issue(self, command: str, bank: int, row: int, clock: int) -> None:
        self.log.append((clock, command, bank))
        wide = self.scope(bank, RANK) if command in ("REF", "PREAB") else [bank]
        for b in wide:
            self.last[b, command] = clock
            if command in ("PRE", "PREAB", "RDA", "WRA"):
                self.opened.pop(b, None)
        if command == "ACT":
            self.opened[bank] = row
            self.activations.setdefault(self.rank(bank), []).append(clock)


def decode(system: DramSystem, number: int, word: int) -> Request:
    """Take an address apart bit by bit."""
    mapping = parse(system.mapping, system.organization)
    address, fields = word & (2**63 - 1), [0] * 6
    for name, place, into, mask in mapping.segments:
        fields[name] |= ((address >> place) & mask) << into
    for name, source, place, mask in mapping.xors:
        fields[name] ^= (fields[source] >> place) & mask
    channel, rank, group, bank, row, _ = fields
    flat = (rank * system.organization.groups + group) * system.organization.banks + bank
    return Request(number, address, word >> 63 == 1, channel, flat, row)


def rules(system: DramSystem) -> list[tuple[str, str, int, int]]:
    """Return before, after, scope and least clocks of every constraint of a profile."""
    t, flat = system.timing, system.controller.profile == "ramulator2"
    end, turn = t.AL + t.CWL + t.burst, t.CL - t.CWL
    long_end = t.AL + t.CWL + (t.burst_long or t.burst)
    found = [
        ("ACT", "RD", BANK, t.tRCD - t.AL), ("ACT", "WR", BANK, (t.tRCDW or t.tRCD) - t.AL),
        ("ACT", "PRE", BANK, t.tRAS), ("ACT", "ACT", BANK, t.tRC),
        ("ACT", "ACT", GROUP, t.tRRD_L), ("ACT", "ACT", RANK, t.tRRD_S),
        ("PRE", "ACT", BANK, t.tRP), ("PRE", "PRE", RANK, t.tPPD),
        ("RD", "PRE", BANK, t.AL + t.tRTP), ("WR", "PRE", BANK, end + t.tWR),
        ("RD", "RD", RANK, max(t.burst, t.tCCD_S)), ("RD", "RD", GROUP, max(t.burst, t.tCCD_L)),
        ("WR", "WR", RANK, max(t.burst, t.tCCD_S_WR or t.tCCD_S)),
        ("WR", "WR", GROUP, max(t.burst, t.tCCD_L_WR or t.tCCD_L)),
        ("WR", "RD", RANK, end + t.tWTR_S), ("WR", "RD", GROUP, long_end + t.tWTR_L),
        ("RD", "RD", OTHER, t.burst + t.tRTRS), ("WR", "WR", OTHER, t.burst),
        ("REF", "ACT", RANK, t.tRFC), ("PRE", "REF", RANK, t.tRP),
    ]  # fmt: skip
    if not flat:
        found += [
            ("RD", "WR", RANK, turn + t.burst + t.tRTRS), ("REF", "REF", RANK, t.tRFC),
            ("RD", "WR", OTHER, turn + t.burst + t.tRTRS),
            ("WR", "RD", OTHER, t.burst + t.tRTRS - turn),
            ("RDA", "ACT", BANK, t.AL + t.burst + t.tRTP + t.tRP),
            ("WRA", "ACT", BANK, end + t.tWR + t.tRP),
            ("RDA", "REF", BANK, t.AL + t.tRTP + t.tRP), ("WRA", "REF", BANK, end + t.tWR + t.tRP),
        ]  # fmt: skip
        # With a closed-page policy an access is another command under the same limits.
        found += [
            (before, f"{after}A", scope, least)
            for before, after, scope, least in found
            if after in ("RD", "WR") and before in ("ACT", "RD", "WR")
        ]
        again = [
            (f"{before}A", after, scope, least)
            for before, after, scope, least in found
            if before in ("RD", "WR") and after in ("RD", "WR", "RDA", "WRA") and scope != BANK
        ]
        return [*found, *again]
    return [
        *found,
        ("RD", "WR", RANK, turn + t.burst + 2), ("RD", "WR", OTHER, t.burst + t.tRTRS),
        ("WR", "RD", OTHER, t.burst + t.tRTRS - turn),
        ("RD", "PREAB", RANK, t.tRTP), ("WR", "PREAB", RANK, end + t.tWR),
        ("ACT", "PREAB", RANK, t.tRAS), ("REF", "PREAB", RANK, t.tRFC),
        ("PREAB", "ACT", RANK, t.tRPab or t.tRP), ("PREAB", "REF", RANK, t.tRP),
        ("ACT", "REF", RANK, t.tRC),
    ]  # fmt: skip


class Twin:
    """The front end, and what both controllers share."""

    def __init__(
        self, system: DramSystem, words: list[int], interval: int, chase: bool, width: int
    ) -> None:
        self.system, self.interval, self.chase, self.width = system, interval, chase, width
        self.requests = [decode(system, n, word) for n, word in enumerate(words)]
        self.done: dict[int, int] = {}
        self.following, self.earliest, self.last_read = 0, 0, -1
        channels = range(system.organization.channels)
        self.channels = [self.channel(Device(system, rules(system))) for _ in channels]

    def channel(self, device: Device) -> Banked | Flat:
        kind = Flat if self.system.controller.profile == "ramulator2" else Banked
        return kind(self, device)

    def offer(self, clock: int) -> None:
        for _ in range(self.width):
            if self.following == len(self.requests) or self.earliest > clock:
                return
            late = int(self.system.controller.profile == "ramulator2")
            if self.chase and self.last_read >= 0 and (
                self.done.get(self.last_read, 10**9) + late > clock
            ):  # fmt: skip
                return
            request = self.requests[self.following]
            if not self.channels[request.channel].accept(request, clock):
                return
            request.accepted = clock
            if request.write:
                self.done[request.number] = clock
            else:
                self.last_read = request.number
            self.earliest = clock + self.interval
            self.following += 1

    def run(self) -> int:
        clock, first = 0, self.system.controller.profile == "ramulator2"
        while len(self.done) < len(self.requests) or clock <= max(self.done.values()):
            if first:
                self.offer(clock)
            for channel in self.channels:
                channel.tick(clock)
            if not first:
                self.offer(clock)
            clock += 1
        return clock


class Banked:
    """A queue per bank, asked in turn."""

    def __init__(self, twin: Twin, device: Device) -> None:
        self.twin, self.device, self.system = twin, device, twin.system
        self.reads: list[Request] = []
        self.writes: list[Request] = []
        self.queues: list[list[Request]] = [[] for _ in range(self.system.organization.all_banks)]
        self.hits = [0] * len(self.queues)
        self.together: dict[int, list[int]] = {}
        self.turn, self.draining, self.due = 0, 0, list[int]()
        self.next_rank, self.refreshing = 0, -1

    def _same(self, address: int, write: bool) -> Request | None:
        mask = ~(self.system.request_bytes - 1)
        waiting = self.writes if write else self.reads
        for request in [*waiting, *(r for queue in self.queues for r in queue)]:
            if request.write == write and request.address & mask == address & mask:
                return request
        return None

    def accept(self, request: Request, clock: int) -> bool:
        controller = self.system.controller
        waiting, size = (
            (self.writes, controller.write_buffer) if request.write
            else (self.reads, controller.read_queue)
        )  # fmt: skip
        if len(waiting) >= size:
            return False
        if self._same(request.address, write=True):
            if not request.write:
                self.twin.done[request.number] = clock + 2
            return True
        first = None if request.write else self._same(request.address, write=False)
        if first is not None:
            self.together.setdefault(first.number, []).append(request.number)
            return True
        waiting.append(request)
        return True

    def tick(self, clock: int) -> None:
        organization, timing = self.system.organization, self.system.timing
        if clock and clock % (timing.tREFI // organization.ranks) == 0:
            self.due.append(self.next_rank)
            self.next_rank = (self.next_rank + 1) % organization.ranks
        first = self._refresh(clock) if self.due else None
        if first is None:
            first = self._command(clock, None)
        if first is not None and self.system.dual:
            self._command(clock, first in ("RD", "WR", "RDA", "WRA"))
        self._move()

    def _refresh(self, clock: int) -> str | None:
        rank = self.refreshing = self.due[0]
        size = self.system.organization.groups * self.system.organization.banks
        banks = range(rank * size, (rank + 1) * size)
        for bank in banks:
            if bank in self.device.opened and self.device.ready("PRE", bank, clock):
                self._close(bank, clock)
                return "PRE"
        if any(bank in self.device.opened for bank in banks) or not all(
            self.device.ready("REF", bank, clock) for bank in banks
        ):
            return None
        self.device.issue("REF", banks[0], -1, clock)
        self.due.pop(0)
        self.refreshing = -1
        return "REF"

    def _close(self, bank: int, clock: int) -> None:
        self.device.issue("PRE", bank, -1, clock)
        self.hits[bank] = 0

    def _command(self, clock: int, first_was_access: bool | None) -> str | None:
        count, suffix = len(self.queues), "A" if self.system.controller.page == "close" else ""
        for bank in [(self.turn + 1 + i) % count for i in range(count)]:
            if self.device.rank(bank) == self.refreshing:
                continue
            found = self._first_ready(bank, clock, suffix)
            if found is None:
                continue
            self.turn = bank
            command, request = found
            access = command not in ("ACT", "PRE")
            if first_was_access is not None and access == first_was_access:
                return None
            if command == "PRE":
                self._close(bank, clock)
                return command
            self.device.issue(command, bank, request.row, clock)
            if access:
                self.hits[bank] = 0 if suffix else self.hits[bank] + 1
                self.queues[bank].remove(request)
                if not request.write:
                    self._finish(request.number, clock)
            return command
        return None

    def _finish(self, number: int, clock: int) -> None:
        timing = self.system.timing
        for each in [number, *self.together.pop(number, [])]:
            self.twin.done[each] = clock + timing.AL + timing.CL + timing.burst

    def _first_ready(self, bank: int, clock: int, suffix: str) -> tuple[str, Request] | None:
        queue, row = self.queues[bank], self.device.opened.get(bank)
        for place, request in enumerate(queue):
            if row is None:
                command = "ACT"
            elif row == request.row:
                command = ("WR" if request.write else "RD") + suffix
            else:
                command = "PRE"
            if not self.device.ready(command, bank, clock):
                continue
            if command == "PRE":
                hits = any(other.row == row for other in queue)
                if place > 0 or (hits and self.hits[bank] < self.system.controller.hit_limit):
                    continue
            return command, request
        return None

    def _move(self) -> None:
        controller = self.system.controller
        full = len(self.writes) >= controller.write_buffer
        idle = not any(self.queues)
        if self.draining == 0 and (full or (len(self.writes) > controller.drain_low and idle)):
            self.draining = len(self.writes)
        if self.draining > 0 and not (self._move_from(self.writes) and full):
            return
        self._move_from(self.reads)

    def _move_from(self, waiting: list[Request]) -> bool:
        """Move the first that fits; return whether a read of its address held a write up."""
        for request in waiting:
            if len(self.queues[request.bank]) >= self.system.controller.bank_queue:
                continue
            if request.write:
                if self._same(request.address, write=False):
                    self.draining = 0
                    return True
                self.draining -= 1
            waiting.remove(request)
            self.queues[request.bank].append(request)
            return False
        return False


class Flat:
    """Flat buffers, oldest ready request first."""

    def __init__(self, twin: Twin, device: Device) -> None:
        self.twin, self.device, self.system = twin, device, twin.system
        self.reads: list[Request] = []
        self.writes: list[Request] = []
        self.active: list[Request] = []
        self.due: list[int] = []
        self.write_mode, self.last_done = False, LONG_AGO
        self.counts = {"hit": 0, "miss": 0, "conflict": 0}

    def accept(self, request: Request, clock: int) -> bool:
        controller = self.system.controller
        mask = ~(self.system.request_bytes - 1)
        same = any(other.address & mask == request.address & mask for other in self.writes)
        if same:
            if not request.write:
                self.twin.done[request.number] = max(clock, self.last_done)
            return True
        waiting, size = (
            (self.writes, controller.write_buffer) if request.write
            else (self.reads, controller.read_queue)
        )  # fmt: skip
        if len(waiting) >= size:
            return False
        waiting.append(request)
        return True

    def tick(self, clock: int) -> None:
        if (clock + 1) % self.system.timing.tREFI == 0:
            self.due += range(self.system.organization.ranks)
        ready = [r for r in self.active if self._ready(r, clock)]
        if ready:
            self._issue(min(ready, key=lambda r: r.accepted), self.active, clock)
        elif self.due:
            self._refresh(clock)
        else:
            self._from_buffer(clock)

    def _next(self, request: Request) -> str:
        row = self.device.opened.get(request.bank)
        if row is None:
            return "ACT"
        return ("WR" if request.write else "RD") if row == request.row else "PRE"

    def _ready(self, request: Request, clock: int) -> bool:
        return self.device.ready(self._next(request), request.bank, clock)

    def _refresh(self, clock: int) -> None:
        rank = self.due[0]
        size = self.system.organization.groups * self.system.organization.banks
        banks = range(rank * size, (rank + 1) * size)
        if any(bank in self.device.opened for bank in banks):
            held = any(self.device.rank(request.bank) == rank for request in self.active)
            if not held and self.device.ready("PREAB", banks[0], clock):
                self.device.issue("PREAB", banks[0], -1, clock)
        elif self.device.ready("REF", banks[0], clock):
            self.device.issue("REF", banks[0], -1, clock)
            self.due.pop(0)

    def _from_buffer(self, clock: int) -> None:
        controller = self.system.controller
        share = len(self.writes) / controller.write_buffer
        if not self.write_mode:
            self.write_mode = share > controller.drain_high or not self.reads
        elif share < controller.drain_low and self.reads:
            self.write_mode = False
        waiting = self.writes if self.write_mode else self.reads
        for request in waiting:
            command = self._next(request)
            kept = command == "PRE" and any(a.bank == request.bank for a in self.active)
            if not kept and self.device.ready(command, request.bank, clock):
                self._issue(request, waiting, clock)
                return

    def _issue(self, request: Request, waiting: list[Request], clock: int) -> None:
        command = self._next(request)
        if not request.touched:
            kind = {"ACT": "miss", "PRE": "conflict"}.get(command, "hit")
            self.counts[kind] += 1
            request.touched = True
        self.device.issue(command, request.bank, request.row, clock)
        if command == "PRE":
            return
        waiting.remove(request)
        if command == "ACT":
            self.active.append(request)
        elif not request.write:
            timing = self.system.timing
            self.last_done = max(clock + timing.CL + timing.burst, self.last_done)
            self.twin.done[request.number] = self.last_done
