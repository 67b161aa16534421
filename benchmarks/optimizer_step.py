"""Time of one optimizer step on ResNet-50's parameters: SGD, AdamW, and HAM by each path.

    python -m benchmarks.optimizer_step [--device cuda] [--threads 2] [--rounds 25]

Each round times every step once (slow ones every eighth round), so that other load on the machine
affects all of them alike. ``needed`` is the number of bytes per weight that a step must read and
write if it touches each value once. ``of copy`` is the rate of these bytes as a share of the copy
bandwidth, which the same run measures.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

import torch
import torchvision
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from ham.optim import HAM
from ham.optim.kernels.dispatch import ham_step
from ham.optim.kernels.one_pass import kernel_for
from ham.optim.kernels.parameter_updates import collect_updates

LR, ALPHA, BETA = 1e-3, 200.0, 1e-3
SGD_BYTES, HAM_BYTES, ADAMW_BYTES, CHECK_BYTES = 20, 12, 28, 4  # float32, per weight
PLAIN_SGD = "SGD, fused"
COPY = "copy of the weights"
GUARDED = "HAM alone, guarded eager"


@dataclass
class TimedStep:
    """A step to be timed, and its measurements.

    Attributes:
        name: first column of the table.
        step: takes the step.
        needed: bytes that the step must read and write per weight.
        every: it is timed in every so many rounds.
        milliseconds: measured times.
        extra_bytes: peak memory of the step beyond the memory before it.
    """

    name: str
    step: Callable[[], object]
    needed: int
    every: int = 1
    milliseconds: list[float] = field(default_factory=list)
    extra_bytes: int = 0


def resnet50_parameters(device: torch.device) -> list[nn.Parameter]:
    """Return fresh parameters of torchvision's ResNet-50, with gradients."""
    params = list(torchvision.models.resnet50().to(device).parameters())
    for param in params:
        param.grad = 1e-3 * torch.randn_like(param)
    return params


@torch.no_grad()
def guarded_ham(params: Sequence[nn.Parameter]) -> None:
    """Take the HAM step as a careful user would write it: checks, a copy, a boolean mask."""
    for param in params:
        grad = param.grad
        if grad is None or param.dim() < 2:
            continue
        if torch.isnan(grad).any() or torch.isnan(param).any():
            continue
        before = param.clone()
        nonzero = param != 0
        exponent = (LR * (-ALPHA * torch.sign(param) * grad - BETA)).clamp(-5, 5)
        if torch.isnan(exponent).any():
            continue
        param[nonzero] = param[nonzero] * torch.exp(exponent[nonzero])
        if torch.isnan(param).any() or torch.isinf(param).any():
            param.copy_(before)


def with_guarded_ham(base: Optimizer, params: Sequence[nn.Parameter]) -> Callable[[], object]:
    """Return a step of the base followed by the guarded eager HAM."""

    def step() -> None:
        base.step()
        guarded_ham(params)

    return step


def timed_steps(device: torch.device) -> list[TimedStep]:
    """Build all steps except the copy, on one set of weights."""
    params = resnet50_parameters(device)

    def sgd() -> SGD:
        return SGD(params, lr=LR, momentum=0.9, weight_decay=1e-4, fused=True)

    def adamw() -> AdamW:
        return AdamW(params, lr=LR, fused=device.type == "cpu")

    def alone(path: str) -> Callable[[], object]:
        groups = HAM(SGD(params, lr=LR), ALPHA, BETA).param_groups
        return lambda: ham_step(path, collect_updates(groups, copy_gradients=False))

    check = CHECK_BYTES if device.type == "cpu" else 0
    guarded = with_guarded_ham(sgd(), params)
    steps = [
        TimedStep(PLAIN_SGD, sgd().step, SGD_BYTES),
        TimedStep("SGD + HAM, guarded eager", guarded, SGD_BYTES + HAM_BYTES, 8),
    ]
    for path in ("reference", "foreach", "fused"):
        needed = SGD_BYTES + HAM_BYTES + check
        step = HAM(sgd(), ALPHA, BETA, path=path).step
        steps.append(TimedStep(f"SGD + HAM, {path}", step, needed))
    fused_base = HAM(sgd(), ALPHA, BETA, path="fused_base")
    unchecked = HAM(sgd(), ALPHA, BETA, path="fused_base", nonfinite="ignore")
    steps += [
        TimedStep("SGD + HAM, fused_base", fused_base.step, SGD_BYTES + check),
        TimedStep("SGD + HAM, fused_base, nonfinite='ignore'", unchecked.step, SGD_BYTES),
        TimedStep(
            GUARDED, lambda: guarded_ham(params), HAM_BYTES, 8
        ),  # slow: in every eighth round
    ]
    for path in ("reference", "foreach", "fused"):
        steps.append(TimedStep(f"HAM alone, {path}", alone(path), HAM_BYTES))
    ham_adamw = HAM(adamw(), ALPHA, BETA, path="fused_base")
    steps += [
        TimedStep("AdamW, fused", adamw().step, ADAMW_BYTES),
        TimedStep("AdamW + HAM, fused_base", ham_adamw.step, ADAMW_BYTES + check),
    ]
    return steps


def timed(step: Callable[[], object], device: torch.device) -> float:
    """Return the time of one call in milliseconds, including the work on the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return 1e3 * (time.perf_counter() - start)


def peak_extra_bytes(step: Callable[[], object], device: torch.device) -> int:
    """Return the peak memory of torch's allocator in a step, less its memory before the step."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        return torch.cuda.max_memory_allocated(device) - before
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        step()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def timed_copy(device: torch.device, weights: int) -> TimedStep:
    """Build the copy of as many float32 as there are weights: the reference for bandwidth."""
    source, target = torch.randn(2, weights, device=device)
    return TimedStep(COPY, lambda: target.copy_(source), 8)


def measure(steps: list[TimedStep], device: torch.device, rounds: int) -> None:
    """Measure the peak extra memory of the steps, then their times, round by round."""
    for step in steps:
        step.step()  # creates the base's state
        step.extra_bytes = peak_extra_bytes(step.step, device)
    for index in range(rounds):
        for step in steps:
            if index % step.every == 0:
                step.milliseconds.append(timed(step.step, device))


def print_table(steps: list[TimedStep], weights: int) -> None:
    """Print the steps as a Markdown table, with ratios to plain SGD and to the guarded HAM."""
    medians = {step.name: median(step.milliseconds) for step in steps}
    bandwidth = 8 * weights / medians[COPY]  # bytes per millisecond
    print(f"copy bandwidth {bandwidth / 1e6:.1f} GB/s\n")
    columns = [
        "step",
        "median ms",
        "fastest ms",
        "x plain SGD",
        "x faster than guarded",
        "needed B/weight",
        "of copy",
        "peak extra MiB",
    ]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for step in steps:
        took = medians[step.name]
        share = step.needed * weights / took / bandwidth
        faster = f"{medians[GUARDED] / took:.0f}" if step.name.startswith("HAM") else ""
        print(
            f"| {step.name} | {took:.1f} | {min(step.milliseconds):.1f} "
            f"| {took / medians[PLAIN_SGD]:.2f} | {faster} | {step.needed} | {share:.0%} "
            f"| {step.extra_bytes / 2**20:.1f} |"
        )


def main() -> None:
    """Measure all steps and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=25)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)

    start = time.perf_counter()
    kernel = kernel_for(device)
    build = "no kernel: eager" if kernel is None else f"{time.perf_counter() - start:.2f} s"
    weights = sum(param.numel() for param in torchvision.models.resnet50().parameters())
    steps = [timed_copy(device, weights), *timed_steps(device)]
    measure(steps, device, arguments.rounds)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    print(
        f"{name}, {arguments.threads} threads, torch {torch.__version__}, {weights:,} weights, "
        f"{arguments.rounds} rounds; kernel built in {build}"
    )
    print_table(steps, weights)


if __name__ == "__main__":
    main()
