from __future__ import annotations

import subprocess
import sys

import pytest

import accelsim.report as report


def test_every_name_is_there() -> None:
    assert sorted(report.__all__) == report.__all__
    for name in report.__all__:
        assert getattr(report, name).__module__.startswith("accelsim.report.")
    assert set(report.__all__) <= set(dir(report))


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'pie_chart'"):
        report.pie_chart  # noqa: B018


def loaded_by(code: str) -> set[str]:
    show = "import sys; print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import accelsim.report", {"matplotlib", "jinja2", "perfetto", "numpy", "google"}),
        ("from accelsim.report import summary, write_run, diff_rows",
         {"matplotlib", "jinja2", "perfetto", "numba", "torch", "rich"}),
        ("from accelsim.report import write_trace", {"matplotlib", "jinja2", "torch"}),
        ("from accelsim.report import html_report, plot_roofline", {"torch", "numba", "rich"}),
    ],
)  # fmt: skip
def test_nothing_heavy_is_loaded_before_it_is_needed(code: str, absent: set[str]) -> None:
    assert loaded_by(code) & absent == set()
