"""IFEval without downloads: every prompt is scored, the same way every time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from accelsim.evaluate.benchmarks.catalog import Asked
from accelsim.evaluate.benchmarks.rows import read

pytest.importorskip("lm_eval", reason="the extra 'evaluate' (lm-eval) is not installed")
pytest.importorskip("langdetect", reason="the extra 'evaluate' (langdetect) is not installed")

from accelsim.evaluate.benchmarks import offline
from accelsim.evaluate.benchmarks.stock import StockTask

pytestmark = pytest.mark.filterwarnings("ignore")

ANSWER = (
    "Dear Dr. Smith, I write from the U.S. today. THE PLUMS ARE BLUE! Are they? I like plum A. The "
    "other one, etc., is not mine."
)


class Mute:
    """A model that is never asked."""

    max_length, max_gen_toks = 4096, 256


def task(data: Path) -> StockTask:
    asked = Asked(("ifeval",))
    return StockTask(asked.benchmarks[0], read(asked.benchmarks[0], data), asked, Mute(), None)


def test_all_541_prompts_are_scored(reference: Path) -> None:
    if not (reference / "data" / "ifeval").is_dir():
        pytest.skip(f"{reference} holds no rows of IFEval")
    with offline.offline():
        suite = task(reference / "data")
        answers: dict[int, list[Any]] = {number: [ANSWER] for number in range(len(suite))}
        found = suite.score(answers)
        assert len(found) == 541
        given = [one.pairs["inst_level_strict_acc,none"][1] for one in found.values()]
        assert sum(given) == 834
        few = {number: answers[number] for number in range(0, 541, 9)}
        again = suite.score(few)
    assert {number: found[number].pairs for number in few} == {n: s.pairs for n, s in again.items()}


def test_sentences_end_where_a_reader_ends_them() -> None:
    found = offline.sentence_tokenizer().tokenize(ANSWER)
    assert found == [
        "Dear Dr. Smith, I write from the U.S. today.", "THE PLUMS ARE BLUE!", "Are they?",
        "I like plum A.", "The other one, etc., is not mine.",
    ]  # fmt: skip


def test_words_are_split_without_tables(data: Path) -> None:
    with offline.offline():
        suite = task(data)
        right = "THE PLUMS ARE BLUE. THEY ARE GOOD TO EAT."
        found = suite.score({0: ["It is a plum. It is blue."], 1: [right]})
    assert found[0].pairs["prompt_level_strict_acc,none"] == (1.0, 1.0)
    assert found[1].pairs["inst_level_strict_acc,none"] == (2.0, 2.0)


def test_unknown_instructions_are_refused(data: Path, tmp_path: Path) -> None:
    from accelsim.errors import InputError

    text = (data / "ifeval/input_data.jsonl").read_text()
    (tmp_path / "ifeval").mkdir()
    path = tmp_path / "ifeval/input_data.jsonl"
    path.write_text(text.replace("punctuation:no_comma", "punctuation:no_coma"))
    with (
        offline.offline(),
        pytest.raises(InputError, match=r"no checker for .* punctuation:no_coma"),
    ):
        task(tmp_path)
