"""The rules over large tensors on a CPU, a cache-sized chunk at a time.

The functions take lists of tensors of one dtype where their namesakes in
:mod:`daleml.optim.rules` take one tensor, and a list of moments for each of ``states``. The
guard that keeps weights alive takes as long as the rest, so it is left out as long as no step
is long enough to need it, see :func:`~daleml.optim._fast.guarded_exp.exponentiate_`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from daleml.optim import rules
from daleml.optim._fast import scratch_rules
from daleml.optim._fast.chunks import pieces
from daleml.optim._fast.guarded_exp import Headroom, exponentiate_
from daleml.optim.rules import Adaptive, Descent

Lists = Sequence[Sequence[Tensor]]


def mirror_(
    weights: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Lists,
    options: Descent,
    headroom: Headroom,
) -> None:
    """Take the step of :func:`daleml.optim.rules.mirror_`, under a potential that acts weight by weight."""
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
        exponent, reach = scratch_rules.eg_exponent(
            weight, piece.read[0], state, options, piece.scratch
        )
        (i,) = piece.indices
        # The norm exceeds the longest component by far: if it is much, that is measured.
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
        exponent, _ = scratch_rules.eg_adamw_exponent(
            weight, piece.read[0], state, options, piece.scratch
        )
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
