"""Ctrl-C that Python dropped is not lost."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from accelsim.cli import interrupts
from tests.support import Cli


@pytest.fixture(autouse=True)
def _own_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
    interrupts.listen()
    signal.signal(signal.SIGINT, before)


def press() -> None:
    with contextlib.suppress(KeyboardInterrupt):  # as a destructor does
        signal.raise_signal(signal.SIGINT)


def test_a_dropped_interrupt_is_raised_at_the_next_check() -> None:
    interrupts.listen()
    interrupts.check()
    press()
    with pytest.raises(KeyboardInterrupt):
        interrupts.check()


def test_a_run_that_was_interrupted_unheard_leaves_nothing(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import accelsim.api as api

    simulate = api.simulate

    def pressed(*arguments: object, **options: object) -> object:
        press()
        return simulate(*arguments, **options)  # type: ignore[arg-type]  # handed through

    monkeypatch.setattr("accelsim.api.simulate", pressed)
    folder = tmp_path / "run"
    found = cli("simulate", "edge_npu", "bert-base", "--seq-len", "16", "-o", str(folder))
    assert (found.code, found.out) == (130, "")
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupts.listen()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
