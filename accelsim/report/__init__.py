"""Reports of runs: rows, CSV, pictures, the HTML page, the Perfetto trace, and differences.

Everything here works on the JSON form of a run, so a saved ``run.json`` can be reported as well as
a fresh result. Names are loaded when they are first used: ``import accelsim.report`` brings in
neither matplotlib nor jinja2 nor perfetto.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accelsim.report.diff import (
        compare_rows,
        diff_errors,
        diff_inputs,
        diff_rows,
        diff_totals,
        same_problems,
    )
    from accelsim.report.files import read_run, run_json, write_run
    from accelsim.report.html import html_report, reproduction_command
    from accelsim.report.plots import (
        plot_area,
        plot_cycles,
        plot_energy,
        plot_errors,
        plot_roofline,
        save,
        write_plots,
    )
    from accelsim.report.rows import (
        Summary,
        csv_text,
        grouped_rows,
        layer_rows,
        layers_csv,
        summary,
    )
    from accelsim.report.timeline import trace_bytes, write_trace

__all__ = [
    "Summary",
    "compare_rows",
    "csv_text",
    "diff_errors",
    "diff_inputs",
    "diff_rows",
    "diff_totals",
    "grouped_rows",
    "html_report",
    "layer_rows",
    "layers_csv",
    "plot_area",
    "plot_cycles",
    "plot_energy",
    "plot_errors",
    "plot_roofline",
    "read_run",
    "reproduction_command",
    "run_json",
    "same_problems",
    "save",
    "summary",
    "trace_bytes",
    "write_plots",
    "write_run",
    "write_trace",
]

_HOMES = {
    "diff": (
        "compare_rows", "diff_errors", "diff_inputs", "diff_rows", "diff_totals", "same_problems",
    ),
    "files": ("read_run", "run_json", "write_run"),
    "html": ("html_report", "reproduction_command"),
    "plots": (
        "plot_area", "plot_cycles", "plot_energy", "plot_errors", "plot_roofline", "save",
        "write_plots",
    ),
    "rows": ("Summary", "csv_text", "grouped_rows", "layer_rows", "layers_csv", "summary"),
    "timeline": ("trace_bytes", "write_trace"),
}  # fmt: skip
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
