"""What DRAMsim3's cycles change by, in percent, when a timing is taken out of it.

The table ``ablation_dramsim3_pct.csv`` has a row per configuration and part that was taken out,
and a column per trace. A model that is right for the wrong reasons would not follow it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from accelsim.validate.goals import goal
from accelsim.validate.result import Result
from accelsim.validate.score import Pair, exact_set
from accelsim.validate.subject import Key, Prediction, Progress, find_file, number, read_rows
from accelsim.validate.traces import SUITE

if TYPE_CHECKING:
    from accelsim.sim.dram.system import DramSystem

STEM = "ablation_dramsim3_pct"
#: Requests of a trace where they are not 20,000.
_REQUESTS = {"chase_rand": 2_000, "rand_read_iv20": 10_000}
_NEVER = 10**8


def _timing(**clocks: int) -> Callable[[DramSystem], DramSystem]:
    def change(system: DramSystem) -> DramSystem:
        return replace(system, timing=replace(system.timing, **clocks))

    return change


def _without_reuse(system: DramSystem) -> DramSystem:
    # Configurations of HBM name tRTP otherwise, so it stays what it is.
    rest = system.timing.tRTP if system.dual else 0
    return _timing(tWR=0, tRTP=rest)(system)


def _shortest_row(system: DramSystem) -> DramSystem:
    return _timing(tRAS=1, tRC=1 + system.timing.tRP)(system)


def _short_bank_queues(system: DramSystem) -> DramSystem:
    return replace(system, controller=replace(system.controller, bank_queue=2))


def _short_buffers(system: DramSystem) -> DramSystem:
    controller = replace(system.controller, read_queue=8, write_buffer=8)
    return replace(system, controller=controller)


#: What is taken out, by the table's names.
KNOCKOUTS: Mapping[str, Callable[[DramSystem], DramSystem]] = {
    "no_refresh": _timing(tREFI=_NEVER),
    "no_tFAW": lambda system: _timing(tFAW=system.timing.tRRD_S)(system),
    "no_tRRD": _timing(tRRD_S=1, tRRD_L=1, tFAW=1),
    "tCCD_L=S": lambda system: _timing(tCCD_L=system.timing.tCCD_S)(system),
    "no_tWTR": _timing(tWTR_S=0, tWTR_L=0),
    "no_tRTRS": lambda system: system if system.dual else _timing(tRTRS=0)(system),
    "no_tWR_tRTP": _without_reuse,
    "cmdq_2": _short_bank_queues,
    "transq_8": _short_buffers,
    "tRAS_min": _shortest_row,
}


def predict(
    folder: Path, systems: Mapping[str, DramSystem], progress: Progress
) -> Iterator[Prediction]:
    """Yield the change of every row and trace, with the table's one digit; None where unknown."""
    path = find_file(folder, STEM)
    if path is None:
        return
    rows = read_rows(path, ("config", "ablation"))
    before: dict[tuple[str, str], int] = {}
    for place, row in enumerate(rows):
        progress("what parts of dramsim3 matter", place, len(rows))
        change, system = KNOCKOUTS.get(row["ablation"]), systems.get(row["config"])
        traces = [name for name in row if name in SUITE]
        if change is None or system is None:
            yield from (Prediction(path.name, place, trace, None) for trace in traces)
            continue
        less = change(system)
        for trace in traces:
            key = row["config"], trace
            if key not in before:
                before[key] = _cycles(system, trace)
            percent = round(100 * (_cycles(less, trace) / before[key] - 1), 1)
            yield Prediction(path.name, place, trace, percent)


def compare(folder: Path, predicted: Mapping[Key, float | int]) -> tuple[Result, ...]:
    """Return the set of all values whose row is known."""
    path = find_file(folder, STEM)
    if path is None:
        return ()
    pairs: list[Pair] = []
    for place, row in enumerate(read_rows(path, ("config", "ablation"))):
        for trace in (name for name in row if name in SUITE and row["ablation"] in KNOCKOUTS):
            measured = number(row, trace)
            if measured is not None:
                where = {"file": path.name, "row": place, "metric": trace}
                pairs.append((where, predicted.get((path.name, place, trace)), measured))
    return (exact_set("dramsim3/knockouts", pairs, goal("dram", "knockouts")),) if pairs else ()


def _cycles(system: DramSystem, name: str) -> int:
    from accelsim.sim.dram.replay import replay

    trace = SUITE[name]
    words = trace.make(_REQUESTS.get(name, 20_000), system.request_bytes)
    return replay(system, words, trace.interval, trace.chase).cycles
