"""Ctrl-C that cannot get lost.

Python drops a ``KeyboardInterrupt`` that is raised inside a destructor or a weak reference's
callback, and the run would go on as if nobody had pressed anything. The handler remembers it, and
verbs ask before they leave something behind.
"""

from __future__ import annotations

import signal
from types import FrameType

_pressed = False


def listen() -> None:
    """Remember Ctrl-C from now on; a signal that the parent ignores stays ignored."""
    global _pressed
    _pressed = False
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _press)


def _press(signum: int, frame: FrameType | None) -> None:
    global _pressed
    _pressed = True
    raise KeyboardInterrupt


def check() -> None:
    """Raise the interrupt that was dropped, if one was.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed since ``listen``.
    """
    if _pressed:
        raise KeyboardInterrupt
