"""Checkpoints lose nothing, and unpacking one runs no code."""

from __future__ import annotations

import math
import os
import pickle
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ham.catalog import SPARSIFIERS
from ham.training import Training
from ham.training.checkpoints import pack_checkpoint, unpack_checkpoint
from tests.ham.training.conftest import MakeConfig


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and bool(torch.equal(a, b))
    if isinstance(a, dict):
        return type(a) is type(b) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and math.isnan(a):
        return math.isnan(b)
    return type(a) is type(b) and bool(a == b)


FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
DTYPES = st.sampled_from((*FLOATS, torch.int64, torch.uint8, torch.bool, torch.complex64))
TENSORS = st.builds(
    lambda dtype, shape, seed: torch.randint(
        0, 2**8, shape, generator=torch.Generator().manual_seed(seed)
    ).to(dtype),
    DTYPES,
    st.lists(st.integers(0, 3), max_size=3),
    st.integers(0, 2**30),
)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | TENSORS
)
KEYS = st.text() | st.integers()
STATES = st.dictionaries(
    st.text(),
    st.recursive(
        LEAVES,
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(KEYS, inner)
            | st.dictionaries(KEYS, inner).map(OrderedDict)
            | st.lists(inner).map(tuple)
        ),
    ),
)


@given(STATES)
def test_unpacked_state_equals_the_packed_state(state: dict[str, Any]) -> None:
    assert same(unpack_checkpoint(pack_checkpoint(state)), state)


@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
def test_tensors_of_every_layout_are_restored() -> None:
    base = torch.arange(24.0).reshape(2, 3, 4)
    parameter = torch.nn.Parameter(base.clone())
    state = {
        "transposed": base.transpose(0, 2),
        "channels last": torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "expanded": torch.ones(1, 3).expand(5, 3),
        "parameter": parameter,
        "sparse": torch.eye(3).to_sparse(),
        "milestones": Counter({30: 1, 60: 1}),
    }
    restored = unpack_checkpoint(pack_checkpoint(state))
    assert same(restored["parameter"], base) and not restored["parameter"].requires_grad
    assert torch.equal(restored["sparse"].to_dense(), torch.eye(3))
    for name in ("transposed", "channels last", "expanded", "milestones"):
        assert same(restored[name], state[name])
    restored["transposed"].add_(1)
    assert same(base, torch.arange(24.0).reshape(2, 3, 4)), "a restored tensor is a copy"


@pytest.mark.parametrize("sparsifier", SPARSIFIERS.names())
def test_states_of_all_sparsifiers_are_restored(sparsifier: str, make_config: MakeConfig) -> None:
    training = Training(make_config(sparsifier=sparsifier))
    training.run_epoch()
    state = training.state_dict()
    assert same(unpack_checkpoint(pack_checkpoint(state)), state)


class Malicious:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def test_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(pickle.UnpicklingError, match=r"\.mkdir is not allowed in a checkpoint"):
        unpack_checkpoint(pack_checkpoint({"x": Malicious(tmp_path / "made")}))
    assert not (tmp_path / "made").exists()


def test_truncated_checkpoint_is_refused() -> None:
    checkpoint = pack_checkpoint({"w": torch.ones(100), "epoch": 3})
    for length in range(len(checkpoint)):
        with pytest.raises((ValueError, EOFError, pickle.UnpicklingError)):
            unpack_checkpoint(checkpoint[:length])
