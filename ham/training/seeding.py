"""Independent random streams of one seed, and a context that restores torch's global settings.

The streams do not depend on the configuration. Trainings that share a seed share initial weights,
masks and the order of the data, so their difference is caused by the configuration.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def stream_seed(seed: int, stream: str) -> int:
    """Return the seed of a named stream, in [0, 2**63).

    Args:
        seed: the run's seed, >= 0.
        stream: name of the stream, for example ``"weights"``. Different names give independent
            streams.
    """
    entropy = np.random.SeedSequence([seed, zlib.crc32(stream.encode())])
    return int(entropy.generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def reproducible(seed: int, device: torch.device, cpu_threads: int) -> Iterator[None]:
    """Seed torch's global generators, fix threads and algorithms, and restore all of them at exit.

    Args:
        seed: seed of the generators, in [0, 2**63).
        device: device of the training; its generator is seeded as well as the CPU's.
        cpu_threads: threads of torch if the device is a CPU, >= 1.
    """
    threads = torch.get_num_threads()
    devices = [device] if device.type == "cuda" else []
    if device.type == "cpu":
        torch.set_num_threads(cpu_threads)
    try:
        with (
            torch.random.fork_rng(devices),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
        ):
            torch.default_generator.manual_seed(seed)
            if device.type == "cuda":
                torch.cuda.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
