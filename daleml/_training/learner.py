"""What ``train`` asks of a model at each batch and after each epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from daleml._support import class_answers
from daleml._training import training_inputs as inputs
from daleml.trackers import Tracker, read

Row = dict[str, Any]
"""A row of the history."""


class Learner:
    """The loss of a model, the clipping of its gradient, and the rows of its history.

    A model that learns otherwise, as an ensemble of several, has a method
    ``_dale_learner(loss, clip_norm)`` that returns a subclass. Its losses, and its numbers of right
    answers, are vectors then: one number for each member.

    Args:
        model: The model.
        loss: ``loss(outputs, targets)``, a scalar.
        clip_norm: Largest norm of the whole gradient, or None.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Any, Any], Tensor],
        clip_norm: float | None,
    ) -> None:
        self.model = model
        self.loss = loss
        self.clip_norm = clip_norm

    def require_optimizer(self, optimizer: Optimizer) -> None:
        """Raise if the model cannot learn by an optimiser."""

    def begin_epoch(self, epoch: int) -> None:
        """Prepare for the batches of an epoch."""

    def after_step(self, optimizer: Optimizer) -> None:
        """Follow a step of the optimiser."""

    def end_epoch(self, optimizer: Optimizer) -> None:
        """Judge the model after the batches of an epoch."""

    def answer(self, x: Any) -> Any:
        """Return the model's outputs for the inputs of a batch."""
        return self.model(x)

    def losses(self, outputs: Any, targets: Any) -> Tensor:
        """Return the loss of a batch, (), or of each member, (members,).

        Their sum is descended, so that no member's gradient depends on how many there are.
        """
        value = inputs.scalar(self.loss(outputs, targets))
        return value if value.ndim == 0 else value.reshape(())

    def clip(self) -> None:
        """Limit the norm of the gradient, after the backward pass."""
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)

    def correct(self, outputs: Any, targets: Any) -> Tensor | None:
        """Return how many answers are right, () or (members,); None if they are no classes.

        The outputs are detached.
        """
        return class_answers.n_correct(outputs, targets)

    def rows(
        self, epoch: int, results: Mapping[str, Any], trackers: Mapping[str, Tracker]
    ) -> list[Row]:
        """Return the rows of an epoch: one, or one for each member.

        Args:
            epoch: The epoch's number; 0 before training.
            results: ``loss`` and, for classes, ``accuracy``: numbers, or arrays of one for each
                member.
            trackers: What else to record.
        """
        return [{"epoch": epoch, **results, **read(trackers, self.model)}]


def learner_of(
    model: nn.Module, loss: Callable[[Any, Any], Tensor], clip_norm: float | None
) -> Learner:
    """Return the learner that a model makes for itself, or the ordinary one."""
    make = getattr(type(model), "_dale_learner", None)
    if make is None:
        return Learner(model, loss, clip_norm)
    learner: Learner = make(model, loss, clip_norm)
    return learner
