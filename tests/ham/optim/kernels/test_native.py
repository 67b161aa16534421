from __future__ import annotations

import logging
import re
import shutil

import pytest
import torch
from torch import nn
from torch.optim import SGD

from ham.optim import HAM
from ham.optim.kernels import native, tensor_table
from tests.ham.optim.kernels.path_steps import three_steps


def test_native_kernel_reads_the_layout_of_the_tensor_table() -> None:
    source = native.SOURCE.read_text()
    enumerations = {
        name: [entry.split("=")[0].strip() for entry in body.split(",") if entry.strip()]
        for name, body in re.findall(r"enum (\w*) ?\{([^}]*)\};", source)
    }
    assert enumerations[""] == [
        *(name.upper() for name in tensor_table.COEFFICIENTS),
        "COEFFICIENTS",
    ]
    assert [getattr(tensor_table, name) for name in enumerations["base"]] == [0, 1, 2]
    dtypes = [str(dtype).removeprefix("torch.").upper() for dtype in tensor_table.DTYPES]
    assert enumerations["dtype"] == dtypes
    (fields,) = re.findall(r"struct entry \{([^}]*)\};", source)
    names = re.findall(r"\w+(?=\[|,|;)", fields)
    assert names == [*tensor_table.INTEGERS, "coefficient"]


def test_native_exponential_is_accurate_over_the_whole_range(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exponents = torch.linspace(-80, 80, 100_001)
    weight = nn.Parameter(torch.ones(1, 100_001))
    weight.grad = exponents[None].clone()
    optimizer = HAM(SGD([weight], lr=0.0), 1.0, 0.0, max_exponent=80.0, path="fused")
    optimizer.param_groups[0]["lr"] = -1.0  # exponent = gradient
    monkeypatch.setattr(optimizer.base, "step", lambda: None)  # the base leaves the weight at 1
    optimizer.step()
    error = (weight[0].double() / exponents.double().exp() - 1).abs().max().item()
    assert error < 3 * torch.finfo(torch.float32).eps


@pytest.mark.parametrize("threads", [1, 2])
def test_native_result_does_not_depend_on_threads(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        result = three_steps("fused_base", "momentum", torch.float32, "half_step")
    finally:
        torch.set_num_threads(before)
    expected = three_steps("fused_base", "momentum", torch.float32, "half_step")
    assert all(torch.equal(a, b) for a, b in zip(result, expected, strict=True))


@pytest.mark.parametrize("compiler", [None, "false"])
def test_native_kernel_without_a_working_compiler_gives_way_to_the_reference(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, compiler: str | None
) -> None:
    monkeypatch.setenv("CC", compiler or "")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    native.library.cache_clear()
    try:
        with caplog.at_level(logging.INFO, logger=native.logger.name):
            result = three_steps("fused_base", "momentum", torch.float32, "half_step")
    finally:
        native.library.cache_clear()
    assert "stays eager" in caplog.text
    expected = three_steps("reference", "momentum", torch.float32, "half_step")
    assert all(torch.equal(a, b) for a, b in zip(result, expected, strict=True))
