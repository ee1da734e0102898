"""``accelsim compare``: one model on several chips, in several recipes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from accelsim.cli import console, options
from accelsim.cli.simulate import request
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
    problems: options.Problems = None,
    settings: options.Settings = None,
    as_json: options.Json = False,
) -> None:
    """Compare chips and recipes on one model; with --numerics also by what they get wrong."""
    from accelsim import api
    from accelsim.report import compare_rows

    mode = options.numerics_mode(numerics)
    count = options.problem_count(problems, mode is not None)
    options.announce(values=mode is not None)
    with console.stages(quiet=as_json) as progress:
        runs, refused = api.compare(
            archs,
            model,
            recipe or (),
            request=request(phase, batch, seq_len, context_len, logits),
            fidelity=options.choice("fidelity", fidelity, options.FIDELITIES),
            overrides=settings or (),
            numerics=mode,
            problems=count,
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
    first = rows[0]
    title = f"{first['model']}, {first['phase']}"
    numeric = ["time", "tokens/s", "energy/token", "of peak", "DRAM", "area", "power"]
    droppable: tuple[str, ...] = ()
    if "numerics_mode" in first:
        errors = _error_columns(rows)
        headers += errors
        columns = zip(*errors.values(), strict=True)
        cells = [(*cell, *texts) for cell, texts in zip(cells, columns, strict=True)]
        numeric += [name for name in errors if name != "values"]
        title += "; errors against FP32"
        droppable = _DROPPABLE
    console.print_table(headers, cells, title=title, numeric=numeric, droppable=droppable)


#: What a narrow terminal does without when runs have errors, the first of them first.
_DROPPABLE = (
    "power",
    "area",
    "DRAM",
    "of peak",
    "bound by",
    "time",
    "KL (nats)",
    "arith.",
    "quant.",
    "top token",
)


#: Ratios of a run: of its final logits, and what layers cause by themselves.
_RATIOS = {"sqnr_db": "SQNR", "sqnr_quantization_db": "quant.", "sqnr_arithmetic_db": "arith."}


def _error_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the columns of what runs get wrong; their cells are empty without values.

    Scores of ``fast`` values never stand alone: their distance from exact ones is beside them.
    """
    from accelsim.report.numerics import decibels, share_text

    columns: dict[str, list[str]] = {"values": [row["numerics_mode"] or "" for row in rows]}
    ran = [row["numerics_mode"] is not None for row in rows]
    for name, words in _RATIOS.items():
        ratios = [f"{decibels(row[name])} dB" for row in rows]
        columns[words] = [text if on else "" for text, on in zip(ratios, ran, strict=True)]
    columns["KL (nats)"] = [_given(row["kl_divergence"], lambda v: f"{v:.2g}") for row in rows]
    columns["top token"] = [_given(row["top1_agreement"], share_text) for row in rows]
    if any(row["exact_match"] is not None for row in rows):
        columns["exact match (95 % interval)"] = [_score(row) for row in rows]
        columns["in FP32"] = [_given(row["fp32_exact_match"], share_text) for row in rows]
    gaps = [_gap(row) for row in rows]
    if any(gaps):
        columns["fast less exact"] = gaps
    return columns


def _given(value: float | None, text: Callable[[float], str]) -> str:
    return "" if value is None else text(value)


def _score(row: Mapping[str, Any]) -> str:
    from accelsim.report.numerics import interval, share_text

    if row["exact_match"] is None:
        return ""
    ends = (row["exact_match_low"], row["exact_match_high"])
    spread = "" if None in ends else f" ({interval(ends)})"
    return f"{share_text(row['exact_match'])}{spread}"


def _gap(row: Mapping[str, Any]) -> str:
    from accelsim.report.numerics import decibels, points

    score, ratio = row["gap_exact_match"], row["gap_sqnr_db"]
    texts = [] if score is None else [f"{points(score)} points"]
    return ", ".join(texts if ratio is None else [*texts, f"{decibels(ratio)} dB"])


def _energy(row: Mapping[str, Any]) -> str:
    ends = [row[f"energy_per_token_{end}_j"] for end in ("typical", "low", "high")]
    if ends[0] is None:
        return ""
    typical, low, high = (si(end, "J") for end in ends)
    return f"{typical} ({low} to {high})"
