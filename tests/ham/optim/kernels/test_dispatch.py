from __future__ import annotations

import logging
import re
from collections.abc import Callable
from importlib import import_module, reload
from types import ModuleType

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from ham.optim import HAM
from ham.optim.kernels import dispatch, native, one_pass, tables, triton_kernel
from tests.ham.optim.training import small_model

# eps is large enough to be a float16: with less, torch's own Adam divides zero by zero there.
BASES: dict[str, Callable[..., Optimizer]] = {
    "sgd": lambda p: SGD(p, lr=0.1),
    "momentum": lambda p: SGD(p, lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.1),
    "nesterov": lambda p: SGD(p, lr=0.1, momentum=0.9, nesterov=True, maximize=True),
    "fused": lambda p: SGD(p, lr=0.1, momentum=0.9, fused=True),
    "adam": lambda p: Adam(p, lr=0.01, weight_decay=0.1, eps=1e-3),
    "adamw": lambda p: AdamW(p, lr=0.01, weight_decay=0.1, eps=1e-3, maximize=True),
    "rmsprop": lambda p: RMSprop(p, lr=0.01, eps=1e-3),
}
SHAPES = [(3, 4), (17,), (4, 3, 3, 3), (0, 5), (900, 20)]


def parameters(dtype: torch.dtype, shapes: list[tuple[int, ...]]) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    params = [nn.Parameter(torch.randn(s, generator=generator).to(dtype)) for s in shapes]
    with torch.no_grad():
        params[0][0] = 0  # a masked row
    channels_last = params[2].detach().contiguous(memory_format=torch.channels_last)
    params[2] = nn.Parameter(channels_last)
    return params


def three_steps(
    path: str, base: str, dtype: torch.dtype, sign: str, shapes: list[tuple[int, ...]] = SHAPES
) -> list[nn.Parameter]:
    params = parameters(dtype, shapes)
    optimizer = HAM(BASES[base](params), alpha=20.0, beta=0.1, path=path, sign=sign)
    generator = torch.Generator().manual_seed(1)
    for step in range(3):
        for index, param in enumerate(params):
            grad = 0.1 * torch.randn(param.shape, generator=generator).to(dtype)
            param.grad = None if (step, index) == (2, 1) else grad.mul_(param.detach() != 0)
            if index == 2:
                param.grad = grad.contiguous(memory_format=torch.channels_last)
        optimizer.step()
    return params


def assert_agree(results: list[nn.Parameter], expected: list[nn.Parameter]) -> None:
    # Three steps with a few roundings each; bfloat16 also rounds between base and HAM.
    tolerance = 32 * torch.finfo(expected[0].dtype).eps
    for result, reference in zip(results, expected, strict=True):
        torch.testing.assert_close(result, reference, rtol=tolerance, atol=tolerance / 4)


@pytest.mark.parametrize("sign", ["half_step", "previous"])
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str
)
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("path", ["foreach", "fused", "fused_base"])
def test_path_agrees_with_the_reference(path, base, dtype, sign):
    assert_agree(three_steps(path, base, dtype, sign), three_steps("reference", base, dtype, sign))


def load_triton_source(monkeypatch, *, interpret: bool) -> ModuleType:
    pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_INTERPRET", str(int(interpret)))
    triton_kernel.kernel.cache_clear()
    return reload(import_module("ham.optim.kernels._triton_source"))


@pytest.fixture
def triton_on_cpu(monkeypatch):
    """The GPU kernel, run by Triton's interpreter: its arithmetic, not its speed."""
    load_triton_source(monkeypatch, interpret=True)
    kernel = triton_kernel.kernel(torch.device("cpu"))
    monkeypatch.setattr(one_pass, "kernel_for", lambda device, **_: kernel)


@pytest.mark.parametrize("sign", ["half_step", "previous"])
@pytest.mark.parametrize("base", ["sgd", "momentum", "nesterov", "adamw"])
@pytest.mark.parametrize("path", ["fused", "fused_base"])
def test_triton_kernel_agrees_with_the_reference(triton_on_cpu, path, base, sign):
    shapes = [(3, 4), (5,), (2, 3, 3, 3), (0, 5), (5, 1000)]
    assert_agree(
        three_steps(path, base, torch.float32, sign, shapes),
        three_steps("reference", base, torch.float32, sign, shapes),
    )


@pytest.mark.parametrize("base", [tables.NONE, tables.SGD, tables.ADAM])
def test_triton_kernel_compiles_to_a_gpu_binary_on_a_machine_without_gpu(monkeypatch, base):
    source = load_triton_source(monkeypatch, interpret=False)
    from triton.backends.compiler import GPUTarget  # lazy: Triton may be absent
    from triton.compiler import ASTSource, compile

    constants = {
        "ROW_LENGTH": len(tables.ROW.names),
        "BASE": base,
        "PREVIOUS": False,
        "MOMENTUM": base != tables.NONE,
        "DTYPE": tables.DTYPES[torch.float32],
        "CHUNK": triton_kernel.CHUNK,
        "BLOCK": triton_kernel.BLOCK,
    }
    signature = {"table": "*i64", "places": "*i64", **dict.fromkeys(constants, "constexpr")}
    compiled = compile(
        ASTSource(fn=source.step, signature=signature, constexprs=constants),
        target=GPUTarget("cuda", 90, 32),
        options={"enable_fp_fusion": True},
    )
    assert len(compiled.asm["cubin"]) > 0


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_triton_kernel_leaves_elements_with_non_finite_gradients(triton_on_cpu):
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer = HAM(SGD([weight], lr=0.1, momentum=0.9), path="fused_base", nonfinite="ignore")
    for grad in (torch.zeros(2, 2), torch.tensor([[torch.nan, torch.inf], [0.01, 0.01]])):
        before = weight.detach().clone()
        weight.grad = grad
        optimizer.step()
    assert torch.equal(weight[0], before[0])
    assert torch.equal(optimizer.state[weight]["momentum_buffer"][0], torch.zeros(2))
    assert (weight[1] != before[1]).all()


def test_native_kernel_reads_the_rows_that_are_written():
    source = native.SOURCE.read_text()
    enumerations = {
        name: [entry.split("=")[0].strip() for entry in body.split(",") if entry.strip()]
        for name, body in re.findall(r"enum (\w*) ?\{([^}]*)\};", source)
    }
    assert enumerations[""] == [*(name.upper() for name in tables.COEFFICIENTS), "COEFFICIENTS"]
    assert [getattr(tables, name) for name in enumerations["base"]] == [0, 1, 2]
    dtypes = [str(dtype).removeprefix("torch.").upper() for dtype in tables.DTYPES]
    assert enumerations["dtype"] == dtypes


def test_native_exponential_is_accurate_over_the_whole_range():
    exponents = torch.linspace(-80, 80, 100_001)
    weight = nn.Parameter(torch.ones(1, 100_001))
    weight.grad = exponents[None].clone()
    optimizer = HAM(SGD([weight], lr=0.0), 1.0, 0.0, max_exponent=80.0, path="fused")
    optimizer.param_groups[0]["lr"] = -1.0  # exponent = gradient, and the base must not move it
    optimizer.base.step = lambda: None
    optimizer.step()
    error = (weight[0].double() / exponents.double().exp() - 1).abs().max().item()
    assert error < 3 * torch.finfo(torch.float32).eps


@pytest.mark.parametrize("threads", [1, 2])
def test_native_result_does_not_depend_on_threads(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        result = three_steps("fused_base", "momentum", torch.float32, "half_step")
    finally:
        torch.set_num_threads(before)
    expected = three_steps("fused_base", "momentum", torch.float32, "half_step")
    assert all(torch.equal(a, b) for a, b in zip(result, expected, strict=True))


@pytest.mark.parametrize("compiler", [None, "false"])
def test_path_falls_back_where_no_compiler_works(monkeypatch, caplog, compiler):
    monkeypatch.setenv("CC", compiler or "")
    monkeypatch.setattr(native.shutil, "which", lambda name: None)
    native.library.cache_clear()
    try:
        with caplog.at_level(logging.INFO, logger=native.logger.name):
            result = three_steps("fused_base", "momentum", torch.float32, "half_step")
    finally:
        native.library.cache_clear()
    assert "stays eager" in caplog.text
    expected = three_steps("reference", "momentum", torch.float32, "half_step")
    assert all(torch.equal(a, b) for a, b in zip(result, expected, strict=True))


def test_path_compiles_nothing_for_a_small_model(monkeypatch):
    def refuse(device):
        raise AssertionError("a small model must not ask for a kernel")

    monkeypatch.setattr(dispatch, "kernel_for", refuse)
    assert (
        dispatch.choose_path("auto", HAM(SGD(small_model().parameters(), lr=0.1))) == "reference"
    )


def test_path_of_a_large_model_is_chosen_by_its_base():
    weight = nn.Parameter(torch.zeros(1000, 1000))
    for base, expected in ((SGD([weight], lr=0.1), "fused_base"), (RMSprop([weight]), "fused")):
        assert dispatch.choose_path("auto", HAM(base).base) == expected


def test_fused_base_leaves_a_watched_base_to_itself():
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer = HAM(SGD([weight], lr=0.1), path="fused_base")
    calls = []
    optimizer.base.register_step_post_hook(lambda *_: calls.append("base"))
    weight.grad = torch.ones(2, 2)
    optimizer.step()
    assert calls == ["base"]


def test_fused_base_tells_autograd_that_weights_changed():
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer = HAM(SGD([weight], lr=0.1), path="fused_base")
    loss = weight.square().sum()
    weight.grad = torch.ones(2, 2)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("nonfinite", ["auto", "raise", "ignore"])
def test_fused_base_allocates_no_tensor(nonfinite):
    params = [nn.Parameter(torch.ones(64, 64)) for _ in range(3)]
    optimizer = HAM(SGD(params, lr=0.1, momentum=0.9), path="fused_base", nonfinite=nonfinite)
    for param in params:
        param.grad = torch.ones(64, 64)
    optimizer.step()
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        optimizer.step()
    allocated = sum(max(event.self_cpu_memory_usage, 0) for event in profile.events())
    assert allocated < 64 * 64
