"""Dense networks of one shape that see every digit once, all in one batch.

What :func:`learn_online` does to one network with autograd and the public classes is written out
here for many, which differ in their learning rate, their coefficient or their first weights:
one product for all of them, where each alone would keep the processor waiting for the next call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from daleml._support import seeds
from daleml.datasets import digits
from daleml.learning.oja import LIMIT
from daleml.reproductions.claim import Settings
from daleml.reproductions.papers.oja_shervanitabar2024.networks import (
    PRECISION,
    SHARPNESS,
    OnlinePass,
    build,
    divided,
    feedback_of,
    judged,
)


class Trial(NamedTuple):
    """One network of a batch, and how it learns.

    Attributes:
        lr: The learning rate.
        coefficient: The coefficient of Oja's rule; without it, 0.
        gain: What the first weights are multiplied by.
    """

    lr: float
    coefficient: float
    gain: float = 1.0


def learn_online_together(
    seed: int, settings: Settings, trials: Sequence[Trial]
) -> list[OnlinePass]:
    """Show every network each training image once, one at a time.

    Args:
        seed: Seed of the weights, of the order of the images and of the feedback.
        settings: ``sizes``, and whether ``fixed_feedback`` carries errors back.
        trials: The networks.

    Returns:
        What :func:`learn_online` returns for each, to rounding.
    """
    data, sizes = digits(), settings["sizes"]
    models = [build(sizes, one.gain, seeds.generator(seed, 0)) for one in trials]
    feedback = None
    if settings["fixed_feedback"]:
        # One draw for all: every network of a seed has the same feedback.
        feedback = feedback_of(models[0], seed)
    held_out, shown = divided(data, seed)
    networks = Networks(_stacked(models), feedback, trials)
    for x, y in zip(data.train_x[shown], data.train_y[shown], strict=True):
        networks.learn(x.to(PRECISION), int(y))
    networks.copy_to(models)
    return [judged(model, data, held_out) for model in models]


@dataclass
class Networks:
    """The weights of networks of one shape, and how one example moves them all.

    Attributes:
        weights: One tensor for each layer, (networks, post, pre).
        feedback: What carries errors back through each layer, (post, pre); None for the
            weights themselves.
        trials: How each network learns.
    """

    weights: list[Tensor]
    feedback: list[Tensor] | None
    trials: Sequence[Trial]

    def __post_init__(self) -> None:
        lrs = torch.tensor([one.lr for one in self.trials], dtype=PRECISION)
        self._down = -lrs[:, None, None]
        coefficients = [one.coefficient for one in self.trials]
        self._coefficients = torch.tensor(coefficients, dtype=PRECISION)

    def learn(self, x: Tensor, y: int) -> None:
        """Move every weight by the gradient of one example, and by Oja's rule.

        Args:
            x: The pixels.
            y: The class.
        """
        rates = self._rates(x)
        coefficients = self._where_it_converges(rates)[:, None, None]
        # The derivative of the cross-entropy to what the softmax is given.
        error = rates[-1].clone()
        error[:, y] -= 1
        changes = []
        for layer in reversed(range(len(self.weights))):
            weight, pre, post = self.weights[layer], rates[layer], rates[layer + 1]
            # Both are carried down by the same weight: W' [y, e].
            carried = weight.mT @ torch.cat([post, error], dim=2)
            # What the output does not explain of the input: Oja's residual, x - W' y.
            residual = pre - carried[:, :, :1]
            up = torch.cat([coefficients * post, self._down * error], dim=2)
            read = torch.cat([residual, pre.expand_as(residual)], dim=2)
            changes.append((weight, up, read))
            if self.feedback is None:
                error = carried[:, :, 1:]
            else:
                error = self.feedback[layer].mT @ error
            # The slope of softplus, read from its output as a synapse could read it.
            error = error * -torch.expm1(-SHARPNESS * pre)
        # All changes are computed before any weight moves.
        for weight, up, read in changes:
            weight.baddbmm_(up, read.mT)

    def _rates(self, x: Tensor) -> list[Tensor]:
        """Return the pixels, the rates of every hidden layer and the softmax, (.., units, 1)."""
        rates = [x[None, :, None]]
        for i, weight in enumerate(self.weights):
            drive = weight @ rates[-1]
            if i + 1 < len(self.weights):
                rates.append(softplus(drive, SHARPNESS))
            else:
                rates.append(drive.softmax(dim=1))
        return rates

    def _where_it_converges(self, rates: list[Tensor]) -> Tensor:
        """Return the coefficients, 0 for a network in which the rule would overshoot.

        In one layer is enough: the rule is left out of the whole step then.
        """
        decays = torch.stack([rate.square().sum(dim=(1, 2)) for rate in rates[1:]])
        # NaN is not below the limit, and a network that has diverged stays as it is.
        converges = self._coefficients * decays.amax(dim=0) < LIMIT
        return torch.where(converges, self._coefficients, 0.0)

    @torch.no_grad()
    def copy_to(self, models: Sequence[nn.Sequential]) -> None:
        """Give each model its weights."""
        for k, model in enumerate(models):
            for mine, weight in zip(model.parameters(), self.weights, strict=True):
                mine.copy_(weight[k])


@torch.no_grad()
def _stacked(models: Sequence[nn.Sequential]) -> list[Tensor]:
    """Return one tensor for each layer, (networks, post, pre)."""
    layers = zip(*(model.parameters() for model in models), strict=True)
    return [torch.stack([one.detach() for one in layer]) for layer in layers]
