"""How parts of kernels are compiled: to intermediate code that is linked into kernels, no further.

Numba optimizes each function with all that it calls, and makes machine code of it, before that
goes into its caller, where both are done once more: of ten levels of calls, the lowest is
optimized ten times. A part is only lowered; the kernel that calls it is optimized as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.typed_passes import NoPythonSupportedFeatureValidation
from numba.extending import register_jitable

Function = TypeVar("Function", bound=Callable[..., Any])


class _Codegen:
    """A code generator without the place of an environment, which only Python's calls need."""

    def __init__(self, whole: Any) -> None:
        self._whole = whole

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)

    def set_env(self, name: str, environment: Any) -> None:
        """Write nothing: the engine has not seen the code."""


class _Library(JITCodeLibrary):  # type: ignore[misc]  # Numba has no types.
    """Code that is linked into other code and never run by itself."""

    @property
    def codegen(self) -> Any:
        return _Codegen(self._codegen)

    def _optimize_final_module(self) -> None:
        """Leave it to the kernel."""

    def _finalize_final_module(self) -> None:
        """Hand nothing to the engine that makes machine code."""
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Return that there is no machine code."""
        return 0


@register_pass(mutates_CFG=False, analysis_only=False)
class _Linked(FunctionPass):  # type: ignore[misc]  # Numba has no types.
    _name = "linked_part"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        state.library = _Library(state.targetctx.codegen(), state.func_id.func_qualname)
        return False


class _Compiler(Compiler):  # type: ignore[misc]  # Numba has no types.
    """Numba's pipeline with a library of that kind."""

    def define_pipelines(self) -> Any:
        """Return the passes."""
        pipelines = super().define_pipelines()
        for passes in pipelines:
            passes.add_pass_after(_Linked, NoPythonSupportedFeatureValidation)
            passes.finalize()
        return pipelines


_OPTIONS = {"_nrt": False, "no_cfunc_wrapper": True, "pipeline_class": _Compiler}


def part(function: Function) -> Function:
    """Make a function that allocates nothing a part of the kernels that call it.

    It is compiled for them alone, once for all integers, without what Python would call it
    through, and kept on disk inside of them. Python itself runs it as Python.
    """
    return cast(Function, register_jitable(**_OPTIONS)(function))


def inner(function: Function) -> Function:
    """Make a function a part that is always inlined.

    Handing over many arrays costs more than most small functions do.
    """
    return cast(Function, register_jitable(**_OPTIONS, forceinline=True)(function))
