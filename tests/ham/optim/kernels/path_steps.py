"""Three HAM steps by a path on tensors of many shapes, for the tests of the paths."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from ham.optim import HAM
from tests.ham.optim.toy_training import HamPath, HamSign

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
SHAPES: list[tuple[int, ...]] = [(3, 4), (17,), (4, 3, 3, 3), (0, 5), (900, 20)]


def parameters(dtype: torch.dtype, shapes: list[tuple[int, ...]]) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    params = [nn.Parameter(torch.randn(s, generator=generator).to(dtype)) for s in shapes]
    with torch.no_grad():
        params[0][0] = 0  # a masked row
    channels_last = params[2].detach().contiguous(memory_format=torch.channels_last)
    params[2] = nn.Parameter(channels_last)
    return params


def three_steps(
    path: HamPath,
    base: str,
    dtype: torch.dtype,
    sign: HamSign,
    shapes: list[tuple[int, ...]] = SHAPES,
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
