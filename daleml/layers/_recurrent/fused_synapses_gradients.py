"""The backward pass of short-term plasticity over all steps at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from daleml.layers._recurrent.fused_gradients import THROUGH, GivenGradients
from daleml.layers._recurrent.synapse_rule import Ran, SynapseRule


def synaptic_gradients(
    tensors: list[Any],
    rule: SynapseRule,
    ran: Ran,
    batch_sizes: tuple[int, ...],
    given: GivenGradients,
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """Return the gradient of each tensor that needs one, as ``gradients_from_rates`` does."""
    x, weight_ih, _, weight_hh, state, _ = tensors
    scaled = weight_hh * rule.of_rows()
    grad, of_state = _carry_back(ran, scaled, state, rule, batch_sizes, given)
    # Inputs, weights and noise act times alpha.
    grad *= rule.alpha
    found: list[Tensor | None] = [None] * len(tensors)
    if needed[0]:
        found[0] = grad.mm(weight_ih)
    if needed[1]:
        found[1] = grad.t().mm(x)
    if needed[2]:
        found[2] = grad.sum(0)
    if needed[3]:
        found[3] = grad.t().mm(ran.sent)
    if needed[4]:
        found[4] = of_state
    if needed[5]:
        found[5] = grad
    return found


def _carry_back(
    ran: Ran,
    weight: Tensor,
    state: Tensor,
    rule: SynapseRule,
    batch_sizes: tuple[int, ...],
    given: GivenGradients,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of what the nonlinearity is applied to, and of the first state.

    It goes through the steps from the last to the first. A sequence that ends early begins
    there, with the gradient of its last state.
    """
    of_rates, of_last = given
    carried = _Carried(of_last, state, rule)
    _, *begun = rule.begin(state)
    clipped = _may_be_clipped(ran, batch_sizes, begun[1], rule)
    through_, add_kept_ = THROUGH[rule.nonlinearity], rule.adder_of_kept()
    rectified, grad, mul = rule.rectified, torch.empty_like(ran.rates), torch.mul
    later, size, known = grad[:0], -1, None
    steps = _steps_back(ran, begun, batch_sizes, grad, of_rates)
    for now, outside, fired, h, new, old in steps:
        n = len(now)
        if n != size:
            pair, of_u, of_x, of_rate = carried.of_sequences(n)
            of_sent, a, used = (torch.empty_like(each) for each in (of_u, of_u, pair))
            b, c = used
            use, kept = rule.use.flip(0)[:, :n], rule.kept.flip(0)[:, :n]
            size = n
        # Sequences end after the step before, which has more rows.
        if len(h) > n:
            h, old = h[:n], old[:, :n]
        x_old, u_old = old
        if new is not known:
            x, u = new
        torch.add(outside, of_rate, out=now)
        through_(now, fired)
        if not rectified:
            carried.add_later_(now, later, add_kept_)
        torch.mm(now, weight, out=of_sent)
        # Through what is sent, u x r, to each of its factors.
        mul(of_sent, h, out=a)
        pair.addcmul_(new, a)
        mul(x, u, out=a)
        mul(of_sent, a, out=of_rate)
        if rectified:
            add_kept_(of_rate, now)
        if clipped:
            pair.mul_(_free(h, old, rule).flip(0))
        # Through the step of the synapses: b is of what a rate adds to u, c of what it takes of x.
        mul(pair, use, out=used)
        mul(c, x_old, out=a)
        of_rate.add_(b)
        b.add_(a)
        of_rate.addcmul_(b, u_old, value=-1)
        used.mul_(h)
        pair.mul_(kept)
        of_x.addcmul_(c, u_old, value=-1)
        of_u.sub_(b)
        # The step before is the next one here, and its synapses stand there already.
        later, known, x, u = now, old, x_old, u_old
    return grad, carried.to_first_state(begun[0], later)


def _steps_back(
    ran: Ran,
    begun: Sequence[Tensor],
    batch_sizes: tuple[int, ...],
    grad: Tensor,
    of_rates: Tensor | None,
) -> Iterator[tuple[Tensor, ...]]:
    """Return of each step, the last first, all that its derivatives are made of.

    These are the gradient to be written and that of the rates, the rates after and before, and
    the synapses after and before.
    """
    # One zero, seen as a matrix, where nobody asked for the rates.
    if of_rates is None:
        of_rates = grad.new_zeros(()).expand_as(grad)
    sizes, pairs = list(batch_sizes), ran.pairs(batch_sizes)
    rates = torch.split(ran.rates, sizes)
    every: tuple[Sequence[Tensor], ...] = (
        torch.split(grad, sizes),
        torch.split(of_rates, sizes),
        rates,
        (begun[0], *rates[:-1]),
        pairs,
        (begun[1], *pairs[:-1]),
    )
    return zip(*map(reversed, every), strict=True)


class _Carried:
    """The gradient of the state, as it is carried back from step to step.

    Use comes before the store, so that one operation pairs each with the other.
    """

    def __init__(
        self, of_last: Tensor | None, state: Tensor, rule: SynapseRule
    ) -> None:
        if of_last is None:
            of_last = state.new_zeros(()).expand_as(state)
        self._membrane, of_x, of_u = of_last.chunk(3, dim=-1)
        self._pair, self._rule = torch.stack([of_u, of_x]), rule
        self._rate = torch.zeros_like(self._membrane)
        if rule.rectified:
            self._rate.copy_(self._membrane)

    def of_sequences(self, n: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the gradients of u and x, together and one by one, and of the rates."""
        pair = self._pair[:, :n]
        return pair, pair[0], pair[1], self._rate[:n]

    def add_later_(
        self, now: Tensor, later: Tensor, add_kept_: Callable[[Tensor, Tensor], Tensor]
    ) -> None:
        """Add what reaches a state of the membrane past the nonlinearity."""
        n, n_later = len(now), len(later)
        if n == n_later:
            add_kept_(now, later)
            return
        add_kept_(now[:n_later], later)
        now[n_later:] += self._membrane[n_later:n]

    def to_first_state(self, rates: Tensor, later: Tensor) -> Tensor:
        """Return the gradient of the state that the first step began in."""
        of_first = self._rate
        if not self._rule.rectified:
            THROUGH[self._rule.nonlinearity](of_first, rates)
            self._rule.adder_of_kept()(of_first, later)
        return torch.cat([of_first, self._pair[1], self._pair[0]], dim=-1)


def _may_be_clipped(
    ran: Ran, batch_sizes: tuple[int, ...], first: Tensor, rule: SynapseRule
) -> bool:
    """Whether a step may have led out of [0, 1], where the synapses are kept."""
    # Negative rates fill a store, and may overfill it.
    if rule.nonlinearity == "tanh":
        return True
    # Elsewhere asking would wait for the device, at every step of training.
    if not ran.synapses.is_cpu:
        return True
    # Torch knows no smallest value of nothing, as of a batch without sequences.
    if not ran.synapses.numel():
        return False
    # Rates that are not negative lead from within to an empty store, or to a use of all of it.
    if bool(ran.synapses.amin() <= 0):
        return True
    if bool(first.amin() < 0) or bool(first.amax() > 1):
        return True
    if batch_sizes[0] == batch_sizes[-1]:
        n_units = ran.rates.shape[1]
        steps = ran.synapses.view(len(batch_sizes), 2, batch_sizes[0], n_units)
        return bool(steps[:, 1].amax() >= 1)
    return True


def _free(rates: Tensor, old: Tensor, rule: SynapseRule) -> Tensor:
    """Return 1 for synapses that a step left within [0, 1], and 0 where they were clipped."""
    use, kept, added = rule.of_sequences(len(rates))
    change = rates * use
    gained = change[1].clone()
    change[0].mul_(old[1])
    unclipped = torch.addcmul(added, old, kept - change)
    unclipped[1].add_(gained)
    # What reaches a bound but for rounding, as a full store does at rest, is not clipped.
    slack = 8 * torch.finfo(old.dtype).eps
    return ((unclipped >= -slack) & (unclipped <= 1 + slack)).to(old.dtype)
