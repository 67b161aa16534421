from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim import SGD, RMSprop

from ham.optim import HAM
from ham.optim.kernels import dispatch
from tests.ham.optim.kernels.path_steps import BASES, assert_agree, three_steps
from tests.ham.optim.toy_training import HamPath, HamSign, small_model


@pytest.mark.parametrize("sign", ["half_step", "previous"])
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str
)
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("path", ["foreach", "fused", "fused_base"])
def test_path_agrees_with_the_reference(
    path: HamPath, base: str, dtype: torch.dtype, sign: HamSign
) -> None:
    assert_agree(three_steps(path, base, dtype, sign), three_steps("reference", base, dtype, sign))


def test_path_of_a_small_model_needs_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(device: torch.device) -> None:
        raise AssertionError("a small model must not ask for a kernel")

    monkeypatch.setattr(dispatch, "kernel_for", refuse)
    assert (
        dispatch.choose_path("auto", HAM(SGD(small_model().parameters(), lr=0.1))) == "reference"
    )


def test_path_of_a_large_model_is_chosen_by_its_base() -> None:
    weight = nn.Parameter(torch.zeros(1000, 1000))
    for base, expected in ((SGD([weight], lr=0.1), "fused_base"), (RMSprop([weight]), "fused")):
        assert dispatch.choose_path("auto", HAM(base).base) == expected
