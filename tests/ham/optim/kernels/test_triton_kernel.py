from __future__ import annotations

from importlib import import_module, reload
from types import ModuleType

import pytest
import torch
from torch import nn
from torch.optim import SGD

from ham.optim import HAM
from ham.optim.kernels import one_pass, tensor_table, triton_kernel
from tests.ham.optim.kernels.path_steps import assert_agree, three_steps
from tests.ham.optim.toy_training import HamPath, HamSign


def load_triton_source(monkeypatch: pytest.MonkeyPatch, *, interpret: bool) -> ModuleType:
    pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_INTERPRET", str(int(interpret)))
    triton_kernel.kernel.cache_clear()
    return reload(import_module("ham.optim.kernels._triton_source"))


@pytest.fixture
def triton_on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the GPU kernel in Triton's interpreter, to test its arithmetic without a GPU."""
    load_triton_source(monkeypatch, interpret=True)
    kernel = triton_kernel.kernel(torch.device("cpu"))
    monkeypatch.setattr(one_pass, "kernel_for", lambda device, **_: kernel)


@pytest.mark.parametrize("sign", ["half_step", "previous"])
@pytest.mark.parametrize("base", ["sgd", "momentum", "nesterov", "adamw"])
@pytest.mark.parametrize("path", ["fused", "fused_base"])
def test_triton_kernel_agrees_with_the_reference(
    triton_on_cpu: None, path: HamPath, base: str, sign: HamSign
) -> None:
    shapes: list[tuple[int, ...]] = [(3, 4), (5,), (2, 3, 3, 3), (0, 5), (5, 1000)]
    assert_agree(
        three_steps(path, base, torch.float32, sign, shapes),
        three_steps("reference", base, torch.float32, sign, shapes),
    )


@pytest.mark.parametrize("base", [tensor_table.NONE, tensor_table.SGD, tensor_table.ADAM])
def test_triton_kernel_compiles_to_a_gpu_binary_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch, base: int
) -> None:
    source = load_triton_source(monkeypatch, interpret=False)
    from triton.backends.compiler import GPUTarget  # lazy: Triton may be absent
    from triton.compiler import ASTSource, compile

    assert tensor_table.ENTRY.names is not None
    constants = {
        "ENTRY_LENGTH": len(tensor_table.ENTRY.names),
        "BASE": base,
        "PREVIOUS": False,
        "MOMENTUM": base != tensor_table.NONE,
        "DTYPE": tensor_table.DTYPES[torch.float32],
        "CHUNK": triton_kernel.CHUNK,
        "BLOCK": triton_kernel.BLOCK,
    }
    signature = {"table": "*i64", "chunks": "*i64", **dict.fromkeys(constants, "constexpr")}
    compiled = compile(
        ASTSource(fn=source.step, signature=signature, constexprs=constants),
        target=GPUTarget("cuda", 90, 32),
        options={"enable_fp_fusion": True},
    )
    assert len(compiled.asm["cubin"]) > 0


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_triton_kernel_does_not_change_elements_with_non_finite_gradients(
    triton_on_cpu: None,
) -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer = HAM(SGD([weight], lr=0.1, momentum=0.9), path="fused_base", nonfinite="ignore")
    for grad in (torch.zeros(2, 2), torch.tensor([[torch.nan, torch.inf], [0.01, 0.01]])):
        before = weight.detach().clone()
        weight.grad = grad
        optimizer.step()
    assert torch.equal(weight[0], before[0])
    assert torch.equal(optimizer.state[weight]["momentum_buffer"][0], torch.zeros(2))
    assert (weight[1] != before[1]).all()
