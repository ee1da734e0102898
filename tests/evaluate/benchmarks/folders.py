"""Folders that these tests share: rows of every benchmark in small, and a random Llama."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.tiny import values

Rows = Sequence[Mapping[str, Any]]

SUBJECTS = ("anatomy", "us_foreign_policy", "virology")


def _mmlu(count: int, shift: int) -> Rows:
    return [
        {
            "subject": subject, "question": f"Which of these is {number + shift} and {subject}?",
            "choices": [f"{number}", f"{number + 1}", "Neither", f"All of {subject}"],
            "answer": (number + shift) % 4,
        }
        for subject in SUBJECTS
        for number in range(count)
    ]  # fmt: skip


def _gsm8k(count: int, shift: int) -> Rows:
    return [
        {
            "question": f"Ana has {n} plums and buys {n + shift}. How many plums has she now?",
            "answer": f"Ana has {n} + {n + shift} = {2 * n + shift} plums.\n#### {2 * n + shift}",
        }
        for n in range(2, 2 + count)
    ]


def _humaneval() -> Rows:
    return [
        {
            "task_id": f"Own/{n}", "entry_point": f"plus_{n}",
            "prompt": f'def plus_{n}(x: int) -> int:\n    """Return x plus {n}."""\n',
            "canonical_solution": f"    return x + {n}\n",
            "test": f"def check(candidate):\n    assert candidate(1) == {n + 1}\n",
        }
        for n in range(3)
    ]  # fmt: skip


def _ifeval() -> Rows:
    return [
        {
            "key": 1, "prompt": "Write about plums without a comma, in two sentences at least.",
            "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_sentences"],
            "kwargs": [{}, {"relation": "at least", "num_sentences": 2}],
        },
        {
            "key": 2, "prompt": "Answer in English and in capital letters, with two such words.",
            "instruction_id_list": [
                "change_case:english_capital", "change_case:capital_word_frequency",
            ],
            "kwargs": [{}, {"capital_relation": "at least", "capital_frequency": 2}],
        },
    ]  # fmt: skip


def _documents() -> Rows:
    return [
        {"page": f" = Plums {n} = \n \n The plum is a fruit , often @-@ not always blue . \n" * 3}
        for n in range(3)
    ]


def rows() -> Mapping[str, Rows]:
    """Return the rows of every file, all of them made up."""
    return {
        "mmlu/test.jsonl": _mmlu(2, 0),
        "mmlu/dev.jsonl": _mmlu(5, 1),
        "gsm8k/test.jsonl": _gsm8k(3, 1),
        "gsm8k/train.jsonl": _gsm8k(9, 5),
        "humaneval/HumanEval.jsonl": _humaneval(),
        "ifeval/input_data.jsonl": _ifeval(),
        "wikitext2/wiki.test.docs.jsonl": _documents(),
        "wikitext2/wiki.test.rows.jsonl": [{"text": "A plum is blue .\n"}] * 600,
    }


def write_rows(path: Path, given: Rows) -> None:
    """Write the rows of one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in given), encoding="utf-8")


def make_data(folder: Path) -> Path:
    """Write all files."""
    for name, given in rows().items():
        write_rows(folder / name, given)
    return folder


def make_llama(folder: Path) -> Path:
    """Write a random Llama with grouped queries, a context of 2,048 and the shipped tokenizer."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=384, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=2048,
        bos_token_id=0, eos_token_id=1, pad_token_id=1, dtype="bfloat16",
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(values().folder / name, folder / name)
    return folder
