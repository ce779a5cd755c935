"""The rules over large tensors on a CPU, a cache-sized chunk at a time.

The functions take lists of tensors of one dtype where their namesakes in
:mod:`daleml.optim.rules` take one tensor, and a list of moments for each of ``states``. The
guard that keeps weights alive takes as long as the rest, so it is left out as long as no step
is long enough to need it, see :func:`~daleml.optim._fast.guarded_exp.exponentiate_`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from daleml.optim import rules
from daleml.optim._fast import scratch_rules
from daleml.optim._fast.chunks import pieces
from daleml.optim._fast.guarded_exp import Headroom, exponentiate_, times_sign
from daleml.optim.finite_steps import refuse_nan
from daleml.optim.rules import Adaptive, Descent

Lists = Sequence[Sequence[Tensor]]

# Elements: a weight, its gradient, its moments and the scratch stay in 2 MB.
_IN_CACHE = 1 << 16


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
    left = [math.inf] * len(weights)
    for piece in pieces([weights, *states], [grads], n_scratch=2):
        weight, *state = piece.changed
        spare, step = piece.scratch
        decaying = weight
        if options.weight_decay is not None:
            decaying = weight.sign()
        towards = scratch_rules.direction(piece.read[0], decaying, state, options, step)
        torch.mul(towards, -float(options.lr), out=step)
        exponent, reach = _signed(weight, step, spare)
        (i,) = piece.indices
        # The norm exceeds the longest component by far: that is measured where it matters.
        if reach > 0.01 * known[i]:
            reach = math.inf
        now = exponentiate_(
            weight, exponent, options.limits, headroom=known[i], reach=reach
        )
        left[i] = min(left[i], now)
    headroom.remember(weights, options.limits, left)


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
    if weight.numel() <= _IN_CACHE:
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
