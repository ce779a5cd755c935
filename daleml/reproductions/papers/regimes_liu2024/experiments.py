"""How much learning changes the kernel, the representation and the weights, by the start's rank.

Two experiments. Linear networks of two layers, where theory gives the alignment of the tangent
kernel before and after learning; and recurrent networks that learn perceptual decisions from an
initial matrix of full rank, of rank one with its Frobenius norm, and of rank one with its
largest singular value.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from daleml._support import seeds
from daleml.analysis import regime, spectrum
from daleml.layers.init.matrix_spectra import low_rank_
from daleml.reproductions.claim import BUDGETS, Experiment, Numbers, Settings
from daleml.reproductions.papers.regimes_liu2024.networks import (
    TwoLayers,
    build_recurrent,
    descend,
    initial_matrices,
    orthonormal_columns,
)
from daleml.tasks import PerceptualDecision

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
    """Train three networks that differ in their initial recurrent matrix only.

    They have the same other weights and see the same trials.
    """
    matrices = initial_matrices(seed, settings)
    norm_ratio = matrices["norm"].norm() / matrices["full"].norm()
    numbers: Numbers = {"norm_ratio": float(norm_ratio)}
    for name, matrix in matrices.items():
        found = _trained_and_measured(matrix, seed, settings)
        numbers |= {f"{measure}_{name}": value for measure, value in found.items()}
    for name in ("norm", "largest"):
        loss_ratio = numbers[f"loss_{name}"] / numbers["loss_full"]
        numbers |= {
            f"ra_gap_{name}": numbers["ra_full"] - numbers[f"ra_{name}"],
            f"ka_gap_{name}": numbers["ka_full"] - numbers[f"ka_{name}"],
            f"change_ratio_{name}": numbers[f"change_{name}"] / numbers["change_full"],
            f"loss_change_{name}": 100 * abs(loss_ratio - 1),
        }
    return numbers | {
        "ra_shrinks": numbers["ra_gap_norm"] - numbers["ra_gap_largest"],
        "ka_shrinks": numbers["ka_gap_norm"] - numbers["ka_gap_largest"],
    }


def _trained_and_measured(matrix: Tensor, seed: int, settings: Settings) -> Numbers:
    """Train a network from an initial matrix; return what changed, and its final loss."""
    task = PerceptualDecision(baseline=settings["baseline"])
    generator = seeds.generator(seed, 3)
    model = build_recurrent(matrix, task.n_inputs, task.n_outputs, generator)
    before = copy.deepcopy(model.state_dict())
    losses = _train(model, task, generator, settings)
    probes = task.sample(settings["probes"], generator=generator).inputs
    # The kernel is over every step and output of the first probes, the representation is of the
    # last step of all probes.
    few = probes[:, : settings["kernel_probes"]]
    kernel = regime(model, before, model, few, output=lambda out: out)
    activity = regime(model, before, model, probes, output=lambda out: out[-1, :1])
    last = losses[-settings["last"] :]
    return {
        "change": kernel.weight_change,
        "ra": activity.representation_alignment,
        "ka": kernel.kernel_alignment,
        "loss": math.fsum(last) / len(last),
    }


def _train(
    model: nn.Module,
    task: PerceptualDecision,
    generator: torch.Generator,
    settings: Settings,
) -> list[float]:
    """Train a network on new trials in every step; return the losses."""
    optimizer = torch.optim.SGD(
        model.parameters(), settings["lr"], momentum=settings["momentum"]
    )
    losses = []
    for _ in range(settings["iterations"]):
        trials = task.sample(settings["batch"], generator=generator)
        optimizer.zero_grad()
        outputs = model(trials.inputs).flatten(0, 1)
        loss = nn.functional.cross_entropy(outputs, trials.targets.flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


_RECURRENT: dict[str, Any] = {
    "units": 100,
    "gain": 1.25,
    "baseline": 0.5,
    "lr": 0.003,
    "momentum": 0.9,
    "batch": 32,
    "iterations": 2_000,
    "probes": 320,
    "kernel_probes": 32,
    "last": 200,
}
RECURRENT = Experiment(
    "rank of a recurrent network",
    run_recurrent,
    settings={
        "quick": _RECURRENT,
        "paper": _RECURRENT,
        "long": _RECURRENT | {"units": 300, "iterations": 10_000},
    },
    seeds={"quick": 36, "paper": 80, "long": 10},
    minutes={"quick": 0.15, "paper": 0.15, "long": 5.0},
)
