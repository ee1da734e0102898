"""``accelsim evaluate``: a model on the benchmarks that products are judged by."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accelsim.cli import console, options
from accelsim.cli.scores import show, show_compared
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
Softmax = Annotated[
    str,
    typer.Option(
        "--softmax-dtype", "--softmax_dtype",
        help="Of probabilities: float32, or auto as lm-eval: the type of the logits.",
    ),
]  # fmt: skip
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


def evaluate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="tiny, or a Hugging Face folder (safetensors).")
    ],
    tasks: Tasks,
    arch: Annotated[
        str | None, typer.Option("--arch", help="A chip that answers every op; else torch does.")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe", help="A shipped recipe or a path; default the checkpoint's own, or bf16."
        ),
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
    softmax: Softmax = "float32",
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
        chat, batch_size, softmax,
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
