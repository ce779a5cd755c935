"""Two linear layers that learn a teacher, and the matrices that recurrent networks begin with."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from daleml._support import seeds
from daleml.layers.init.matrix_spectra import low_rank_
from daleml.reproductions.claim import Settings


class TwoLayers(nn.Module):
    """One output, linear in the input and in each of two layers: y = second first x.

    Args:
        first: Weights of the first layer, (hidden, inputs).
        second: Weights of the second layer, (hidden,).
    """

    def __init__(self, first: Tensor, second: Tensor) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(first), nn.Parameter(second)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, (examples,), to inputs, (examples, inputs)."""
        output: Tensor = x @ self.first.T @ self.second
        return output


def descend(
    first: Tensor, second: Tensor, teacher: Tensor, settings: Settings
) -> tuple[Tensor, Tensor]:
    """Return both layers after gradient descent until they have learned the teacher.

    Inputs are whitened, so the loss is the squared error of the product of the layers.

    Args:
        first: Weights of the first layer.
        second: Weights of the second layer.
        teacher: The weights that their product should become.
        settings: ``lr``, the most ``steps``, and the ``tolerance`` at which it has learned.

    Raises:
        RuntimeError: If the steps do not suffice.
    """
    lr = settings["lr"]
    for _ in range(settings["steps"]):
        error = second @ first - teacher
        if float(error.norm()) < settings["tolerance"]:
            return first, second
        # Both gradients are taken at the weights before the step.
        first_step, second_step = lr * torch.outer(second, error), lr * first @ error
        first, second = first - first_step, second - second_step
    raise RuntimeError(
        f"`steps` must suffice to learn the teacher; got {settings['steps']}."
    )


def orthonormal_columns(n: int, d: int, generator: torch.Generator) -> Tensor:
    """Return n rows of d orthonormal columns, in a random direction."""
    drawn = torch.randn(n, d, generator=generator, dtype=torch.float64)
    columns: Tensor = torch.linalg.qr(drawn)[0]
    return columns


def initial_matrices(seed: int, settings: Settings) -> dict[str, Tensor]:
    """Return the initial recurrent matrices that are compared.

    Args:
        seed: Of the matrix of full rank, of which the others are made.
        settings: ``units``, the ``gain`` of the normal numbers, and the ``stable_gain``.

    Returns:
        ``"full"``, of full rank; ``"norm"``, of rank one and the same Frobenius norm;
        ``"largest"``, of rank one and the same largest singular value; ``"stable_full"`` and
        ``"stable_norm"``, the first two at the stable gain.
    """
    units: int = settings["units"]
    scale = float(settings["gain"]) / math.sqrt(units)
    full = scale * torch.randn(units, units, generator=seeds.generator(seed, 2))
    by_norm = low_rank_(full.clone(), 1)
    largest = float(torch.linalg.matrix_norm(full, ord=2))
    # Scaling a matrix scales its largest singular value.
    by_largest = by_norm * (largest / float(torch.linalg.matrix_norm(by_norm, ord=2)))
    calmer = float(settings["stable_gain"]) / float(settings["gain"])
    return {
        "full": full,
        "norm": by_norm,
        "largest": by_largest,
        "stable_full": calmer * full,
        "stable_norm": calmer * by_norm,
    }
