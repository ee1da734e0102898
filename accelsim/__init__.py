"""What would this model, compressed this way, cost on this chip, and what would it get wrong?

The public names are loaded when they are first used, so that importing accelsim costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from accelsim.version import __version__

if TYPE_CHECKING:
    from accelsim.api import compare, predict, simulate
    from accelsim.errors import AccelsimError, InputError
    from accelsim.graph.request import GraphRequest
    from accelsim.sim.result import SimResult
    from accelsim.spec.arch import ArchSpec
    from accelsim.spec.load import load_arch

__all__ = [
    "AccelsimError", "ArchSpec", "GraphRequest", "InputError", "SimResult", "__version__",
    "compare", "load_arch", "predict", "simulate",
]  # fmt: skip

#: Public name → the module that defines it.
_HOMES = {
    "AccelsimError": "accelsim.errors",
    "ArchSpec": "accelsim.spec.arch",
    "InputError": "accelsim.errors",
    "GraphRequest": "accelsim.graph.request",
    "SimResult": "accelsim.sim.result",
    "compare": "accelsim.api",
    "load_arch": "accelsim.spec.load",
    "predict": "accelsim.api",
    "simulate": "accelsim.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'accelsim' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
