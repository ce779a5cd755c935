r"""The update rules as functions of lists of tensors, of one dtype and device.

The rules are those of :mod:`daleml.optim.rules`, which take one tensor. ``mirror_`` and
``eg_adamw_`` run in the form that is fastest on a CPU; ``eg_foreach_`` and
``eg_adamw_foreach_`` run an operation at a time over whole lists, for devices where a call
costs more than its memory traffic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, Unpack

import torch
from torch import Tensor

from daleml.optim._fast import forms, whole_lists
from daleml.optim._fast.chunked_rules import adam_reach
from daleml.optim._fast.guarded_exp import Headroom
from daleml.optim.rules import (
    Adaptive,
    Descent,
    Number,
    adam_corrections,
    mirror_rule,
)
from daleml.optim.rules import eg_adamw_ as _eg_adamw_
from daleml.potentials import Potential

__all__ = [
    "adam_corrections",
    "adam_reach",
    "eg_adamw_",
    "eg_adamw_foreach_",
    "eg_foreach_",
    "mirror_",
]


class EGOptions(TypedDict):
    """The options of :func:`eg_foreach_`, see :class:`daleml.optim.rules.Descent`."""

    lr: Number
    momentum: float
    dampening: float
    weight_decay: float | None
    nesterov: bool
    maximize: bool
    fresh: bool
    limits: tuple[float, float]


class MirrorOptions(EGOptions):
    """The options of :func:`mirror_`, see :class:`daleml.optim.rules.Descent`."""

    potential: Potential


class AdaptiveOptions(TypedDict):
    """The options of :func:`eg_adamw_foreach_`, see :class:`daleml.optim.rules.Adaptive`.

    ``corrections`` are those of :func:`adam_corrections`.
    """

    corrections: tuple[Number, Number]
    lr: Number
    betas: tuple[float, float]
    eps: float
    weight_decay: float
    maximize: bool
    limits: tuple[float, float]


class CountedOptions(AdaptiveOptions):
    """The options of :func:`eg_adamw_`: those, and the number of the step."""

    count: float


@torch.no_grad()
def mirror_(
    weights: Sequence[Tensor],
    grads: Sequence[Tensor],
    buffers: Sequence[Tensor],
    *,
    headroom: list[float] | None = None,
    **options: Unpack[MirrorOptions],
) -> None:
    r"""Take one step of :class:`~daleml.optim.MirrorDescent` on each weight.

    .. math::
        u = g + \lambda\, w\, \phi''(w), \qquad
        b \leftarrow \mu b + (1 - d)\, u, \qquad
        \nabla\phi(w) \leftarrow \nabla\phi(w) - \eta\, b

    Args:
        weights: Changed in place. float32 or float64.
        grads: Left alone.
        buffers: Momentum :math:`b`, one per weight, changed in place; empty without momentum.
        headroom: For each weight, by how much :math:`\ln |w|` may change before a limit is met,
            changed in place; None to guard every step.
        options: All of ``potential``, ``lr``, ``momentum``, ``dampening``, ``weight_decay``,
            ``nesterov``, ``maximize``, ``fresh`` and ``limits``, see
            :class:`daleml.optim.rules.Descent`.

    Shape:
        Each gradient and buffer has the shape of its weight.

    Raises:
        DivergedError: If a step on a CPU is NaN.

    Example:
        >>> import torch
        >>> from daleml.optim import functional
        >>> from daleml.potentials import PNorm
        >>> weight = torch.tensor([4.0, 1.0])
        >>> functional.mirror_(
        ...     [weight], [torch.tensor([7.0, 0.0])], [], potential=PNorm(3), lr=1.0,
        ...     momentum=0.0, dampening=0.0, weight_decay=None, nesterov=False,
        ...     maximize=False, fresh=False, limits=(1e-37, 1e38),
        ... )
        >>> weight  # 4² - 7 = 3²
        tensor([3., 1.])

    References:
        Nemirovski & Yudin 1983; Kivinen & Warmuth 1997; Cornford et al. 2024 (EG paper).
    """
    given = Descent(**options)
    rule = mirror_rule(given.potential)
    _step(rule, weights, grads, [buffers] if buffers else [], given, headroom)


@torch.no_grad()
def eg_adamw_(
    weights: Sequence[Tensor],
    grads: Sequence[Tensor],
    exp_avgs: Sequence[Tensor],
    exp_avg_sqs: Sequence[Tensor],
    max_exp_avg_sqs: Sequence[Tensor],
    *,
    headroom: list[float] | None = None,
    **options: Unpack[CountedOptions],
) -> None:
    r"""Take one step of :class:`~daleml.optim.EGAdamW` on each weight.

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g, \qquad
        v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \qquad
        w \leftarrow w \exp\Bigl(-\eta \lambda - \eta \operatorname{sign}(w)
            \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}\Bigr)

    Args:
        weights: Changed in place. float32 or float64.
        grads: Left alone.
        exp_avgs: First moments :math:`m`, changed in place.
        exp_avg_sqs: Second moments :math:`v`, changed in place.
        max_exp_avg_sqs: Largest second moments so far (AMSGrad), changed in place; empty
            without it.
        headroom: As in :func:`mirror_`.
        options: All of ``count``, ``corrections``, ``lr``, ``betas``, ``eps``,
            ``weight_decay``, ``maximize`` and ``limits``, see
            :class:`daleml.optim.rules.Adaptive` and :func:`adam_corrections`.

    Shape:
        Each gradient and moment has the shape of its weight.

    Raises:
        DivergedError: If a step on a CPU is NaN.

    Example:
        >>> import torch
        >>> from daleml.optim import functional
        >>> weight, mean, square = torch.tensor([1.0, -1.0]), torch.zeros(2), torch.zeros(2)
        >>> functional.eg_adamw_(
        ...     [weight], [torch.ones(2)], [mean], [square], [], count=1.0, lr=0.1,
        ...     corrections=functional.adam_corrections((0.9, 0.999), 1), betas=(0.9, 0.999),
        ...     eps=1e-8, weight_decay=0.0, maximize=False, limits=(1e-37, 1e38),
        ... )
        >>> weight
        tensor([ 0.9048, -1.1052])

    References:
        Cornford et al. 2024 (EG paper).
    """
    given = Adaptive(
        lr=options["lr"],
        limits=options["limits"],
        step_number=options["count"],
        betas=options["betas"],
        eps=options["eps"],
        weight_decay=options["weight_decay"],
        maximize=options["maximize"],
    )
    states = [exp_avgs, exp_avg_sqs]
    if max_exp_avg_sqs:
        states.append(max_exp_avg_sqs)
    _step(_eg_adamw_, weights, grads, states, given, headroom)


@torch.no_grad()
def eg_foreach_(
    weights: Sequence[Tensor],
    grads: Sequence[Tensor],
    buffers: Sequence[Tensor],
    **options: Unpack[EGOptions],
) -> None:
    r"""Take the step of :func:`mirror_` under the negative entropy, an operation at a time.

    .. math:: w \leftarrow w \exp(-\eta \operatorname{sign}(w)\, b)

    Args:
        weights: Changed in place. float32 or float64.
        grads: Left alone.
        buffers: As in :func:`mirror_`.
        options: As in :func:`mirror_`, without ``potential``.

    Shape:
        Each gradient and buffer has the shape of its weight.

    Raises:
        DivergedError: If a gradient on a CPU is NaN.

    Example:
        >>> import torch
        >>> from daleml.optim import functional
        >>> weight = torch.tensor([1.0, -1.0])
        >>> functional.eg_foreach_(
        ...     [weight], [torch.ones(2)], [], lr=0.1, momentum=0.0, dampening=0.0,
        ...     weight_decay=None, nesterov=False, maximize=False, fresh=False,
        ...     limits=(1e-37, 1e38),
        ... )
        >>> weight
        tensor([ 0.9048, -1.1052])

    References:
        Kivinen & Warmuth 1997; Cornford et al. 2024 (EG paper).
    """
    states = [buffers] if buffers else []
    whole_lists.eg_(list(weights), list(grads), states, Descent(**options))


@torch.no_grad()
def eg_adamw_foreach_(
    weights: Sequence[Tensor],
    grads: Sequence[Tensor],
    exp_avgs: Sequence[Tensor],
    exp_avg_sqs: Sequence[Tensor],
    max_exp_avg_sqs: Sequence[Tensor],
    **options: Unpack[AdaptiveOptions],
) -> None:
    r"""Take the step of :func:`eg_adamw_`, an operation at a time.

    .. math::
        w \leftarrow w \exp\Bigl(-\eta \lambda - \eta \operatorname{sign}(w)
            \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}\Bigr)

    Args:
        weights: Changed in place. float32 or float64.
        grads: Left alone.
        exp_avgs: As in :func:`eg_adamw_`.
        exp_avg_sqs: As in :func:`eg_adamw_`.
        max_exp_avg_sqs: As in :func:`eg_adamw_`.
        options: As in :func:`eg_adamw_`, without ``count``.

    Shape:
        Each gradient and moment has the shape of its weight.

    Raises:
        DivergedError: If a gradient on a CPU is NaN.

    Example:
        >>> import torch
        >>> from daleml.optim import functional
        >>> weight, mean, square = torch.tensor([1.0, -1.0]), torch.zeros(2), torch.zeros(2)
        >>> functional.eg_adamw_foreach_(
        ...     [weight], [torch.ones(2)], [mean], [square], [], lr=0.1,
        ...     corrections=functional.adam_corrections((0.9, 0.999), 1), betas=(0.9, 0.999),
        ...     eps=1e-8, weight_decay=0.0, maximize=False, limits=(1e-37, 1e38),
        ... )
        >>> weight
        tensor([ 0.9048, -1.1052])

    References:
        Cornford et al. 2024 (EG paper).
    """
    states = [exp_avgs, exp_avg_sqs]
    if max_exp_avg_sqs:
        states.append(max_exp_avg_sqs)
    given = Adaptive(
        lr=options["lr"],
        limits=options["limits"],
        step_number=1.0,
        betas=options["betas"],
        eps=options["eps"],
        weight_decay=options["weight_decay"],
        maximize=options["maximize"],
    )
    corrections = options["corrections"]
    whole_lists.eg_adamw_corrected_(
        list(weights), list(grads), states, given, corrections
    )


class _Given(Headroom):
    """Headroom that the caller keeps, in a list; None to know nothing."""

    def __init__(self, left: list[float] | None) -> None:
        super().__init__()
        self._list = left

    def known(
        self, weights: Sequence[Tensor], limits: tuple[float, float]
    ) -> list[float]:
        if self._list is None:
            return super().known(weights, limits)
        return self._list

    def remember(
        self,
        weights: Sequence[Tensor],
        limits: tuple[float, float],
        headroom: Sequence[float],
    ) -> None:
        if self._list is not None:
            self._list[:] = headroom


def _step(
    rule: forms.Rule,
    weights: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Sequence[Sequence[Tensor]],
    options: Descent | Adaptive,
    headroom: list[float] | None,
) -> None:
    """Step in chunks on a CPU, and tensor by tensor elsewhere."""
    if weights:
        group = {"fused": False, "foreach": False}
        lists = weights, grads, states
        forms.step_lists(rule, group, lists, options, _Given(headroom))
