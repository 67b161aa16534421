"""The check for NaN and infinity agrees with torch.isfinite, with native.c and with PyTorch."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim import SGD

from ham.optim import HAM
from ham.optim.kernels import finiteness, native, tensor_table
from ham.optim.kernels.finiteness import all_finite

BITS = {
    torch.float16: torch.int16,
    torch.bfloat16: torch.int16,
    torch.float32: torch.int32,
    torch.float64: torch.int64,
}
BAD = (math.nan, math.inf, -math.inf)
# Elements of a unit of work in native.c: values on both sides of its border are tested.
CHUNK = 16384


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    """Arbitrary bits after up to 70 ones: NaNs of every payload, denormals, infinities, zeros."""
    dtype = draw(st.sampled_from(list(BITS)))
    numbers = torch.iinfo(BITS[dtype])
    words = draw(st.lists(st.integers(numbers.min, numbers.max), max_size=5))
    clean = torch.ones(draw(st.integers(0, 70)), dtype=dtype)
    return torch.cat([clean, torch.tensor(words, dtype=BITS[dtype]).view(dtype)])


@pytest.mark.parametrize("by_kernel", [False, True])
@given(arrays=st.lists(tensors(), max_size=6))
@example(arrays=[])
@settings(deadline=None)  # the first example may compile the kernel
def test_finiteness_agrees_with_torch(arrays: list[Tensor], by_kernel: bool) -> None:
    expected = [bool(array.isfinite().all()) for array in arrays]
    assert all_finite(arrays, by_kernel=by_kernel) == expected


@pytest.mark.parametrize("by_kernel", [False, True])
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("dtype", BITS, ids=str)
def test_finiteness_finds_one_bad_value_at_any_position(
    dtype: torch.dtype, bad: float, by_kernel: bool
) -> None:
    positions = [(1, 0), (7, 0), (7, 3), (7, 6), (2 * CHUNK + 3, CHUNK - 1)]
    positions += [(2 * CHUNK + 3, at) for at in (0, CHUNK, 2 * CHUNK, 2 * CHUNK + 2)]
    arrays = [torch.zeros(length, dtype=dtype) for length, _ in positions]
    assert all_finite(arrays, by_kernel=by_kernel) == [True] * len(arrays)
    for array, (_, at) in zip(arrays, positions, strict=True):
        array[at] = bad
    assert all_finite(arrays, by_kernel=by_kernel) == [False] * len(arrays)


@pytest.mark.parametrize("by_kernel", [False, True])
@pytest.mark.parametrize("dtype", BITS, ids=str)
def test_finiteness_is_not_confused_by_extreme_or_absent_values(
    dtype: torch.dtype, by_kernel: bool
) -> None:
    limits = torch.finfo(dtype)
    arrays = [
        torch.full((9,), limits.max, dtype=dtype),  # the sum overflows
        torch.full((9,), limits.min, dtype=dtype),
        torch.full((9,), limits.smallest_normal / 2, dtype=dtype),
        torch.empty(0, 3, dtype=dtype),
    ]
    assert all_finite(arrays, by_kernel=by_kernel) == [True] * 4


@pytest.mark.parametrize("by_kernel", [False, True])
@pytest.mark.parametrize("bad", BAD)
def test_finiteness_reads_every_layout(bad: float, by_kernel: bool) -> None:
    image = torch.zeros(2, 3, 5, 5).contiguous(memory_format=torch.channels_last)
    image[1, 2, 4, 4] = bad
    strided = torch.tensor([[0.0, bad], [0.0, bad]])[:, 0]  # the bad values are not in the view
    expanded = torch.tensor([bad]).expand(3)
    indices, values = torch.tensor([[0, 1]]), torch.tensor([1.0, bad])
    sparse = torch.sparse_coo_tensor(indices, values, (4,), check_invariants=True)
    arrays = [image, strided, expanded, sparse]
    assert all_finite(arrays, by_kernel=by_kernel) == [False, True, False, False]


def test_finiteness_kernel_reads_every_dtype_of_the_step() -> None:
    check = native.finiteness()
    if check is None:
        pytest.skip("no C compiler")
    arrays = [
        torch.tensor([1.0, bad], dtype=d) for d in tensor_table.DTYPES for bad in (2.0, *BAD)
    ]
    assert check(arrays) == [True, False, False, False] * len(tensor_table.DTYPES)


def test_finiteness_is_checked_by_sums_on_eager_paths_and_by_native_c_on_fused_paths(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if native.finiteness() is None:
        pytest.skip("no C compiler")
    summed: list[int] = []
    by_sums = finiteness._finite_by_sums

    def count(arrays: list[Tensor]) -> list[bool]:
        summed.append(len(arrays))
        return by_sums(arrays)

    monkeypatch.setattr(finiteness, "_finite_by_sums", count)
    weight = nn.Parameter(torch.ones(2, 2))
    weight.grad = torch.ones(2, 2)
    for path in ("reference", "foreach", "fused", "fused_base"):
        HAM(SGD([weight], lr=0.1), path=path).step()
    assert summed == [1, 1, 0, 0]
