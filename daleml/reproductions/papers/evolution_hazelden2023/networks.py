"""Networks of biophysical cells that integrate evidence, and the ways in which they learn."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from daleml._support import seeds
from daleml.learning import (
    EvidenceIntegration,
    EvolutionStrategy,
    MorrisLecar,
    MorrisLecarNetwork,
)
from daleml.reproductions.claim import Settings
from daleml.tasks import Trials


def network(
    task: EvidenceIntegration, settings: Settings, generator: torch.Generator
) -> MorrisLecarNetwork:
    """Build a network for the task, which is shown each word for as long as the task says.

    Args:
        task: The task.
        settings: ``cells``; the step ``dt_ms`` of the equations; whether it is the published
            one, ``first_order``; and whether it is compiled with its gradient, ``compiled``.
        generator: Source of randomness.
    """
    return MorrisLecarNetwork(
        task.n_inputs,
        int(settings["cells"]),
        task.n_outputs,
        cell=MorrisLecar(first_order=bool(settings.get("first_order", False))),
        dt_ms=settings["dt_ms"],
        compiled=settings.get("compiled"),
        input_ms=task.dt_ms,
        generator=generator,
    )


def _batches(
    task: EvidenceIntegration, n: int, settings: Settings, seed: int
) -> Callable[[], Trials]:
    """Return what draws n phrases from a fixed set of training phrases, as published."""
    generator = seeds.generator(seed, 2)
    phrases = task.sample(int(settings["phrases"]), generator)

    def draw() -> Trials:
        which = torch.randint(len(phrases), (n,), generator=generator)
        return Trials(
            inputs=phrases.inputs[:, which],
            targets=phrases.targets[:, which],
            mask=phrases.mask[:, which],
            dt_ms=task.dt_ms,
            input_names=task.input_names,
            output_names=task.output_names,
        )

    return draw


def train_readout(
    task: EvidenceIntegration, net: MorrisLecarNetwork, settings: Settings, seed: int
) -> None:
    """Train the readout to the end, on the activity of the initial network.

    Args:
        task: The task.
        net: The network.
        settings: ``readout_iterations``; and ``phrases``, as many as any arm may see.
        seed: Seed of the phrases.
    """
    draw = _batches(task, int(settings["phrases"]), settings, seed)
    trials = draw()
    with torch.no_grad():
        activity = net.activity(trials.inputs)
    optimizer = torch.optim.Adam(net.readout.parameters(), lr=0.02)
    for _ in range(int(settings["readout_iterations"])):
        optimizer.zero_grad()
        task.loss(net.readout(activity), trials).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def train_evolved(
    task: EvidenceIntegration,
    net: MorrisLecarNetwork,
    settings: Settings,
    seed: int,
    names: tuple[str, ...] = ("weight_ih", "weight_hh"),
) -> None:
    """Train by evolution; the readout follows its own gradient.

    Steps alternate between the matrices, as published.

    Args:
        task: The task.
        net: The network.
        settings: ``population``, ``batch``, ``phrases`` and ``es_iterations``; and
            ``one_sided`` where the estimate is the published one, not in antithetic pairs.
        seed: Seed of the phrases and of the perturbations.
        names: The matrices that are perturbed.
    """
    generator = seeds.generator(seed, 3)
    strategies = [
        EvolutionStrategy(
            net,
            population=int(settings["population"]),
            antithetic=not settings.get("one_sided", False),
            names=[name],
            generator=generator,
        )
        for name in names
    ]
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    draw = _batches(task, int(settings["batch"]), settings, seed)

    def loss(
        net: MorrisLecarNetwork, trials: Trials, state: tuple[Tensor, Tensor]
    ) -> Tensor:
        return task.loss(net(trials.inputs, state), trials)

    for iteration in range(int(settings["es_iterations"])):
        trials = draw()
        state = net.initial_state(len(trials))
        optimizer.zero_grad()
        strategies[iteration % len(names)].backward(loss, trials, state)
        with torch.no_grad():
            activity = net.activity(trials.inputs, state)
        task.loss(net.readout(activity), trials).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def train_backpropagated(
    task: EvidenceIntegration, net: MorrisLecarNetwork, settings: Settings, seed: int
) -> dict[str, float]:
    """Train by backpropagation through all steps, and say what the gradients were like.

    The norm of the gradient is clipped at 10, as published.

    Args:
        task: The task.
        net: The network.
        settings: ``batch``, ``phrases`` and ``bp_iterations``.
        seed: Seed of the phrases.

    Returns:
        The number of entries of gradients that were no finite number, the largest norm before
        clipping, and the mean change of a weight between cells in the last ten steps.
    """
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    draw = _batches(task, int(settings["batch"]), settings, seed)
    not_finite, norms, changes = 0, [0.0], [0.0]
    for _ in range(int(settings["bp_iterations"])):
        trials = draw()
        optimizer.zero_grad()
        task.loss(net(trials.inputs), trials).backward()  # type: ignore[no-untyped-call]
        for parameter in net.parameters():
            assert parameter.grad is not None
            not_finite += int((~parameter.grad.isfinite()).sum())
            # A gradient that overflowed would make every weight NaN.
            parameter.grad.nan_to_num_(0.0, 0.0, 0.0)
        norms.append(float(nn.utils.clip_grad_norm_(net.parameters(), 10.0)))
        # In the saved runs the recurrent weights stop moving.
        before = net.weight_hh.detach().clone()
        optimizer.step()
        changes.append(float((net.weight_hh.detach() - before).abs().mean()))
    last = changes[-10:]
    return {
        "bp_not_finite": float(not_finite),
        "bp_largest_norm": max(norms),
        "bp_last_change": sum(last) / len(last),
    }
