"""The steps of groups with ``euclidean=True``: those of torch's SGD and AdamW.

With the signature of :mod:`daleml.optim.rules`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from daleml.optim.finite_steps import refuse_nan
from daleml.optim.rules import Adaptive, Descent


def sgd_(
    weight: Tensor, grad: Tensor, state: Sequence[Tensor], options: Descent
) -> None:
    """Take the step of ``torch.optim.SGD``.

    Args:
        weight: Changed in place.
        grad: Left alone.
        state: The momentum, changed in place, or nothing where there is none.
        options: See :class:`~daleml.optim.rules.Descent`.

    Raises:
        DivergedError: If the gradient is NaN; the weight is as it was.
    """
    refuse_nan([grad])
    # torch makes a momentum that it is given as None.
    momenta: list[Tensor | None] = [None]
    if state and not options.fresh:
        momenta = [state[0]]
    sgd(
        [weight],
        [grad],
        momenta,
        lr=float(options.lr),
        momentum=options.momentum,
        dampening=options.dampening,
        weight_decay=options.weight_decay or 0.0,
        nesterov=options.nesterov,
        maximize=options.maximize,
        foreach=False,
    )
    if state and options.fresh and momenta[0] is not None:
        state[0].copy_(momenta[0])


def adamw_(
    weight: Tensor, grad: Tensor, state: Sequence[Tensor], options: Adaptive
) -> None:
    """Take the step of ``torch.optim.AdamW``.

    Args:
        weight: Changed in place.
        grad: Left alone.
        state: The moments, and with AMSGrad the largest second moment, changed in place.
        options: See :class:`~daleml.optim.rules.Adaptive`.

    Raises:
        DivergedError: If the gradient is NaN; the weight is as it was.
    """
    refuse_nan([grad])
    mean, square, *largest = state
    adamw(
        [weight],
        [grad],
        [mean],
        [square],
        largest,
        # torch counts the step itself.
        [torch.tensor(options.step_number - 1)],
        amsgrad=bool(largest),
        beta1=options.betas[0],
        beta2=options.betas[1],
        lr=options.lr,
        weight_decay=options.weight_decay,
        eps=options.eps,
        maximize=options.maximize,
        foreach=False,
    )
