"""What plans are searched for: each objective's winner is the best by its own measure."""

from __future__ import annotations

import pytest

from accelsim.mapping.gemm import near_gemm
from accelsim.mapping.plan import Plan, moved_fj
from accelsim.mapping.search import machines, plan, rivals
from accelsim.mapping.workload import AttentionWorkload, GemmWorkload, Workload
from accelsim.spec.arch import ArchSpec
from accelsim.spec.load import load_arch
from tests.mapping.chips import one_level, two_levels

OBJECTIVES = ("latency", "energy", "edp")
#: fJ per bit at the nearest port and over each link: DRAM is dear.
COSTS = (10.0, 40.0, 4000.0)


def product(m: int, n: int, k: int) -> GemmWorkload:
    return GemmWorkload(
        1, m, n, k, "int8", "int8", m * k * 8, n * k * 8, m * n * 8, 0, 8, False, False, 0, ()
    )


ATTENTION = AttentionWorkload(
    2, 1, 16, 16, 16, 16, False, 0, "int8", "int8", 2 * 16 * 16 * 8, 0, 0, 1, (("exp", 512),), ()
)


def measures(found: Plan) -> dict[str, float]:
    cost = moved_fj(found.machine, found.steps)
    return {
        "latency": float(found.latency_ps), "energy": cost, "edp": found.latency_ps * cost,
    }  # fmt: skip


@pytest.mark.parametrize("workload", [product(40, 24, 64), product(200, 16, 96), ATTENTION])
@pytest.mark.parametrize("chip", [one_level(), two_levels()], ids=["one level", "two levels"])
def test_every_objective_wins_by_its_own_measure(chip: ArchSpec, workload: Workload) -> None:
    costs = COSTS[: 1 + len(chip.memories)]
    found = {name: measures(plan(workload, chip, "op", costs, name)) for name in OBJECTIVES}
    for name in OBJECTIVES:
        best = min(each[name] for each in found.values())
        # Latencies are compared on a grid of nine bits.
        assert found[name][name] <= best * 1.005


def test_energy_can_cost_time() -> None:
    chip, slower = two_levels(), 0
    for size in (48, 64, 80, 96, 128, 160):
        workload = product(size, 2 * size, 3 * size)
        fast, frugal = (plan(workload, chip, "op", COSTS, o) for o in ("latency", "energy"))
        assert measures(frugal)["energy"] <= measures(fast)["energy"]
        slower += frugal.latency_ps > fast.latency_ps
    assert slower


def test_rivals_have_other_dataflows_and_come_close() -> None:
    chip = load_arch("edge_npu")
    best = plan(product(512, 512, 512), chip, "op")
    found = rivals(best, "op")
    flows = [int(p.choice[0]) for p in (best, *found)]
    assert len(set(flows)) == len(flows)
    assert all(best.score <= p.score <= 1.05 * best.score for p in found)
    (machine,) = machines(chip, "int8", "int8", sparse=False)
    assert isinstance(best.workload, GemmWorkload)
    assert len(near_gemm(best.workload, machine, "op", best)) == len(found)
    assert best.gap == 0.0


def test_attention_has_no_rivals() -> None:
    assert rivals(plan(ATTENTION, load_arch("edge_npu"), "op"), "op") == []
