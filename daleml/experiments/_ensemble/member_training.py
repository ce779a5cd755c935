"""How an ensemble learns under ``train``: each model's losses, clipping, history and divergence."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from daleml import law
from daleml._support import class_answers
from daleml._support.diverged import DivergedError
from daleml._training.learner import Learner, Row
from daleml.experiments._ensemble.losses_by_model import require_of_one
from daleml.trackers import Tracker, read

_COUPLING = ("LBFGS", "Adafactor", "Muon")
"""Optimisers whose step depends on norms over a parameter, which here is that of all models."""


class MemberLearner(Learner):
    """The losses of several models, their clipping, and the rows of their histories.

    A model whose loss, gradient or weights stop to be finite is lost: it goes back to how it was
    at the beginning of the epoch, and stays so. The others do not notice.

    Args:
        model: The ensemble.
        loss: The loss of one model.
        clip_norm: Largest norm of the gradient of each model, or None.
    """

    # An ensemble, which imports this file.
    model: Any

    def __init__(
        self,
        model: Any,
        loss: Callable[[Any, Any], Tensor],
        clip_norm: float | None,
    ) -> None:
        super().__init__(model, loss, clip_norm)
        require_of_one(loss, model)
        self._epoch = 0
        self._begun: list[Tensor] = []
        self._kept: list[list[tuple[Tensor, Tensor]]] = []
        self._known: list[bool] = model.diverged.tolist()
        self._fresh: list[str] = []

    @property
    def _parameters(self) -> list[Tensor]:
        return list(self.model.parameters())

    def require_optimizer(self, optimizer: Optimizer) -> None:
        """Raise if a step of the optimiser would mix the models."""
        kinds = {kind.__name__ for kind in type(optimizer).__mro__}
        for name in _COUPLING:
            if name in kinds:
                raise ValueError(
                    f"`optimizer` must step each weight by itself to train an ensemble; got"
                    f" {name}, whose steps depend on norms over all models: train its"
                    " models one after the other."
                )
        if self.model.lr_scales is not None and not _is_proportional(optimizer):
            raise ValueError(
                "`optimizer` must be SGD, EG or MirrorDescent without weight decay where"
                " `lr_scales` differ, so that steps are proportional to gradients; got"
                f" {type(optimizer).__name__}: train each rate by itself."
            )

    def begin_epoch(self, epoch: int) -> None:
        """Keep the weights, to which a model that is lost goes back."""
        self._epoch = epoch
        self._begun = [parameter.detach().clone() for parameter in self._parameters]
        # Such as running averages, which a loss that is not finite has moved already.
        self._kept = [
            [
                (buffer, buffer.clone())
                for name, buffer in member.named_buffers()
                if not name.endswith(law.BUFFERS)
            ]
            for member in self.model.members
        ]

    def losses(self, outputs: Any, targets: Any) -> Tensor:
        """Return the loss of each model, 0 for one that is lost."""
        losses: Tensor = self.model.losses(self.loss, outputs, targets)
        if not losses.requires_grad:
            raise ValueError(
                "`loss` must depend on what `model` learns; what it returned has no"
                " gradient."
            )
        self._lose(~losses.detach().isfinite())
        if losses.is_cpu and not any(self._known):
            return losses
        return torch.where(self.model.diverged, 0.0, losses)

    @torch.no_grad()
    def clip(self) -> None:
        """Limit the norm of each model's gradient, and take it from those that are lost."""
        gradients = [one.grad for one in self._parameters if one.grad is not None]
        if not gradients:
            return
        scales = self.model.lr_scales
        plain = self.clip_norm is None and scales is None
        if plain and not any(self._known) and gradients[0].is_cpu:
            # The cheapest look: one number, which is not finite where any is not.
            total = torch.stack(torch._foreach_norm(gradients)).sum()
            if math.isfinite(float(total)):
                return
        norms = [torch.linalg.vector_norm(one.flatten(1), dim=1) for one in gradients]
        of_each = torch.linalg.vector_norm(torch.stack(norms), dim=0)
        self._lose(~of_each.isfinite())
        factor = torch.ones_like(of_each)
        if self.clip_norm is not None:
            factor = (self.clip_norm / (of_each + 1e-6)).clamp(max=1.0)
        if scales is not None:
            # After clipping, which is of the gradient itself.
            factor = factor * factor.new_tensor(scales)
        lost = self.model.diverged
        for one in gradients:
            shape = (-1,) + (1,) * (one.ndim - 1)
            one.mul_(factor.view(shape)).masked_fill_(lost.view(shape), 0)

    def after_step(self, optimizer: Optimizer) -> None:
        """Put back what the optimiser moved of models that are lost."""
        if any(self._known):
            self._put_back(optimizer)

    def end_epoch(self, optimizer: Optimizer) -> None:
        """Look at all weights, and tell which models were lost in this epoch."""
        before = self._known
        unsound = torch.zeros_like(self.model.diverged)
        for parameter in self._parameters:
            unsound |= ~parameter.detach().isfinite().flatten(1).all(1)
        for k, kept in enumerate(self._kept):
            for buffer, begun in kept:
                # Some are infinite from the beginning, as masks of attention.
                unsound[k] |= (~buffer.isfinite() & begun.isfinite()).any()
        self._lose(unsound)
        self._known = self.model.diverged.tolist()
        if any(self._known):
            self._put_back(optimizer)
        if self._known != before or self._fresh:
            names = ", ".join(self._fresh or self._names(before))
            warnings.warn(
                f"`model` lost {names} in epoch {self._epoch}, where losses, gradients or"
                " weights were no longer finite: they stay as they were before it, and the"
                " others go on.",
                stacklevel=6,
            )
        self._fresh = []

    def _names(self, before: list[bool]) -> list[str]:
        pairs = zip(self.model.names, before, self._known, strict=True)
        return [name for name, was, now in pairs if now and not was]

    def _lose(self, wrong: Tensor) -> None:
        """Note which models are lost from now on."""
        if wrong.is_cpu and not bool(wrong.any()):
            return
        self.model.diverged.logical_or_(wrong)
        if wrong.is_cpu:
            before, self._known = self._known, self.model.diverged.tolist()
            self._fresh = self._fresh + self._names(before)
        if wrong.is_cpu and all(self._known):
            raise DivergedError(
                "`model` must keep a member that is finite; the losses, gradients or weights"
                f" of all {len(self._known)} were not in epoch {self._epoch}.",
                self._epoch,
            )

    @torch.no_grad()
    def _put_back(self, optimizer: Optimizer) -> None:
        lost = self.model.diverged
        for k, is_lost in enumerate(lost.tolist()):
            for buffer, begun in self._kept[k] if is_lost else ():
                buffer.copy_(begun)
        for parameter, begun in zip(self._parameters, self._begun, strict=True):
            parameter[lost] = begun[lost]
            for value in optimizer.state.get(parameter, {}).values():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    value[lost] = value[lost].nan_to_num(0.0, 0.0, 0.0)

    @torch.no_grad()
    def correct(self, outputs: Any, targets: Any) -> Tensor | None:
        """Return how many answers of each model are right; None if they are no classes."""
        if not isinstance(outputs, Tensor) or not outputs.ndim:
            return None
        if not class_answers.are_classes(outputs[0], targets):
            return None
        right: Tensor = (outputs.argmax(dim=-1) == targets).sum(dim=1)
        return right

    def rows(
        self, epoch: int, results: Mapping[str, Any], trackers: Mapping[str, Tracker]
    ) -> list[Row]:
        """Return one row for each model, by its seed or name; NaN for one that is lost."""
        found = []
        for k, (name, member) in enumerate(
            zip(self.model.names, self.model.members, strict=True)
        ):
            row: Row = {"epoch": epoch}
            if self.model.seeds is None:
                row["model"] = name
            else:
                row["seed"] = self.model.seeds[k]
            for key, value in results.items():
                is_one = isinstance(value, float)
                number = value if is_one else float(value[k])
                row[key] = math.nan if self._known[k] and not is_one else number
            found.append(row | read(trackers, member))
        return found


def _is_proportional(optimizer: Optimizer) -> bool:
    """Whether steps of an optimiser are proportional to gradients."""
    kinds = {kind.__name__ for kind in type(optimizer).__mro__}
    if not kinds & {"SGD", "EG", "MirrorDescent"}:
        return False
    return not any(group.get("weight_decay") for group in optimizer.param_groups)
