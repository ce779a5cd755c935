"""Layers, circuits and optimisers on a GPU beside torch's own, and what they wait for.

``python -m benchmarks.gpu`` runs the tests of devices first. Without a GPU it says so.
"""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from rich.console import Console
from torch import nn

from benchmarks.__main__ import _table_of_timings
from benchmarks.timing import Case, measure
from daleml import Populations
from daleml.layers import DANNRNN, EIRNN, DANNLinear, EILinear
from daleml.optim import EG, EGAdamW, enforce, param_groups

DEVICE = "cuda"
NONE = (
    "There is no GPU here: nothing was run, and the figures of"
    " docs/guides/mixed_precision_and_gpu.md for one stay unmeasured."
)
LEAK = {"dt_ms": 20, "tau_ms": 100}
N_INPUTS = 28
N_SEQUENCES = 64

Call = Callable[[], object]
Pair = Callable[[], tuple[Call, Call]]


def clock() -> float:
    """Return the time when the device has done what it was given."""
    torch.cuda.synchronize()
    return time.perf_counter()


def forward_and_backward(layer: nn.Module, shape: tuple[int, ...]) -> Call:
    """Return a call that runs a layer and its gradients."""
    layer = layer.to(DEVICE)
    x = torch.rand(shape, device=DEVICE)

    def call() -> None:
        layer.zero_grad()
        output = layer(x)
        rates = output[0] if isinstance(output, tuple) else output
        rates.sum().backward()

    return call


def circuit(ours: Callable[[], nn.Module], n_units: int, n_steps: int) -> Pair:
    """Compare a circuit with ``nn.RNN``."""
    shape = n_steps, N_SEQUENCES, N_INPUTS

    def setup() -> tuple[Call, Call]:
        plain = nn.RNN(N_INPUTS, n_units, nonlinearity="relu")
        return forward_and_backward(ours(), shape), forward_and_backward(plain, shape)

    return setup


def dense(ours: Callable[[], nn.Module], n_units: int, n_rows: int) -> Pair:
    """Compare a layer with ``nn.Linear``."""
    shape = n_rows, n_units

    def setup() -> tuple[Call, Call]:
        plain = nn.Linear(n_units, n_units)
        return forward_and_backward(ours(), shape), forward_and_backward(plain, shape)

    return setup


def network() -> nn.Module:
    """Build a dense network of 2 million weights."""
    layers: list[nn.Module] = []
    for _ in range(2):
        layers += [DANNLinear(1000, 1000), nn.ReLU()]
    return nn.Sequential(*layers).to(DEVICE)


def optimiser(build: Callable[[nn.Module], torch.optim.Optimizer]) -> Pair:
    """Compare an optimiser's step with that of torch's Adam."""

    def ready(build: Callable[[nn.Module], torch.optim.Optimizer]) -> Call:
        model = network()
        stepper = build(model)
        model(torch.rand(64, 1000, device=DEVICE)).sum().backward()
        return stepper.step

    def setup() -> tuple[Call, Call]:
        return ready(build), ready(lambda model: torch.optim.Adam(model.parameters()))

    return setup


def eg(model: nn.Module) -> torch.optim.Optimizer:
    """Return EG with momentum."""
    return EG(param_groups(model, 0.1), 0.1, momentum=0.9)


def eg_adamw(model: nn.Module) -> torch.optim.Optimizer:
    """Return EGAdamW."""
    return EGAdamW(param_groups(model, 0.01), 0.01)


def guarded(model: nn.Module) -> torch.optim.Optimizer:
    """Return Adam whose steps are projected."""
    adam = torch.optim.Adam(model.parameters())
    enforce(adam, model)
    return adam


def circuits() -> Iterator[tuple[str, Callable[[int], nn.Module]]]:
    """Yield the kinds of circuits, each a function of its number of units."""
    yield "EIRNN", lambda n: EIRNN(N_INPUTS, Populations.split(n))
    yield "DANNRNN", lambda n: DANNRNN(N_INPUTS, n)
    yield "leaky EIRNN", lambda n: EIRNN(N_INPUTS, Populations.split(n), **LEAK)
    yield (
        "noisy leaky EIRNN",
        lambda n: EIRNN(N_INPUTS, Populations.split(n), noise=0.1, **LEAK),
    )


def cases() -> Iterator[Case]:
    """Yield what is timed."""
    for name, build in circuits():
        for n_units in (128, 512, 1024):
            for n_steps in (100, 784):
                yield Case(
                    f"{name}, {n_units} units, {n_steps} steps, forward and backward",
                    "nn.RNN",
                    circuit(lambda build=build, n=n_units: build(n), n_units, n_steps),
                    clock=clock,
                )
    for n_units in (256, 1024, 4096):
        for n_rows in (32, 256, 2048):
            for kind in (EILinear, DANNLinear):
                yield Case(
                    f"{kind.__name__}, {n_units} units, {n_rows} rows, forward and backward",
                    "nn.Linear",
                    dense(lambda kind=kind, n=n_units: kind(n, n), n_units, n_rows),
                    clock=clock,
                )
    for name, build in (("EG", eg), ("EGAdamW", eg_adamw), ("guarded Adam", guarded)):
        yield Case(f"a step of {name}", "Adam", optimiser(build), clock=clock)


@contextmanager
def waits() -> Iterator[list[warnings.WarningMessage]]:
    """Record each time that the host waits for the device."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            torch.cuda.set_sync_debug_mode("default")


def waits_of_a_step(build: Callable[[int], nn.Module]) -> int:
    """Return how often the host waits in one step of training a circuit."""
    rnn = build(64).to(DEVICE)
    stepper = eg(rnn)
    x = torch.rand(20, 8, N_INPUTS, device=DEVICE)

    def step() -> None:
        stepper.zero_grad()
        rnn(x)[0].square().mean().backward()
        stepper.step()

    step()
    with waits() as found:
        step()
    return sum("synchroniz" in str(one.message) for one in found)


def main() -> None:
    """Run the tests of devices, time all cases, and count what a step waits for."""
    if not torch.cuda.is_available():
        print(NONE)
        return
    subprocess.run(
        [sys.executable, "-m", "tests.device_calls", "full", DEVICE], check=True
    )
    console = Console(width=160)
    console.print(torch.cuda.get_device_name(), torch.__version__)
    console.print(_table_of_timings([measure(case) for case in cases()]))
    for name, build in circuits():
        console.print(f"waits in a step of {name}: {waits_of_a_step(build)}")


if __name__ == "__main__":
    main()
