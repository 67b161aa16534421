"""The one-pass kernel of CPUs: native.c, compiled once per process by the machine's C compiler.

Why C and not torch.compile: one call covers all tensors of all shapes. So there is one short
compilation, none again when a gradient is None, and no call per tensor.
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

from ham.optim.kernels.tensor_table import DTYPES, ENTRY, Entries

SOURCE = Path(__file__).with_name("native.c")
_COMMON = ("-O3", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
# Fastest first. Without OpenMP or -march=native the kernel is slower, and as correct.
_FLAGS = (("-march=native", "-fopenmp"), ("-march=native",), ())

logger = logging.getLogger(__name__)


def kernel(*, check: bool) -> Callable[[Entries, int], None] | None:
    """Return the kernel of the step, or None where native.c cannot be compiled.

    Args:
        check: True makes the kernel skip each entry with a gradient that is not finite, and set
            the entry's ``finite`` to 0.
    """
    loaded = library()
    if loaded is None:
        return None

    def run(entries: Entries, base: int) -> None:
        loaded.ham_step(entries.ctypes.data, len(entries), base, check, torch.get_num_threads())

    return run


def finiteness() -> Callable[[list[Tensor]], list[bool]] | None:
    """Return the check for NaN and infinity, or None where native.c cannot be compiled.

    The check takes CPU tensors that the kernel can read (see ``tensor_table.fits_kernel``). It
    tells for each tensor, from the bits of its values, whether all are finite.
    """
    loaded = library()
    if loaded is None:
        return None

    def all_finite(tensors: list[Tensor]) -> list[bool]:
        entries = np.zeros(len(tensors), ENTRY)
        entries["grad"] = [tensor.data_ptr() for tensor in tensors]
        entries["count"] = [tensor.numel() for tensor in tensors]
        entries["dtype"] = [DTYPES[tensor.dtype] for tensor in tensors]
        entries["finite"] = 1
        loaded.ham_finite(entries.ctypes.data, len(entries), torch.get_num_threads())
        return entries["finite"].astype(bool).tolist()

    return all_finite


@cache
def library() -> ctypes.CDLL | None:
    """Return native.c, compiled and loaded; where that fails, log the reason and return None."""
    return _build()


def _build() -> ctypes.CDLL | None:
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        logger.info("no C compiler found (looked for $CC, cc, gcc): the HAM step stays eager")
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
    logger.warning("native.c could not be compiled: the HAM step stays eager, which is slower")
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
