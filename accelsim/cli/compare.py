"""``accelsim compare``: one model on several chips, in several recipes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from accelsim.cli import console, options
from accelsim.cli.simulate import request
from accelsim.report.numerics import decibels
from accelsim.units import si


def compare(
    archs: Annotated[
        list[str], typer.Argument(metavar="ARCH...", help="Shipped chips or paths to their YAML.")
    ],
    model: Annotated[str, typer.Option("--model", help="A model, as for simulate.")],
    recipe: Annotated[
        list[str] | None, typer.Option("--recipe", help="A recipe; may be repeated.")
    ] = None,
    phase: options.PhaseOption = "prefill",
    batch: options.Batch = 1,
    seq_len: options.SeqLen = 512,
    context_len: options.ContextLen = None,
    logits: options.Logits = "last",
    fidelity: options.FidelityOption = "tile",
    numerics: options.Numerics = None,
    problems: options.Problems = 200,
    settings: options.Settings = None,
    as_json: options.Json = False,
) -> None:
    """Compare chips and recipes on one model."""
    from accelsim import api
    from accelsim.report import compare_rows

    mode = options.numerics_mode(numerics)
    options.announce(values=mode is not None)
    with console.stages() as progress:
        runs, refused = api.compare(
            archs,
            model,
            recipe or ["bf16"],
            request=request(phase, batch, seq_len, context_len, logits),
            fidelity=options.choice("fidelity", fidelity, ("analytical", "tile")),
            overrides=settings or (),
            numerics=mode,
            problems=problems,
            progress=progress,
        )
    rows = compare_rows([run.to_dict() for run in runs])
    if as_json:
        reasons = [{"arch": a, "recipe": r, "reason": why} for (a, r), why in refused.items()]
        console.print_text(options.json_text({"rows": rows, "refused": reasons}))
        return
    show_rows(rows)
    for (arch, name), why in refused.items():
        console.print_line(f"{arch} in {name}: {why}", "yellow")


def show_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print runs side by side."""
    headers = [
        "chip", "recipe", "time", "tokens/s", "energy/token", "of peak", "bound by", "DRAM",
        "area", "power",
    ]  # fmt: skip
    cells = [
        (
            row["arch"],
            row["recipe"],
            si(row["seconds"], "s"),
            f"{row['tokens_per_second']:,.1f}" if row["tokens_per_second"] else "",
            _energy(row),
            f"{row['utilization']:.1%}",
            row["bound_by"],
            si(row["dram_bytes"], "B"),
            si(row["area_typical_mm2"], "mm²"),
            si(row["power_w"], "W"),
        )
        for row in rows
    ]
    if any(row["top1_agreement"] is not None for row in rows):
        headers += _ERRORS
        cells = [(*cell, *_errors(row)) for cell, row in zip(cells, rows, strict=True)]
    first = rows[0]
    title = f"{first['model']}, {first['phase']}"
    numeric = (
        "time", "tokens/s", "energy/token", "of peak", "DRAM", "area", "power", *_ERRORS[:5],
    )  # fmt: skip
    droppable = (
        ("power", "area", "DRAM", "bound by", "of peak", "time") if len(headers) > 10 else ()
    )
    console.print_table(headers, cells, title=title, numeric=numeric, droppable=droppable)


_ERRORS = [
    "SQNR", "formats", "arithmetic", "KL", "top token", "exact match (95 % interval)",
]  # fmt: skip


def _errors(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells of what a run gets wrong; empty ones where no values were computed."""
    if row["top1_agreement"] is None:
        return ("",) * len(_ERRORS)
    score = ""
    if row["exact_match"] is not None:
        low, high = 100 * row["exact_match_low"], 100 * row["exact_match_high"]
        score = f"{100 * row['exact_match']:.1f} % ({low:.1f} to {high:.1f})"
    return (
        *(
            f"{decibels(row[name])} dB"
            for name in ("sqnr_db", "sqnr_quantization_db", "sqnr_arithmetic_db")
        ),
        f"{row['kl_divergence']:.2g}",
        f"{row['top1_agreement']:.1%}",
        score,
    )


def _energy(row: Mapping[str, Any]) -> str:
    ends = [row[f"energy_per_token_{end}_j"] for end in ("typical", "low", "high")]
    if ends[0] is None:
        return ""
    typical, low, high = (si(end, "J") for end in ends)
    return f"{typical} ({low} to {high})"
