"""What SGLang imports but its scheduling never calls: stands in for GPU-only and web packages.

`install()`, or `hide()` for a whole server, must run before the first import of sglang. A stand-in
module answers every attribute with an object that can be called, subclassed or used as a decorator,
and does nothing.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import sys
import types
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

# Whole packages, or modules of SGLang that need them. `configs.utils` registers image processors.
ABSENT = (
    "IPython",
    "compressed_tensors",
    "deep_gemm",
    "flashinfer",
    "gguf",
    "sgl_kernel",
    "sglang.kernels.ops",
    "sglang.srt.configs.utils",
    "torchvision",
    "triton",
    "uvicorn",
)
# Of the packages above a whole server has uvicorn, and of SGLang's own kernels all but those that
# ask triton for a device when they are imported.
ABSENT_FROM_A_SERVER = (
    *(name for name in ABSENT if name not in ("sglang.kernels.ops", "uvicorn")),
    "sglang.kernels.ops.attention.fla",
    "sglang.kernels.ops.mamba",
    "soundfile",
)


class _Nothing:
    def __init__(self, name: str = "nothing") -> None:
        self.__name__ = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing(name)

    def __call__(self, *args: Any, **named: Any) -> Any:
        if len(args) == 1 and callable(args[0]) and not named:
            return args[0]  # a decorator
        return _Nothing()

    def __getitem__(self, _: Any) -> Any:
        return self

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __or__(self, _: Any) -> Any:
        return object

    __ror__ = __or__

    def __mro_entries__(self, _: Any) -> tuple[type, ...]:
        return (type(self.__name__, (), {}),)


class _Module(types.ModuleType):
    __path__: ClassVar[list[str]] = []
    __version__ = "3.4.0"  # some ask triton's

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing(name)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, absent: Sequence[str]) -> None:
        self.absent = absent

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if any(name == absent or name.startswith(absent + ".") for absent in self.absent):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def hide(absent: Sequence[str]) -> None:
    """From now on these packages, installed or not, are stand-ins."""
    # torch looks for triton when these are first imported, and must not find the stand-in.
    import torch._dynamo
    import torch._inductor.compile_fx
    import torch.utils.flop_counter  # noqa: F401

    sys.meta_path.insert(0, _Finder(absent))


def install() -> None:
    """Import SGLang's scheduler without a GPU; its warnings, and torch's, are not about us."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hide(ABSENT)
        import sglang.srt.managers.scheduler  # noqa: F401
