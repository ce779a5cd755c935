r"""The update rules: one step of exponentiated gradient, of mirror descent and of EGAdamW.

=================  =================================================================================
:func:`mirror_`    mirror descent under any potential
:func:`eg_`        exponentiated gradient: mirror descent under the negative entropy
:func:`eg_adamw_`  exponentiated gradient along AdamW's direction
=================  =================================================================================

Each changes one weight tensor in place, in plain operations of torch. This is what the
optimisers compute; ``daleml.optim._fast`` computes the same numbers sooner, and a test holds
that both agree for every option.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from daleml.optim.finite_steps import LONGEST_EXPONENT, bounded, kept_alive, refuse_nan
from daleml.potentials import NegativeEntropy, Potential

__all__ = ["Adaptive", "Descent", "eg_", "eg_adamw_", "mirror_"]

Number = float | Tensor
"""A float, or a tensor that broadcasts to the weight, such as one learning rate per weight."""

_ENTROPY = NegativeEntropy()


class Descent(NamedTuple):
    r"""The options of :func:`mirror_` and :func:`eg_`.

    Attributes:
        lr: :math:`\eta`.
        limits: The smallest and the largest magnitude that a weight may have, if it is not
            zero, see :func:`~daleml.optim.finite_steps.bounds`.
        potential: :math:`\phi`; :func:`eg_` does not read it.
        momentum: :math:`\mu`.
        dampening: :math:`d`.
        weight_decay: :math:`\lambda`; None for none.
        nesterov: Whether to step along :math:`u + \mu b` instead of :math:`b`.
        maximize: Whether to follow the gradient upwards.
        fresh: Whether the momentum holds nothing yet. It becomes :math:`u`, undamped, as in
            ``torch.optim.SGD``.

    Example:
        >>> Descent(lr=0.1, limits=(1e-37, 1e38), momentum=0.9).nesterov
        False
    """

    lr: Number
    limits: tuple[float, float]
    potential: Potential = _ENTROPY
    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float | None = None
    nesterov: bool = False
    maximize: bool = False
    fresh: bool = False


class Adaptive(NamedTuple):
    r"""The options of :func:`eg_adamw_`.

    Attributes:
        lr: :math:`\eta`.
        limits: As in :class:`Descent`.
        step_number: :math:`t`, the number of this step: 1 at the first.
        betas: :math:`(\beta_1, \beta_2)`.
        eps: :math:`\epsilon`.
        weight_decay: :math:`\lambda`.
        maximize: Whether to follow the gradient upwards.

    Example:
        >>> Adaptive(lr=0.1, limits=(1e-37, 1e38), step_number=1).betas
        (0.9, 0.999)
    """

    lr: Number
    limits: tuple[float, float]
    step_number: Number
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    maximize: bool = False


@torch.no_grad()
def mirror_(
    weight: Tensor, grad: Tensor, state: Sequence[Tensor], options: Descent
) -> None:
    r"""Take one step of mirror descent, in the dual coordinate of a potential.

    .. math::
        u = g + \lambda\, w\, \phi''(w), \qquad
        b \leftarrow \mu b + (1 - d)\, u, \qquad
        \nabla\phi(w) \leftarrow \nabla\phi(w) - \eta\, b

    Args:
        weight: :math:`w`, float32 or float64; changed in place.
        grad: :math:`g`; left alone.
        state: The momentum :math:`b`, changed in place, or nothing where there is none.
        options: See :class:`Descent`.

    Shape:
        ``grad`` and the momentum have the shape of ``weight``.

    Raises:
        DivergedError: If the step is NaN; the weight is as it was.

    Example:
        >>> from daleml.potentials import PNorm
        >>> weight, grad = torch.tensor([4.0, 1.0]), torch.tensor([7.0, 0.0])
        >>> mirror_(weight, grad, [], Descent(lr=1.0, limits=(1e-37, 1e38), potential=PNorm(3)))
        >>> weight  # 4² - 7 = 3²
        tensor([3., 1.])

    References:
        Nemirovski & Yudin 1983; Pogodin et al. 2024 (geometry of plasticity).
    """
    # Infinite gradients are bounded: the difference of two infinities would be NaN.
    potential, largest = options.potential, options.limits[1]
    direction = descent_direction(weight, grad, state, options)
    after = potential.step(weight, bounded(options.lr * direction, largest))
    refuse_nan([after])
    if potential.keeps_signs:
        weight.copy_(kept_alive(weight, after, options.limits))
    else:
        weight.copy_(bounded(after, largest))


@torch.no_grad()
def eg_(
    weight: Tensor, grad: Tensor, state: Sequence[Tensor], options: Descent
) -> None:
    r"""Take one step of exponentiated gradient.

    .. math::
        u = g + \lambda \operatorname{sign}(w), \qquad
        b \leftarrow \mu b + (1 - d)\, u, \qquad
        w \leftarrow w \exp(-\eta \operatorname{sign}(w)\, b)

    The exponent is kept where the exponential is finite: within ±88, in float64 ±709.

    Args:
        weight: :math:`w`, float32 or float64; changed in place.
        grad: :math:`g`; left alone.
        state: The momentum :math:`b`, changed in place, or nothing where there is none.
        options: See :class:`Descent`.

    Shape:
        ``grad`` and the momentum have the shape of ``weight``.

    Raises:
        DivergedError: If the step is NaN; the weight is as it was.

    Example:
        >>> weight, grad = torch.tensor([1.0, -1.0, 0.0]), torch.ones(3)
        >>> eg_(weight, grad, [], Descent(lr=0.5, limits=(1e-37, 1e38)))
        >>> weight
        tensor([ 0.6065, -1.6487,  0.0000])

    References:
        Kivinen & Warmuth 1997; Cornford et al. 2024 (EG paper).
    """
    direction = descent_direction(
        weight, grad, state, options._replace(potential=_ENTROPY)
    )
    # Beyond it the exponential is infinite, and a weight of zero times that is NaN.
    step = bounded(options.lr * direction, LONGEST_EXPONENT[weight.dtype])
    refuse_nan([step])
    after = _ENTROPY.step(weight, step)
    weight.copy_(kept_alive(weight, after, options.limits))


@torch.no_grad()
def eg_adamw_(
    weight: Tensor, grad: Tensor, state: Sequence[Tensor], options: Adaptive
) -> None:
    r"""Take one step of exponentiated gradient along AdamW's direction.

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g, \qquad
        v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \qquad
        w \leftarrow w \exp\Bigl(-\eta \lambda - \eta \operatorname{sign}(w)
            \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}\Bigr)

    Args:
        weight: :math:`w`, float32 or float64; changed in place.
        grad: :math:`g`; left alone.
        state: The moments :math:`m` and :math:`v`, changed in place. Third, if the largest
            :math:`v` so far is to divide (AMSGrad), that.
        options: See :class:`Adaptive`.

    Shape:
        ``grad`` and the moments have the shape of ``weight``.

    Raises:
        DivergedError: If the step is NaN; the weight is as it was.

    Example:
        >>> weight, moments = torch.tensor([1.0, -1.0]), torch.zeros(2, 2)
        >>> options = Adaptive(lr=0.1, limits=(1e-37, 1e38), step_number=1)
        >>> eg_adamw_(weight, torch.ones(2), list(moments), options)
        >>> weight
        tensor([ 0.9048, -1.1052])

    References:
        Cornford et al. 2024 (EG paper); Loshchilov & Hutter 2019, for AdamW.
    """
    mean, square, *largest = state
    beta1, beta2 = options.betas
    if options.maximize:
        grad = -grad
    mean.mul_(beta1).add_((1 - beta1) * grad)
    square.mul_(beta2).add_((1 - beta2) * grad * grad)
    if largest:
        square = torch.maximum(largest[0], square, out=largest[0])
    bias, root_bias = adam_corrections(options.betas, options.step_number)
    adam = (mean / bias) / (square.sqrt() / root_bias + options.eps)
    step = options.lr * adam
    refuse_nan([step])
    step = bounded(step, LONGEST_EXPONENT[weight.dtype])
    # In the dual coordinate decay goes along the sign, see NegativeEntropy.decay.
    shrunk = weight.sign() * (options.lr * options.weight_decay)
    after = _ENTROPY.step(weight, step + shrunk)
    weight.copy_(kept_alive(weight, after, options.limits))


def descent_direction(
    weight: Tensor, grad: Tensor, state: Sequence[Tensor], options: Descent
) -> Tensor:
    """Return the gradient with weight decay, by way of the momentum, as in torch.optim.SGD."""
    direction = -grad if options.maximize else grad
    # Before the momentum, as in torch.optim.SGD; AdamW's decay is apart from its moments.
    if options.weight_decay is not None:
        decay = options.potential.decay(weight)
        direction = direction + options.weight_decay * decay
    if not state:
        return direction
    (momentum,) = state
    if options.fresh:
        # Undamped, https://pytorch.org/docs/stable/generated/torch.optim.SGD.html
        momentum.copy_(direction)
    else:
        damped = (1 - options.dampening) * direction
        momentum.mul_(options.momentum).add_(damped)
    if options.nesterov:
        return direction + options.momentum * momentum
    return momentum


def mirror_rule(potential: Potential) -> Callable[..., None]:
    """Return the rule of mirror descent under a potential.

    A subclass of the negative entropy may step otherwise, and is asked.
    """
    if type(potential) is NegativeEntropy:
        return eg_
    return mirror_


def adam_corrections(
    betas: tuple[float, float], count: Number
) -> tuple[Number, Number]:
    r"""Return :math:`1 - \beta_1^t` and :math:`\sqrt{1 - \beta_2^t}`, the biases of step :math:`t`.

    Args:
        betas: :math:`(\beta_1, \beta_2)`.
        count: :math:`t`, 1 at the first step.

    Returns:
        What the first moment, and the root of the second, are to be divided by.

    Example:
        >>> adam_corrections((0.5, 0.75), 1)
        (0.5, 0.5)
    """
    beta1, beta2 = betas
    return 1 - beta1**count, (1 - beta2**count) ** 0.5
