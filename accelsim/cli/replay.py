"""``accelsim replay``: what a trace, or a mapping of another tool, comes to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from accelsim.cli import console, options, replay_mapping

app = typer.Typer(
    name="replay", help="Run a memory trace or a given mapping.", no_args_is_help=True,
)  # fmt: skip


@app.command()
def dram(
    trace: Annotated[
        str,
        typer.Argument(
            metavar="TRACE",
            help="Lines '0xADDRESS READ|WRITE [clock]' or 'R|W 0xADDRESS', or a .npy of words.",
        ),
    ],
    standard: Annotated[
        str, typer.Option("--standard", metavar="NAME", help="ddr4-3200, lpddr5, hbm2, ...")
    ],
    profile: Annotated[
        str, typer.Option("--profile", help="Controller: dramsim3 or ramulator2.")
    ] = "dramsim3",
    channels: Annotated[
        int | None, typer.Option("--channels", min=1, help="Channels; HBM: pseudo channels.")
    ] = None,
    ranks: Annotated[int | None, typer.Option("--ranks", min=1, help="Ranks per channel.")] = None,
    mapping: Annotated[
        str | None,
        typer.Option("--mapping", help="RoBaRaCoCh, MOP4CLXOR, rochrababgco, or a bit string."),
    ] = None,
    interval: Annotated[
        int, typer.Option("--interval", min=0, help="Least clocks between two requests.")
    ] = 0,
    chase: Annotated[
        bool, typer.Option("--chase", help="A request waits for the read before it.")
    ] = False,
    width: Annotated[int, typer.Option("--width", min=1, help="Requests per clock.")] = 1,
    as_json: options.Json = False,
) -> None:
    """Run a memory trace through a DRAM, command by command."""
    from accelsim import api

    options.announce()
    with console.stages(as_json) as tell:
        found = api.replay_dram(
            Path(trace), standard, profile=profile, channels=channels, ranks=ranks,
            mapping=mapping, interval=interval, chase=chase, width=width, progress=tell,
        )  # fmt: skip
    if as_json:
        console.print_text(options.json_text(found.to_dict()))
    else:
        _show(found)


def _show(found: Any) -> None:
    system, commands, latency = found.system, found.counts, found.latency
    share = 100 * found.bytes_per_s / system.peak_bytes_per_s
    writes = found.requests - found.reads
    rows = [
        ("requests", f"{found.requests:,} ({found.reads:,} reads, {writes:,} writes)"),
        ("time", f"{found.cycles:,} clocks, {found.seconds * 1e6:,.3f} us"),
        ("bandwidth", f"{found.bytes_per_s / 1e9:,.3f} GB/s, {share:.1f} % of the peak"),
    ]
    if latency.mean is not None:
        rows.append(
            ("read latency", f"{latency.mean:,.1f} clocks; least {latency.least:,}, median "
             f"{latency.median:,}, 99 % {latency.p99:,}, most {latency.most:,}")
        )  # fmt: skip
    total = max(1, commands.hits + commands.misses + commands.conflicts)
    rows += [
        ("row hits", f"{commands.hits:,}, {100 * commands.hits / total:.1f} %"),
        ("commands", f"{commands.reads:,} reads, {commands.writes:,} writes, "
         f"{commands.activates:,} activations, {commands.precharges:,} precharges, "
         f"{commands.refreshes:,} refreshes"),
    ]  # fmt: skip
    rows += _energy(found)
    title = f"{system.name}, controller {system.controller.profile}"
    console.print_table(("", ""), rows, title=title)


def _energy(found: Any) -> list[tuple[str, str]]:
    energy = found.energy
    if energy is None:
        return []
    bits = 8 * found.system.request_bytes * found.requests
    each = f"{energy.total * 1e3 / bits:.2f} pJ/bit" if bits else ""
    if not energy.from_currents:
        return [
            ("energy", f"{energy.total:,.1f} nJ ({energy.low:,.1f} to {energy.high:,.1f}), {each}; "
             "from energy per bit, as no currents are known")
        ]  # fmt: skip
    return [
        ("energy", f"{energy.total:,.1f} nJ, {each}"),
        ("  of it", f"activation {energy.activate:,.1f}, read {energy.read:,.1f}, "
         f"write {energy.write:,.1f}, refresh {energy.refresh:,.1f}, "
         f"background {energy.background:,.1f}"),
    ]  # fmt: skip


replay_mapping.register(app)
