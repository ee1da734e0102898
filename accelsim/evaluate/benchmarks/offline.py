"""lm-eval as a library that opens no connection, prints nothing and gives equal scores every time.

Three of its habits are changed while it is used here: helpers that fetch what is missing from a hub
do not, sentences are split without the downloaded tables of NLTK where they are absent, and the
detector of languages, which draws random numbers, starts from a fixed seed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import os
import random
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from accelsim.errors import MissingExtraError

#: Packages of the extra ``evaluate`` by the names they are imported under.
NEEDED = (
    "lm_eval", "torch", "transformers", "datasets", "accelerate", "langdetect", "immutabledict",
    "nltk",
)  # fmt: skip
#: Read when the libraries are imported, or on every look-up.
_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "false",
}  # fmt: skip
#: What split sentences.
NLTK_TABLES, OWN_TABLES = "punkt_tab", "accelsim"
_SEED = 0
#: Abbreviations after which a full stop ends no sentence: titles, firms, months, Latin, measures.
_ABBREVIATIONS = (
    "mr mrs ms dr prof rev gen sen rep gov capt cpt col lt sgt maj st jr sr messrs hon pres "
    "inc ltd co corp bros dept univ assn est "
    "jan feb mar apr jun jul aug sep sept oct nov dec "
    "etc vs cf al viz ca approx vol pp ed eds op cit "
    "a.m p.m u.s u.k u.n u.s.a d.c ph.d b.a m.a b.c a.d "
    "ft oz lb min max ave blvd rd mt"
)
#: Words that are common and small within a sentence: with a capital letter they begin one, also
#: behind an initial or an ellipsis.
_SMALL_WORDS = (
    "a about after all also an and any are as at be because before but by can does each "
    "for from give had has have he her here his how however i if in include into is it its "
    "let make many may more most my no not now of on one only or other our please she should since "
    "so some such than that the their then there these they this those to under until use was we "
    "what when where which while who why will with without would write you your"
)


def require() -> None:
    """Check that what lm-eval needs is installed.

    Raises:
        MissingExtraError: it is not.
    """
    for package in NEEDED:
        if package not in sys.modules and importlib.util.find_spec(package) is None:
            raise MissingExtraError(f"accelsim evaluate ({package} is not installed)", "evaluate")


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Keep lm-eval and what it stands on off the network and off the streams."""
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update(_ENVIRONMENT)
    level = logging.root.manager.disable
    # What their warnings say and matters, such as prompts that were cut, stands in the result.
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _no_bars():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _no_bars() -> Iterator[None]:
    """Silence the progress bars of lm-eval; ours says how far the whole run is."""
    import lm_eval.api.task
    import lm_eval.models.huggingface
    import tqdm
    from transformers.utils import logging as transformers_logging

    def silent(*given: Any, **options: Any) -> Any:
        return tqdm.tqdm(*given, **{**options, "disable": True})

    modules = (lm_eval.api.task, lm_eval.models.huggingface)
    before = [module.tqdm for module in modules]
    shown = transformers_logging.is_progress_bar_enabled()
    try:
        for module in modules:
            module.tqdm = silent
        transformers_logging.disable_progress_bar()
        yield
    finally:
        for module, bar in zip(modules, before, strict=True):
            module.tqdm = bar
        if shown:
            transformers_logging.enable_progress_bar()


def task_file(below: str) -> Path:
    """Return a task file of the installed lm-eval."""
    import lm_eval.tasks

    return Path(lm_eval.tasks.__file__).parent / below


def prepare_ifeval() -> None:
    """Let IFEval's checkers run without downloads, with equal results every time."""
    import langdetect
    import nltk

    langdetect.DetectorFactory.seed = _SEED
    if sentence_tables() == NLTK_TABLES:
        return
    # The checkers fetch tables when they are imported, whether or not they are used.
    fetch, nltk.download = nltk.download, lambda *args, **options: False
    try:
        from lm_eval.tasks.ifeval import instructions_util
    finally:
        nltk.download = fetch
    instructions_util._get_sentence_tokenizer = sentence_tokenizer
    instructions_util.nltk = _Nltk(instructions_util.nltk)


def sentence_tables() -> str:
    """Return whose tables split sentences: NLTK's where they are installed."""
    import nltk

    try:
        nltk.data.find("tokenizers/punkt_tab/english")
    except LookupError:
        return OWN_TABLES
    return NLTK_TABLES


@cache
def sentence_tokenizer() -> Any:
    """Return NLTK's splitter (T. Kiss, J. Strunk, Computational Linguistics 32, 2006) on our table.

    The algorithm is part of the library, only what it learnt from newspapers is downloaded. Ours
    knows abbreviations and common words and nothing else.
    """
    from nltk.tokenize.punkt import _ORTHO_LC, PunktParameters, PunktSentenceTokenizer

    known = PunktParameters()
    known.abbrev_types = set(_ABBREVIATIONS.split())
    for word in _SMALL_WORDS.split():
        known.add_ortho_context(word, _ORTHO_LC)
    return PunktSentenceTokenizer(known)


class _Nltk:
    """NLTK as the checkers see it: words are split without downloaded tables."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)

    def word_tokenize(self, text: str) -> list[str]:
        """Split a text into words, sentence by sentence as the library does."""
        from nltk.tokenize.destructive import NLTKWordTokenizer

        words = NLTKWordTokenizer()
        sentences = sentence_tokenizer().tokenize(text)
        return [word for sentence in sentences for word in words.tokenize(sentence)]


def reseed() -> None:
    """Start what draws random numbers in scoring from the same place."""
    random.seed(_SEED)
