"""Record the shipped models again: ``python -m accelsim.graph.zoo [--check] [NAME...]``.

A tool of the repository rather than a verb of the command line, so it writes to the standard
streams itself.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from accelsim.errors import AccelsimError
from accelsim.graph.family_file import changed_lines, dumps, fit_model
from accelsim.graph.zoo import FOLDER
from accelsim.graph.zoo.configs import ENTRIES, config_of


def recorded(name: str) -> str:
    """Return the file of a shipped model, recorded now."""
    from accelsim.graph.record_hf import build_hf, constants_of, record_built

    entry = ENTRIES[name]
    model = build_hf(config_of(name), name)
    fitted = fit_model(
        lambda request: record_built(model, request),
        name, model.kind, model.parameters, entry.source, entry.longest,
    )  # fmt: skip
    if (FOLDER / name).is_dir():
        values = constants_of(model.module)
        constants = {key: tuple(row.reshape(-1).tolist()) for key, row in values.items()}
        fitted = replace(fitted, constants=constants)
    return dumps(fitted)


def main(arguments: list[str]) -> int:
    """Write the files, or compare them with ``--check``: 1 when one of them differs."""
    parser = argparse.ArgumentParser("python -m accelsim.graph.zoo", description=__doc__)
    parser.add_argument("names", nargs="*", help="models; all of them when none is given")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files are")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(ENTRIES))
    if unknown:
        parser.error(f"unknown model {unknown[0]!r}; known: {', '.join(ENTRIES)}")
    stale = False
    for name in options.names or ENTRIES:
        text = recorded(name)
        path = options.folder / f"{name}.json"
        old = path.read_text(encoding="utf-8") if path.is_file() else ""
        if options.check and old != text:
            stale = True
            lines = changed_lines(old, text)
            sys.stdout.write(f"{path}: {len(lines)} lines differ, the first is {lines[0]}\n")
        elif not options.check:
            beside = path.with_suffix(".json.new")
            beside.write_text(text, encoding="utf-8")
            beside.replace(path)
            sys.stdout.write(f"{path}: {len(text)} bytes\n")
    return 1 if stale else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except AccelsimError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
