"""The memory that a training step takes at its peak, each in a process of its own. On Linux."""

from __future__ import annotations

import multiprocessing
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn


@dataclass(frozen=True)
class MemoryCase:
    """A layer's training step, and the layer it is measured against.

    Attributes:
        name: What is measured.
        against: What it is measured against.
        ours: Builds the layer, in the process that runs it.
        baseline: Builds the layer that it is measured against.
        n_steps: Steps of a sequence.
        n_sequences: Sequences of a batch.
        n_inputs: Inputs of a step.
    """

    name: str
    against: str
    ours: Callable[[], nn.Module]
    baseline: Callable[[], nn.Module]
    n_steps: int = 784
    n_sequences: int = 64
    n_inputs: int = 28


def measure(case: MemoryCase, rounds: int = 3) -> tuple[float, float]:
    """Return the megabytes by which a step raises the peak, ours and the baseline's.

    Both are medians of fresh processes.
    """
    sizes = case.n_steps, case.n_sequences, case.n_inputs
    ours = [_rise(case.ours, sizes) for _ in range(rounds)]
    baseline = [_rise(case.baseline, sizes) for _ in range(rounds)]
    return statistics.median(ours), statistics.median(baseline)


def _rise(build: Callable[[], nn.Module], sizes: tuple[int, int, int]) -> float:
    with ProcessPoolExecutor(
        1, mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        return pool.submit(_step, build, sizes).result()


def _step(build: Callable[[], nn.Module], sizes: tuple[int, int, int]) -> float:
    layer, x = build(), torch.rand(sizes)
    # Kernels and gradients are allocated once, by the first step.
    layer(x[:2])[0].sum().backward()
    layer.zero_grad(set_to_none=False)
    # Start the peak anew: importing torch has taken more. See proc(5), clear_refs.
    Path("/proc/self/clear_refs").write_text("5")
    before = _peak()
    layer(x)[0].sum().backward()
    return _peak() - before


def _peak() -> float:
    """Return the most memory that this process has held since the peak began anew, in megabytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise OSError("`/proc/self/status` must tell the peak, as on Linux; it does not.")
