"""The rules over large tensors on a CPU, a cache-sized chunk at a time.

The functions take lists of tensors of one dtype where their namesakes in
:mod:`daleml.optim.rules` take one tensor, and a list of moments for each of ``states``. The
guard that keeps weights alive takes as long as the rest, so it is left out as long as no step
is long enough to need it, see :func:`~daleml.optim._fast.guarded_exp.exponentiate_`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

import torch
from torch import Tensor

from daleml.optim import rules
from daleml.optim._fast import scratch_rules
from daleml.optim._fast.chunks import IN_CACHE, pieces, shaped_scratch
from daleml.optim._fast.guarded_exp import (
    ZERO,
    Headroom,
    exponentiate_,
    times_sign,
)
from daleml.optim.finite_steps import refuse_nan
from daleml.optim.rules import Adaptive, Descent

Lists = Sequence[Sequence[Tensor]]

# Of the headroom: the norm of a step exceeds its longest component by far, and where it is
# longer than this the component is measured.
_FAR = 0.01


def mirror_(
    weights: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Lists,
    options: Descent,
    headroom: Headroom,
) -> None:
    """Take the step of :func:`daleml.optim.rules.mirror_`; the potential acts weight by weight."""
    for piece in pieces([weights, *states], [grads]):
        weight, *state = piece.changed
        rules.mirror_(weight, piece.read[0], state, options)


def eg_(
    weights: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Lists,
    options: Descent,
    headroom: Headroom,
) -> None:
    """Take the step of :func:`daleml.optim.rules.eg_` on each weight.

    Args:
        weights: Changed in place. float32 or float64.
        grads: Left alone.
        states: The list of momenta, changed in place; nothing without momentum.
        options: As there.
        headroom: What is known of it, and is kept.
    """
    known = headroom.known(weights, options.limits)
    left = []
    for i, weight in enumerate(weights):
        state = [moments[i] for moments in states]
        if weight.numel() <= IN_CACHE and weight.is_contiguous():
            left.append(_short_eg_(weight, grads[i], state, options, known[i]))
        else:
            left.append(_long_eg_(weight, grads[i], state, options, known[i]))
    headroom.remember(weights, options.limits, left)


def _short_eg_(
    weight: Tensor,
    grad: Tensor,
    state: Sequence[Tensor],
    options: Descent,
    headroom: float,
) -> float:
    """Take a step of a weight that stays in cache, in five passes; return the headroom left.

    In the weight's own shape: making views takes as long as a pass.
    """
    sign, step, flat_sign, flat_step = shaped_scratch(
        threading.get_ident(), weight.dtype, weight.shape
    )
    rate = float(options.lr)
    torch.sign(weight, out=sign)
    towards = scratch_rules.direction(grad, sign, state, options, step)
    reach = math.inf
    if towards is not step:
        torch.addcmul(ZERO[weight.dtype], towards, sign, value=-rate, out=step)
        reach = math.sqrt(torch.dot(flat_step, flat_step).item())
    if not reach < math.inf:
        # Anew: an infinite step times the sign of a weight of zero is NaN.
        torch.mul(towards, -rate, out=step)
        _, reach = _signed(weight.view(-1), flat_step, flat_sign)
    if reach <= _FAR * headroom:
        weight.mul_(step.exp_())
        return headroom - 1.01 * reach  # 1 % for rounding
    return exponentiate_(weight.view(-1), flat_step, options.limits, headroom=headroom)


def _long_eg_(
    weight: Tensor,
    grad: Tensor,
    state: Sequence[Tensor],
    options: Descent,
    headroom: float,
) -> float:
    """Take a step of a weight chunk by chunk; return the headroom left."""
    left = math.inf
    rows = [[tensor] for tensor in (weight, *state)]
    for piece in pieces(rows, [[grad]], longest=IN_CACHE):
        part, *moments = piece.changed
        now = _short_eg_(part, piece.read[0], moments, options, headroom)
        left = min(left, now)
    return left


def eg_adamw_(
    weights: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Lists,
    options: Adaptive,
    headroom: Headroom,
) -> None:
    """Take the step of :func:`daleml.optim.rules.eg_adamw_` on each weight, as :func:`eg_` does."""
    rate = float(options.lr)
    longest = rate * adam_reach(options.betas, float(options.eps))
    known = headroom.known(weights, options.limits)
    left = [math.inf] * len(weights)
    for piece in pieces([weights, *states], [grads], n_scratch=2):
        weight, *state = piece.changed
        spare, step = piece.scratch
        scratch_rules.minus_adam_step_(piece.read[0], state, options, step)
        exponent, norm = _signed(weight, step, spare)
        if norm == math.inf:
            refuse_nan([exponent])
        (i,) = piece.indices
        now = exponentiate_(
            weight,
            exponent,
            options.limits,
            shrink=rate * float(options.weight_decay),
            headroom=known[i],
            reach=longest,
        )
        left[i] = min(left[i], now)
    headroom.remember(weights, options.limits, left)


def _signed(weight: Tensor, step: Tensor, spare: Tensor) -> tuple[Tensor, float]:
    """Return a step times the sign of the weight, and its norm; infinite where it is not known.

    In cache three cheap passes take less than the one of :func:`times_sign`.
    """
    if weight.numel() <= IN_CACHE:
        norm = math.sqrt(torch.dot(step, step).item())
        # An infinite step times the sign of a weight of zero would be NaN.
        if norm < math.inf:
            return step.mul_(torch.sign(weight, out=spare)), norm
    return times_sign(weight, step, out=step), math.inf


def adam_reach(betas: tuple[float, float], eps: float) -> float:
    r"""Return how long a component of Adam's direction can be at most, whatever the gradients.

    Infinite if it is unbounded.

    By the inequality of Cauchy and Schwarz, :math:`(1 - \beta_1) / \sqrt{(1 - \beta_2) (1 -
    \beta_1^2 / \beta_2)}`, and 1 at the first step. A positive ``eps`` keeps it so where the
    second moment underflows.
    """
    beta1, beta2 = betas
    if eps < 1e-12 or beta1**2 >= beta2:
        return math.inf
    return 1.01 * max(
        1.0, (1 - beta1) / math.sqrt((1 - beta2) * (1 - beta1**2 / beta2))
    )
