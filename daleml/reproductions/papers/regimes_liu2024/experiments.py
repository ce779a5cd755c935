"""How much learning changes the kernel, the representation and the weights, by the start's rank.

Two experiments. Linear networks of two layers, where theory gives the alignment of the tangent
kernel before and after learning; and recurrent networks that learn perceptual decisions from an
initial matrix of full rank, of rank one with its Frobenius norm, and of rank one with its
largest singular value; the first two also at a gain at which activity dies out.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor

from daleml._support import seeds
from daleml.analysis import regime, spectrum
from daleml.layers.init.matrix_spectra import low_rank_
from daleml.reproductions.claim import BUDGETS, Experiment, Numbers, Settings
from daleml.reproductions.papers.regimes_liu2024.networks import (
    TwoLayers,
    descend,
    initial_matrices,
    orthonormal_columns,
)
from daleml.reproductions.papers.regimes_liu2024.recurrent_stack import (
    RecurrentStack,
    alignment,
    loss_and_gradients,
    run,
    tangent_kernels,
)
from daleml.tasks import PerceptualDecision
from daleml.tasks.trials import Trials

# -- two linear layers


def run_linear(seed: int, settings: Settings) -> Numbers:
    """Compare kernel alignments with theory, for every rank and scale.

    And for a first layer of rank one that is aligned with the task, or is not.
    """
    d, generator = settings["d"], seeds.generator(seed, 1)
    n_examples = settings["examples"]
    # Whitened: the inputs have the identity as their second moments.
    x = orthonormal_columns(n_examples, d, generator) * math.sqrt(n_examples)
    numbers: Numbers = {}
    for scale in settings["scales"]:
        for rank in settings["ranks"]:
            first = low_rank_(orthonormal_columns(d, d, generator), rank)
            first *= scale / first.norm()
            effective_rank = spectrum(first).participation_ratio / d
            # The formula of 5a; the last factors correct for few dimensions.
            expected = math.sqrt(effective_rank) * (1 + 1 / d) / math.sqrt(1 + 3 / d)
            found = _mean_alignment(first, x, generator, settings)
            numbers[f"ka_{rank}_{scale}"] = found
            numbers[f"error_{rank}_{scale}"] = found - expected
    errors = [abs(value) for name, value in numbers.items() if name.startswith("error")]
    numbers["error"] = max(errors)
    drawn = torch.randn(2, d, generator=generator, dtype=torch.float64)
    teacher, unit = (vector / vector.norm() for vector in drawn)
    scale = settings["aligned_scale"]
    aligned = scale * torch.outer(unit, teacher)
    numbers["ka_aligned"] = _alignment(aligned, scale * unit, teacher, x, settings)
    direction = torch.randn(d, generator=generator, dtype=torch.float64)
    random = scale * torch.outer(unit, direction / direction.norm())
    numbers["ka_random"] = _mean_alignment(random, x, generator, settings)
    numbers["ka_gap_aligned"] = numbers["ka_aligned"] - numbers["ka_random"]
    return numbers


def _mean_alignment(
    first: Tensor, x: Tensor, generator: torch.Generator, settings: Settings
) -> float:
    """Return the alignment, averaged over teachers along every axis of a random frame.

    That is the average over all directions, without the noise of a few.
    """
    d = len(first)
    second = torch.full((d,), settings["second"], dtype=torch.float64)
    found = []
    for teacher in orthonormal_columns(d, d, generator):
        found.append(_alignment(first, second, teacher, x, settings))
    return math.fsum(found) / len(found)


def _alignment(
    first: Tensor, second: Tensor, teacher: Tensor, x: Tensor, settings: Settings
) -> float:
    """Return the alignment of the tangent kernels before and after a teacher is learned."""
    model = TwoLayers(first, second)
    before = copy.deepcopy(model.state_dict())
    layers = descend(first, second, teacher, settings)
    after = dict(zip(("first", "second"), layers, strict=True))
    both = ["first", "second"]
    return regime(model, before, after, x, parameter=both).kernel_alignment


_LINEAR: dict[str, Any] = {
    "d": 20,
    "examples": 40,
    "scales": [0.01, 0.1, 0.3],
    "ranks": [1, 2, 5, 10, 20],
    "aligned_scale": 0.1,
    "second": 1e-6,
    "lr": 0.1,
    "steps": 40_000,
    "tolerance": 1e-3,
}
LINEAR = Experiment(
    "two linear layers",
    run_linear,
    settings=dict.fromkeys(BUDGETS, _LINEAR),
    seeds={"quick": 5, "paper": 10, "long": 20},
    minutes=dict.fromkeys(BUDGETS, 0.05),
)

# -- recurrent networks


def run_recurrent(seed: int, settings: Settings) -> Numbers:
    """Train networks that differ in their initial recurrent matrix only.

    They have the same other weights and see the same trials.
    """
    matrices = initial_matrices(seed, settings)
    norm_ratio = matrices["norm"].norm() / matrices["full"].norm()
    numbers: Numbers = {"norm_ratio": float(norm_ratio)}
    for name, found in _trained_and_measured(matrices, seed, settings).items():
        numbers |= {f"{measure}_{name}": value for measure, value in found.items()}
    for low, full in (
        ("norm", "full"),
        ("largest", "full"),
        ("stable_norm", "stable_full"),
    ):
        numbers |= {
            f"ra_gap_{low}": numbers[f"ra_{full}"] - numbers[f"ra_{low}"],
            f"ka_gap_{low}": numbers[f"ka_{full}"] - numbers[f"ka_{low}"],
            # Logarithms of ratios: as far from none whichever arm is named first.
            f"change_{low}_over": _log_ratio(numbers, "change", low, full),
            f"loss_{low}_over": _log_ratio(numbers, "loss", low, full),
        }
    for what in ("ra_gap_{}", "ka_gap_{}", "change_{}_over"):
        shrinks = numbers[what.format("norm")] - numbers[what.format("stable_norm")]
        numbers[what.format("shrinks")] = shrinks
    by_value = numbers["ka_gap_norm"] - numbers["ka_gap_largest"]
    return numbers | {"ka_gap_shrinks_largest": by_value}


def _log_ratio(numbers: Numbers, what: str, one: str, other: str) -> float:
    return math.log(numbers[f"{what}_{one}"] / numbers[f"{what}_{other}"])


def _trained_and_measured(
    matrices: dict[str, Tensor], seed: int, settings: Settings
) -> dict[str, Numbers]:
    """Train a network from each matrix; return what changed, and its final loss."""
    task = PerceptualDecision(baseline=settings["baseline"])
    generator = seeds.generator(seed, 3)
    first = RecurrentStack.around(
        list(matrices.values()), task.n_inputs, task.n_outputs, generator
    )
    # Drawn at once, which takes a twentieth of the time of drawing each batch.
    n_trials = settings["iterations"] * settings["batch"]
    trials = task.sample(n_trials, generator=generator)
    last = first.clone()
    losses = _train(last, trials, settings)
    probes = task.sample(settings["probes"], generator=generator).inputs
    # The kernel is over every step and output of the first probes, the representation is of the
    # last step of all probes.
    few = probes[:, : settings["kernel_probes"]]
    measured = {
        "change": torch.linalg.matrix_norm(last.recurrent - first.recurrent),
        "ra": alignment(_last_activity(first, probes), _last_activity(last, probes)),
        "ka": alignment(tangent_kernels(first, few), tangent_kernels(last, few)),
        "loss": losses[-settings["last"] :].mean(0),
    }
    return {
        name: {what: float(values[i]) for what, values in measured.items()}
        for i, name in enumerate(matrices)
    }


def _last_activity(stack: RecurrentStack, probes: Tensor) -> Tensor:
    """Return the overlap of the last activities of every two probes, not centred."""
    h = run(stack, probes)[:, -1]
    return h @ h.mT


def _train(stack: RecurrentStack, trials: Trials, settings: Settings) -> Tensor:
    """Train the networks in place, on new trials in every step.

    Returns:
        The losses, (iterations, networks).
    """
    optimizer = torch.optim.SGD(
        stack.weights, settings["lr"], momentum=settings["momentum"]
    )
    batch = settings["batch"]
    losses = []
    for step in range(settings["iterations"]):
        now = slice(step * batch, (step + 1) * batch)
        loss, gradients = loss_and_gradients(
            stack, trials.inputs[:, now], trials.targets[:, now]
        )
        for weight, gradient in zip(stack.weights, gradients, strict=True):
            weight.grad = gradient
        optimizer.step()
        losses.append(loss)
    return torch.stack(losses)


_RECURRENT: dict[str, Any] = {
    "units": 100,
    "gain": 1.25,
    "stable_gain": 0.5,
    "baseline": 0.5,
    "lr": 0.003,
    "momentum": 0.9,
    "batch": 32,
    "iterations": 2_000,
    "probes": 320,
    "kernel_probes": 32,
    # The last fifth, as the authors average it.
    "last": 400,
}
_LARGER = _RECURRENT | {"units": 300}
RECURRENT = Experiment(
    "rank of a recurrent network",
    run_recurrent,
    settings={
        "quick": _RECURRENT,
        "paper": _LARGER,
        "long": _LARGER | {"iterations": 10_000, "last": 2_000},
    },
    # 36 is what 24 quick seeds ask for by a power of 0.8, for the gap of representation in 5d.
    seeds={"quick": 24, "paper": 36, "long": 24},
    minutes={"quick": 0.1, "paper": 0.4, "long": 1.7},
)
