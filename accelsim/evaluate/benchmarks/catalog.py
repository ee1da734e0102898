"""The benchmarks: where lm-eval defines them, which files they read, how they score.

Prompts, filters and scoring are those of lm-eval's own task files, by path inside its package; only
the rows come from local files. Nothing here imports lm-eval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from accelsim.errors import UnknownNameError

#: How a metric is made of what its items give, a numerator and a denominator each: their ratio, the
#: exponential of it, or it in bits.
Kind = Literal["share", "perplexity", "bits"]
#: What a field of a row must be.
Type = Literal["text", "texts", "integer", "objects"]


@dataclass(frozen=True)
class Metric:
    """One number that a benchmark gives.

    Attributes:
        name: as lm-eval spells it: the metric, a comma, and the filter of the answers.
        kind: how it is made of what its items give.
    """

    name: str
    kind: Kind = "share"

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger number is a better one."""
        return self.kind == "share"


@dataclass(frozen=True)
class Source:
    """Rows of a benchmark.

    Attributes:
        split: lm-eval's name of what the rows are for.
        file: below the folder of data.
        fields: what every row must hold.
    """

    split: str
    file: str
    fields: Mapping[str, Type]


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    Attributes:
        name: as ``--tasks`` calls it.
        what: one line for a reader.
        stock: lm-eval's task file, below its folder of tasks; ``{subject}`` where there is one per
            subject. Empty: the benchmark is no task of lm-eval.
        sources: its rows; the first are those that are asked.
        metrics: what it gives, the one that stands for it first.
        runs_code: whether it runs programs that the model wrote.
        window: tokens of a window of text; 0: the rows are asked one by one.
        protocol: how a perplexity was measured; perplexities of two protocols do not compare.
    """

    name: str
    what: str
    stock: str
    sources: tuple[Source, ...]
    metrics: tuple[Metric, ...]
    runs_code: bool = False
    window: int = 0
    protocol: str = ""

    @property
    def label(self) -> str:
        """The name, with the protocol where there are several."""
        return f"{self.name}/{self.protocol}" if self.protocol else self.name


_GSM8K: Mapping[str, Type] = {"question": "text", "answer": "text"}
_MMLU: Mapping[str, Type] = {
    "subject": "text", "question": "text", "choices": "texts", "answer": "integer",
}  # fmt: skip
_DOCUMENTS = Source("test", "wikitext2/wiki.test.docs.jsonl", {"page": "text"})
_ROWS = Source("test", "wikitext2/wiki.test.rows.jsonl", {"text": "text"})
_TOKENS = (Metric("token_perplexity", "perplexity"),)

BENCHMARKS: tuple[Benchmark, ...] = (
    Benchmark(
        "mmlu", "multiple choice in 57 subjects", "mmlu/default/mmlu_{subject}.yaml",
        (Source("test", "mmlu/test.jsonl", _MMLU), Source("dev", "mmlu/dev.jsonl", _MMLU)),
        (Metric("acc,none"),),
    ),
    Benchmark(
        "gsm8k", "arithmetic in words", "gsm8k/gsm8k.yaml",
        (Source("test", "gsm8k/test.jsonl", _GSM8K), Source("train", "gsm8k/train.jsonl", _GSM8K)),
        (Metric("exact_match,strict-match"), Metric("exact_match,flexible-extract")),
    ),
    Benchmark(
        "humaneval", "programs, run against their tests", "humaneval/humaneval.yaml",
        (
            Source(
                "test", "humaneval/HumanEval.jsonl",
                {"task_id": "text", "prompt": "text", "test": "text", "entry_point": "text"},
            ),
        ),
        (Metric("pass@1,create_test"),),
        runs_code=True,
    ),
    Benchmark(
        "ifeval", "instructions that a program can check", "ifeval/ifeval.yaml",
        (
            Source(
                "train", "ifeval/input_data.jsonl",
                {
                    "key": "integer", "prompt": "text", "instruction_id_list": "texts",
                    "kwargs": "objects",
                },
            ),
        ),
        (
            Metric("prompt_level_strict_acc,none"), Metric("inst_level_strict_acc,none"),
            Metric("prompt_level_loose_acc,none"), Metric("inst_level_loose_acc,none"),
        ),
    ),
    Benchmark(
        "wikitext", "WikiText-2, per word of 62 documents", "wikitext/wikitext.yaml",
        (_DOCUMENTS,),
        (
            Metric("word_perplexity,none", "perplexity"),
            Metric("byte_perplexity,none", "perplexity"), Metric("bits_per_byte,none", "bits"),
        ),
        protocol="lm-eval-words",
    ),
    Benchmark(
        "wikitext", "WikiText-2, per token in windows of 2048", "", (_ROWS,), _TOKENS,
        window=2048, protocol="gptq-2048",
    ),
    Benchmark(
        "wikitext", "WikiText-2, per token in windows of 4096", "", (_ROWS,), _TOKENS,
        window=4096, protocol="4096",
    ),
)  # fmt: skip

#: Names that ``--tasks`` takes.
NAMES = tuple(dict.fromkeys(one.name for one in BENCHMARKS))
#: Names that ``--protocol`` takes; the first is lm-eval's own and the default.
PROTOCOLS = tuple(one.protocol for one in BENCHMARKS if one.protocol)


#: Types in which probabilities are taken. Sums of bfloat16 have steps of half a percent, so it is
#: not lm-eval's own default that is ours.
SOFTMAX = ("float32", "auto")


@dataclass(frozen=True)
class Asked:
    """Which benchmarks are run, and how.

    Attributes:
        tasks: names of benchmarks.
        protocols: of the perplexities among them.
        limit: rows of each; of each subject, where there are subjects. None: all.
        num_fewshot: solved examples before a question; None: what lm-eval's file says.
        max_gen_toks: most tokens of an answer; None: what lm-eval's file says.
        chat: whether prompts go through the tokenizer's chat template.
        batch_size: rows that are asked at once.
        softmax: the type in which probabilities are taken of the model's logits: ``float32``, or
            ``auto``, that of the logits, which is lm-eval's own default.
    """

    tasks: tuple[str, ...]
    protocols: tuple[str, ...] = PROTOCOLS[:1]
    limit: int | None = None
    num_fewshot: int | None = None
    max_gen_toks: int | None = None
    chat: bool = False
    batch_size: int = 1
    softmax: str = SOFTMAX[0]
    benchmarks: tuple[Benchmark, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Find the benchmarks.

        Raises:
            UnknownNameError: a task, a protocol or a type that there is not.
        """
        for kind, given, known in (
            ("task", self.tasks, NAMES), ("protocol", self.protocols, PROTOCOLS),
            ("softmax dtype", (self.softmax,), SOFTMAX),
        ):  # fmt: skip
            for name in given:
                if name not in known:
                    raise UnknownNameError(kind, name, known)
        found = [
            one
            for name in dict.fromkeys(self.tasks)
            for one in BENCHMARKS
            if one.name == name and (not one.protocol or one.protocol in self.protocols)
        ]
        object.__setattr__(self, "benchmarks", tuple(found))
