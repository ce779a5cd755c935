"""Optimiser steps beside torch's, and beside the published formula of exponentiated gradient."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks.timing import Case
from daleml.layers import DANNLinear
from daleml.optim import EG, EGAdamW, MirrorDescent, param_groups
from daleml.potentials import PNorm


def mlp(hidden: int) -> list[tuple[int, ...]]:
    """Shapes of a perceptron of three hidden layers for images of 28 x 28."""
    sizes = [784, hidden, hidden, hidden, 10]
    return [
        shape
        for n_in, n_out in itertools.pairwise(sizes)
        for shape in ((n_out, n_in), (n_out,))
    ]


def resnet50(width: int, n_classes: int) -> list[tuple[int, ...]]:
    """Shapes of ResNet-50: 161 tensors, most of them small."""
    shapes: list[tuple[int, ...]] = [(width, 3, 7, 7), (width,), (width,)]
    n_in = width
    for stage, n_blocks in enumerate((3, 4, 6, 3)):
        planes = width * 2**stage
        for block in range(n_blocks):
            kernels = [
                (planes, n_in, 1, 1),
                (planes, planes, 3, 3),
                (4 * planes, planes, 1, 1),
            ]
            kernels += [(4 * planes, n_in, 1, 1)] if block == 0 else []
            shapes += [
                shape
                for kernel in kernels
                for shape in (kernel, kernel[:1], kernel[:1])
            ]
            n_in = 4 * planes
    return [*shapes, (n_classes, n_in), (n_classes,)]


SHAPES = {
    "MLP of 24M": mlp(3300),
    "ResNet-50 of 26M": resnet50(64, 1000),
    "MLP of 1M": mlp(560),
    "ResNet-50 of 1M": resnet50(12, 100),
}


def weights_of(shapes: list[tuple[int, ...]]) -> list[nn.Parameter]:
    """Return weights of both signs, with gradients."""
    rng = torch.Generator().manual_seed(0)
    weights = []
    for shape in shapes:
        size, coin = (
            torch.rand(shape, generator=rng) + 0.1,
            torch.randint(2, shape, generator=rng),
        )
        weight = nn.Parameter(0.1 * size * (2 * coin - 1))
        weight.grad = 1e-2 * torch.randn(shape, generator=rng)
        weights.append(weight)
    return weights


def step(
    ours: Callable[..., object],
    baseline: Callable[..., object],
    shapes: list[tuple[int, ...]],
) -> Callable[[], tuple[Callable[[], object], Callable[[], object]]]:
    """Compare one step of each, past the first, which makes momentum and compiles."""

    def ready(build: Callable[..., object]) -> Callable[[], object]:
        call = build(weights_of(shapes))
        for _ in range(2):
            call()
        return call

    return lambda: (ready(ours), ready(baseline))


def formula(weights: list[nn.Parameter]) -> Callable[[], None]:
    """The step as published code has it."""

    @torch.no_grad()
    def call() -> None:
        for weight in weights:
            weight.mul_(torch.exp(weight.sign() * weight.grad * -0.01))

    return call


def _sgd(ps, momentum=0.0, **form):
    return torch.optim.SGD(ps, 0.01, momentum=momentum, **form).step


RULES = [
    ("EG", lambda ps: EG(ps, 0.01).step, "SGD(fused)", lambda ps: _sgd(ps, fused=True)),
    ("EG", lambda ps: EG(ps, 0.01).step, "the published formula", formula),
    (
        "EGAdamW",
        lambda ps: EGAdamW(ps, 1e-3).step,
        "AdamW",
        lambda ps: torch.optim.AdamW(ps, 1e-3).step,
    ),
    (
        "EG(fused)",
        lambda ps: EG(ps, 0.01, fused=True).step,
        "SGD(fused)",
        lambda ps: _sgd(ps, fused=True),
    ),
    (
        "EG(fused)",
        lambda ps: EG(ps, 0.01, fused=True).step,
        "the published formula",
        formula,
    ),
    (
        "EG(fused), momentum",
        lambda ps: EG(ps, 0.01, 0.9, fused=True).step,
        "SGD(fused), momentum",
        lambda ps: _sgd(ps, 0.9, fused=True),
    ),
    (
        "EG(fused), momentum",
        lambda ps: EG(ps, 0.01, 0.9, fused=True).step,
        "SGD(foreach), momentum",
        lambda ps: _sgd(ps, 0.9, foreach=True),
    ),
    (
        "EGAdamW(fused)",
        lambda ps: EGAdamW(ps, 1e-3, fused=True).step,
        "AdamW(fused)",
        lambda ps: torch.optim.AdamW(ps, 1e-3, fused=True).step,
    ),
    (
        "3-norm mirror descent(fused)",
        lambda ps: MirrorDescent(ps, 1e-4, PNorm(3), fused=True).step,
        "SGD(fused)",
        lambda ps: _sgd(ps, fused=True),
    ),
]
CASES = [
    Case(f"{name} step, {label}", against, step(ours, baseline, shapes))
    for label, shapes in SHAPES.items()
    for name, ours, against, baseline in RULES
]


# -- small networks, on one thread, where the calling of operations decides


def dann() -> list[dict[str, Any]]:
    """Parameter groups of a DANN of 64-100-100-10: 12 tensors of 21,360 weights."""
    torch.manual_seed(0)
    sizes = itertools.pairwise([64, 100, 100, 10])
    model = nn.Sequential(*(DANNLinear(n_in, n_out) for n_in, n_out in sizes))
    for weight in model.parameters():
        weight.grad = 1e-2 * torch.randn_like(weight)
    return param_groups(model, 0.01)


def squares(n: int) -> list[dict[str, Any]]:
    """One group of eight equal square matrices."""
    return [{"params": weights_of([(n, n)] * 8)}]


def flat(groups: list[dict[str, Any]]) -> list[nn.Parameter]:
    """Return the parameters of all groups."""
    return [weight for group in groups for weight in group["params"]]


def on_one_thread(call: Callable[[], object], repeats: int) -> Callable[[], None]:
    """Return a call that is long enough to be timed."""

    def repeated() -> None:
        n_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        for _ in range(repeats):
            call()
        torch.set_num_threads(n_threads)

    return repeated


def small_step(
    ours: Callable[..., Callable[[], object]],
    baseline: Callable[..., Callable[[], object]],
    groups: Callable[[], list[dict[str, Any]]],
) -> Callable[[], tuple[Callable[[], object], Callable[[], object]]]:
    """Compare steps of small networks: ours takes groups, the baseline parameters."""
    n_weights = sum(weight.numel() for weight in flat(groups()))
    repeats = max(1, 500_000 // n_weights)

    def ready() -> tuple[Callable[[], object], Callable[[], object]]:
        calls = ours(groups()), baseline(flat(groups()))
        for call in calls:
            call()
        one, other = (on_one_thread(call, repeats) for call in calls)
        return one, other

    return ready


def _adam(ps: list[nn.Parameter]) -> Callable[[], object]:
    return torch.optim.Adam(ps, 1e-3).step


FORMULA = ("the published formula", formula)
ADAM = ("Adam", _adam)
SMALL_RULES = [
    ("EG", lambda gs: EG(gs, 0.01).step, *FORMULA),
    ("EG, momentum", lambda gs: EG(gs, 0.01, 0.9).step, *FORMULA),
    ("EGAdamW", lambda gs: EGAdamW(gs, 1e-3).step, *ADAM),
    (
        "3-norm mirror descent",
        lambda gs: MirrorDescent(gs, 1e-4, PNorm(3)).step,
        *FORMULA,
    ),
]
SMALL_NETWORKS = {
    "DANN 64-100-100-10": dann,
    "161 tensors of 614k": lambda: [{"params": weights_of(resnet50(10, 100))}],
    **{f"8 matrices of {n} x {n}": lambda n=n: squares(n) for n in (50, 100, 180, 350)},
}
CASES += [
    Case(
        f"{name} step, one thread, {label}",
        against,
        small_step(ours, baseline, groups),
        rounds=31,
        clock=time.thread_time,
    )
    for label, groups in SMALL_NETWORKS.items()
    for name, ours, against, baseline in SMALL_RULES
]
