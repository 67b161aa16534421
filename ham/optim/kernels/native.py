"""The one-pass kernels for CPUs: native.c, compiled once per process by the machine's C compiler.

Why C and not torch.compile: one call covers all tensors of all shapes, so there is one short
compile, no recompile when a gradient is None, and no launch per tensor.
"""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ham.optim.kernels.tables import DTYPES, ROW, Table

SOURCE = Path(__file__).with_name("native.c")
_COMMON = ("-O3", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
# Best first; a compiler that knows no OpenMP or no -march=native still gives a correct kernel.
_FLAGS = (("-march=native", "-fopenmp"), ("-march=native",), ())

logger = logging.getLogger(__name__)


def kernel(*, check: bool) -> Callable[[Table, int], None] | None:
    """Return the kernel of the step, or None where native.c cannot be compiled.

    With ``check`` it leaves out each row with a gradient that is not finite, and tells so in
    ``finite``.
    """
    loaded = library()
    if loaded is None:
        return None

    def run(table: Table, base: int) -> None:
        loaded.ham_step(table.ctypes.data, len(table), base, check, torch.get_num_threads())

    return run


def finiteness() -> Callable[[list[Tensor]], list[bool]] | None:
    """Return a check of CPU tensors that fit (see ``tables.fits``), or None as ``kernel`` does.

    It tells for each tensor whether all its values are finite, from their bits.
    """
    loaded = library()
    if loaded is None:
        return None

    def all_finite(tensors: list[Tensor]) -> list[bool]:
        table = np.zeros(len(tensors), ROW)
        table["grad"] = [tensor.data_ptr() for tensor in tensors]
        table["count"] = [tensor.numel() for tensor in tensors]
        table["dtype"] = [DTYPES[tensor.dtype] for tensor in tensors]
        table["finite"] = 1
        loaded.ham_finite(table.ctypes.data, len(table), torch.get_num_threads())
        return table["finite"].astype(bool).tolist()

    return all_finite


@cache
def library() -> ctypes.CDLL | None:
    """Return native.c compiled and loaded, or None, and log why, where it cannot be had."""
    return _build()


def _build() -> ctypes.CDLL | None:
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        logger.info("no C compiler found (looked for $CC, cc, gcc): HAM's step stays eager")
        return None
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "ham_native.so"
        for flags in _FLAGS:
            try:
                _compile(compiler, flags, target)
                return _load(target)
            except (OSError, subprocess.SubprocessError) as error:
                reason = getattr(error, "stderr", None) or error
                logger.info("%s %s failed: %s", compiler, " ".join(flags), reason)
    logger.warning("HAM's native kernel could not be built; its step stays eager and slower")
    return None


def _compile(compiler: str, flags: tuple[str, ...], target: Path) -> None:
    command = [*compiler.split(), *_COMMON, *flags, str(SOURCE), "-o", str(target), "-lm"]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)


def _load(path: Path) -> ctypes.CDLL:
    loaded = ctypes.CDLL(str(path))
    loaded.ham_step.argtypes = [ctypes.c_void_p, ctypes.c_int64, *(ctypes.c_int,) * 3]
    loaded.ham_step.restype = None
    loaded.ham_finite.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int]
    loaded.ham_finite.restype = None
    return loaded
