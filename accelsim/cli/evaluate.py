"""``accelsim evaluate``: a model on the benchmarks that products are judged by."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accelsim.cli import console, options
from accelsim.errors import InputError

if TYPE_CHECKING:
    from accelsim.evaluate.benchmarks.result import Evaluation

Tasks = Annotated[
    str,
    typer.Option(
        "--tasks", metavar="NAMES", help="Of mmlu, gsm8k, humaneval, ifeval, wikitext; commas."
    ),
]
Data = Annotated[
    str | None,
    typer.Option("--data", metavar="DIR", help="Folder of rows; else $ACCELSIM_REFERENCE/data."),
]
Protocol = Annotated[
    str,
    typer.Option(
        "--protocol", metavar="NAMES",
        help="How wikitext is measured: lm-eval-words, gptq-2048 or 4096; commas.",
    ),
]  # fmt: skip
Limit = Annotated[
    int | None, typer.Option("--limit", metavar="N", help="Rows of each task, or of each subject.")
]
Fewshot = Annotated[
    int | None,
    typer.Option(
        "--num-fewshot", "--num_fewshot", metavar="N", help="Solved examples before a question."
    ),
]
BatchSize = Annotated[
    int, typer.Option("--batch-size", "--batch_size", metavar="N", help="Rows asked at once.")
]
MaxGenToks = Annotated[
    int | None, typer.Option("--max-gen-toks", metavar="N", help="Most tokens of an answer.")
]
Chat = Annotated[
    bool,
    typer.Option(
        "--apply-chat-template", "--apply_chat_template",
        help="Put prompts through the tokenizer's chat template.",
    ),
]  # fmt: skip
AllowCode = Annotated[
    bool,
    typer.Option("--allow-code", help="Run the programs of humaneval: limited, without network."),
]
Dtype = Annotated[
    str, typer.Option("--dtype", help="Without --arch: auto, float32, bfloat16 or float16.")
]
Against = Annotated[
    str | None,
    typer.Option("--against", metavar="RUN", help="A saved run to compare with, item by item."),
]
Output = Annotated[
    str | None,
    typer.Option(
        "-o", "--output-dir", help="Folder for run.json and items.jsonl; a stopped run resumes."
    ),
]
_PLAIN = "no chip: torch itself computed"


def evaluate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="tiny, or a Hugging Face folder (safetensors).")
    ],
    tasks: Tasks,
    arch: Annotated[
        str | None, typer.Option("--arch", help="A chip that answers every op; else torch does.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="A shipped recipe or a path; default bf16.")
    ] = None,
    numerics: Annotated[
        str | None,
        typer.Option(
            "--numerics",
            metavar="MODE",
            help="With --arch: exact (default), or fast or sampled with the gap to exact.",
        ),
    ] = None,
    limit: Limit = None,
    data: Data = None,
    num_fewshot: Fewshot = None,
    batch_size: BatchSize = 1,
    max_gen_toks: MaxGenToks = None,
    protocol: Protocol = "lm-eval-words",
    chat: Chat = False,
    allow_code: AllowCode = False,
    dtype: Dtype = "auto",
    settings: options.Settings = None,
    against: Against = None,
    output_dir: Output = None,
    as_json: options.Json = False,
) -> None:
    """Score a model on benchmarks, in torch or in a chip's arithmetic; nothing is downloaded."""
    from accelsim import api
    from accelsim.evaluate.benchmarks.catalog import Asked
    from accelsim.evaluate.benchmarks.folder import FILES, RunFolder
    from accelsim.evaluate.benchmarks.result import compare, read
    from accelsim.report.folder import check_reports

    started = time.time()
    asked = Asked(
        _names("--tasks", tasks), _names("--protocol", protocol), limit, num_fewshot, max_gen_toks,
        chat, batch_size,
    )  # fmt: skip
    options.choice("dtype", dtype, ("auto", "float32", "bfloat16", "float16"))
    mode = options.numerics_mode(numerics)
    other = None if against is None else read(against)
    if output_dir is not None:
        check_reports(output_dir, FILES)
    if arch is not None:
        options.announce(values=True)
    try:
        with console.stages(quiet=as_json) as told:
            found = api.evaluate(
                model, asked, arch=arch, recipe=recipe, overrides=settings or (), numerics=mode,
                data=data, dtype=dtype, allow_code=allow_code, output_dir=output_dir, progress=told,
            )  # fmt: skip
    except KeyboardInterrupt:
        if output_dir is None:
            raise
        kept = RunFolder(Path(output_dir)).journal
        raise KeyboardInterrupt(
            f"interrupted; answers so far are in {kept}: the same command goes on from there"
        ) from None
    compared = None if other is None else compare(found, other)
    if output_dir is not None:
        _write(found, compared, output_dir, api.provenance(["accelsim", *sys.argv[1:]], started))
    if as_json:
        run = found.to_dict()
        console.print_text(options.json_text(run if compared is None else {**run, **compared}))
        return
    show(found)
    if compared is not None:
        show_compared(compared)


def differ(before: str, after: str, as_json: bool) -> bool:
    """Show what two evaluations differ in, over the items they share; say whether they are two."""
    from accelsim.evaluate.benchmarks.result import compare, is_evaluation, read

    if not (is_evaluation(before) and is_evaluation(after)):
        return False
    compared = compare(read(after), read(before))
    if as_json:
        console.print_text(options.json_text(compared))
    else:
        show_compared(compared)
    return True


def _names(flag: str, text: str) -> tuple[str, ...]:
    found = tuple(name.strip() for name in text.split(",") if name.strip())
    if not found:
        raise InputError(f"{flag}: at least one name is needed")
    return found


def _write(
    found: Evaluation, compared: Mapping[str, Any] | None, folder: str, made: Mapping[str, Any]
) -> None:
    from accelsim.evaluate.benchmarks.folder import AGAINST, FILES, PROVENANCE, RunFolder
    from accelsim.report.folder import write_reports

    texts = {**found.texts(), PROVENANCE: options.json_text(made)}
    if compared is not None:
        texts[AGAINST] = options.json_text(compared)
    write_reports(folder, texts, FILES)
    RunFolder(Path(folder)).settle()
    console.note(f"wrote {folder}: {', '.join(name for name in FILES if name in texts)}")


def show(found: Evaluation) -> None:
    """Print scores with their errors, and what was done to the prompts."""
    head = found.head
    chip = _PLAIN if head["arch"] is None else f"in {head['recipe']} on {head['arch']}"
    mode = "" if head["numerics_mode"] is None else f", numerics {head['numerics_mode']}"
    console.print_line(f"{head['model']}: {chip}{mode}", "bold")
    rows = [
        (task["task"], _protocol(task), *_score(one), task["arithmetic"], one["tag"])
        for task in found.tasks
        for one in task["scores"]
    ]
    numeric = ("score", "± stderr", "95 % interval", "n")
    console.print_table(
        ["task", "protocol", "metric", *numeric, "computed in", ""], rows, numeric=numeric
    )
    for task in found.tasks:
        _remarks(task)
        if task["gap"] is not None:
            _show_gap(task)
    if head["programs"] is not None:
        held = ", ".join(f"{key} {value}" for key, value in head["programs"].items())
        console.print_line(f"programs ran behind: {held}", "dim")
    console.print_line(f"run {found.id}; -o DIR writes run.json and every item", "dim")


def _protocol(task: Mapping[str, Any]) -> str:
    shots = task.get("num_fewshot")
    name = str(task["protocol"])
    return f"{name}, {shots}-shot" if name == "lm-eval" else name


def _score(one: Mapping[str, Any]) -> tuple[str, ...]:
    share = one["higher_is_better"]
    return (
        one["metric"], _number(one["value"], share), _number(one["stderr"], share),
        _range(one["interval"], share), f"{one['n']:,}",
    )  # fmt: skip


def _number(value: float | None, share: bool) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.2f} %" if share else f"{value:.4g}"


def _range(ends: Sequence[float] | None, share: bool) -> str:
    return "–" if ends is None else " to ".join(_number(end, share) for end in ends)


def _remarks(task: Mapping[str, Any]) -> None:
    if task["subjects"]:
        worst = min(task["subjects"], key=lambda one: one["value"])
        best = max(task["subjects"], key=lambda one: one["value"])
        console.print_line(
            f"{task['task']}: {len(task['subjects'])} subjects, weighted by their rows; "
            f"{worst['subject']} {worst['value']:.1%} to {best['subject']} {best['value']:.1%}",
            "dim",
        )  # fmt: skip
    if task.get("truncated"):
        console.print_line(
            f"{task['task']}: the beginning of {task['truncated']:,} of {task['n']:,} prompts was "
            "cut off: they are longer than the model's context", "yellow",
        )  # fmt: skip
    if task.get("max_gen_toks_stock", task.get("max_gen_toks")) != task.get("max_gen_toks"):
        console.print_line(
            f"{task['task']}: answers of at most {task['max_gen_toks']} tokens, the task's own "
            f"{task['max_gen_toks_stock']} do not fit the model's context", "yellow",
        )  # fmt: skip


def _show_gap(task: Mapping[str, Any]) -> None:
    gap = task["gap"]
    rows = [
        (
            one["metric"], _number(one["value"], one["higher_is_better"]),
            _number(one["against"], one["higher_is_better"]), _change(one),
        )
        for one in gap["metrics"]
    ]  # fmt: skip
    columns = ("exact", "fast", "exact - fast (95 % interval)")
    title = f"{task['task']}: {gap['n']} items in both, {gap['equal_answers']} answers equal"
    console.print_table(["metric", *columns], rows, title=title, numeric=columns)
    for one in gap.get("estimates", ()):
        share = one["higher_is_better"]
        console.print_line(
            f"{one['metric']} in exact arithmetic: {_number(one['value'], share)} "
            f"({_range(one['gap_interval'], share)}), {one['tag']}"
        )


def _change(one: Mapping[str, Any]) -> str:
    share = one["higher_is_better"]
    if one["difference"] is None:
        return "–"
    unit = 100 if share else 1
    ends = one["difference_interval"]
    spread = "" if ends is None else f" ({unit * ends[0]:+.4g} to {unit * ends[1]:+.4g})"
    return f"{unit * one['difference']:+.4g}{' points' if share else ''}{spread}"


def show_compared(compared: Mapping[str, Any]) -> None:
    """Print two runs side by side, their difference over the same items."""
    other = compared["against"]
    where = "in torch" if other["arch"] is None else f"in {other['recipe']} on {other['arch']}"
    console.print_line(f"\nagainst run {other['id']}: {other['model']} {where}", "bold")
    rows = []
    for task in compared["compared"]:
        for one in task["metrics"]:
            share = one["higher_is_better"]
            rows.append((
                task["task"], task["protocol"], one["metric"], _number(one["value"], share),
                _number(one["against"], share), _change(one), f"{one['n']:,}",
            ))  # fmt: skip
    columns = ("this run", "against", "difference (95 % interval)", "n")
    console.print_table(["task", "protocol", "metric", *columns], rows, numeric=columns)
    for task in compared["compared"]:
        if task["differs"]:
            console.print_line(
                f"{task['task']}: not asked alike: {', '.join(task['differs'])}", "yellow"
            )
