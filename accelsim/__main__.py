"""``python -m accelsim`` and the ``accelsim`` command."""

from __future__ import annotations

import os
import sys

_INTERRUPTED = 130


def main() -> None:
    """Run the command line. Ctrl-C while it is still being imported ends as it does later on."""
    try:
        from accelsim.cli.app import main as run
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        _leave()
    try:
        run()
    except SystemExit as done:
        if done.code == _INTERRUPTED:
            _leave()
        raise


def _leave() -> None:
    """Exit with 130 now.

    Python remembers a Ctrl-C that met it inside a string that was being executed, as dataclasses
    and named tuples do, and ends with the signal instead of the code, though it was handled.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
