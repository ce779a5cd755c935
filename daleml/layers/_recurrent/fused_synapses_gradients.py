"""The backward pass of short-term plasticity over all steps at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from daleml.layers._recurrent.fused_gradients import THROUGH, GivenGradients
from daleml.layers._recurrent.nonlinearities import NONLINEARITIES

_CHUNK = 16_384
"""Values of a variable whose factors are computed at once: eight of them fit into a cache."""


class Ran(NamedTuple):
    """What a forward pass leaves behind, step after step.

    Attributes:
        rates: (rows, units).
        synapses: The store x and the unused part 1 - u, (2, rows, units).
        sent: What went through the synapses, (rows, units); empty before the first step.
    """

    rates: Tensor
    synapses: Tensor
    sent: Tensor


class SynapseRule(NamedTuple):
    """The numbers of a step.

    Attributes:
        use: What a rate takes of x and of 1 - u, (2, 1, units).
        kept: What is kept of both.
        added: What is added to both.
        alpha: The fraction of the state, or rate, that is replaced.
        nonlinearity: Its name.
        rectified: Whether the state is the rate, which leaks inside of the nonlinearity.
    """

    use: Tensor
    kept: Tensor
    added: Tensor
    alpha: Tensor | float
    nonlinearity: str
    rectified: bool

    def begin(self, state: Tensor) -> tuple[Tensor, Ran]:
        """Return the membrane's state, and rates and synapses, of a state."""
        membrane, x, u = state.chunk(3, dim=-1)
        rates = membrane
        if not self.rectified:
            rates = NONLINEARITIES[self.nonlinearity](membrane)
        return membrane, Ran(rates, torch.stack([x, 1 - u]), rates)

    def state_of(self, membrane: Tensor, rates: Tensor, synapses: Tensor) -> Tensor:
        """Return the state, its variables side by side."""
        first = rates if self.rectified else membrane
        return torch.cat([first, synapses[0], 1 - synapses[1]], dim=-1)

    def keep_(self, running: Tensor) -> Tensor:
        """Multiply by the fraction of the state that is kept."""
        return running.mul_(1 - self.alpha)

    def add_kept_(self, to: Tensor, what: Tensor) -> Tensor:
        """Add what is kept of a tensor."""
        if isinstance(self.alpha, Tensor):
            return to.addcmul_(what, 1 - self.alpha)
        return to.add_(what, alpha=1 - self.alpha)


class Factors(NamedTuple):
    """The derivatives of a step, of (x, 1 - u) where there are two.

    Attributes:
        sent_of_new: Of what is sent, in the new synapses.
        sent_of_rate: Of what is sent, in the rate.
        new_of_old: Of the new synapses, each in itself.
        store_of_unused: Of the new x, in the old 1 - u.
        new_of_rate: Of the new synapses, in the rate.
    """

    sent_of_new: Tensor
    sent_of_rate: Tensor
    new_of_old: Tensor
    store_of_unused: Tensor
    new_of_rate: Tensor

    def of_step(self, start: int, end: int) -> tuple[Tensor, ...]:
        """Return those of some rows."""
        return tuple(each[..., start:end, :] for each in self)


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
    scale = rule.alpha
    if isinstance(scale, Tensor):
        scale = scale[:, None]
    grad, grad_state = _carry_back(
        ran, weight_hh * scale, state, rule, batch_sizes, given
    )
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
        found[4] = grad_state
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
    """Return the gradients of what the nonlinearity is applied to, and of the first state."""
    grad_rates, grad_last = given
    rates = ran.rates
    if grad_rates is None:
        grad_rates = rates.new_zeros(()).expand_as(rates)
    if grad_last is None:
        grad_last = state.new_zeros(()).expand_as(state)
    through_ = THROUGH[rule.nonlinearity]
    _, before = rule.begin(state)
    # Where a sequence ends, going back begins with the gradient of its last state.
    of_last, of_x, of_u = grad_last.chunk(3, dim=-1)
    of_synapses = torch.stack([of_x, -of_u])
    grad = torch.empty_like(rates)
    of_old, spare = torch.empty_like(of_synapses), torch.empty_like(of_synapses)
    # `of_rate` reaches the rate of the step before through synapses, or as what is kept of it.
    of_rate, of_sent = torch.empty_like(of_last), torch.empty_like(of_last)
    n_later, later = 0, grad[:0]
    for n, rows, factors in _steps_back(ran, before, rule, batch_sizes):
        now, old = grad[rows], of_old[:, :n]
        if n > n_later:
            old[:, n_later:] = of_synapses[:, n_later:n]
            of_rate[n_later:n] = of_last[n_later:n] if rule.rectified else 0
        torch.add(grad_rates[rows], of_rate[:n], out=now)
        through_(now, rates[rows])
        if not rule.rectified:
            if n_later:
                rule.add_kept_(now[:n_later], later)
            if n > n_later:
                now[n_later:] += of_last[n_later:n]
        sent_of_new, sent_of_rate, new_of_old, store_of_unused, new_of_rate = factors
        sent = torch.mm(now, weight, out=of_sent[:n])
        old.addcmul_(sent_of_new, sent)
        back = torch.mul(sent, sent_of_rate, out=of_rate[:n])
        if rule.rectified:
            rule.add_kept_(back, now)
        back.addcmul_(old[0], new_of_rate[0]).addcmul_(old[1], new_of_rate[1])
        torch.mul(old, new_of_old, out=spare[:, :n])
        spare[1, :n].addcmul_(old[0], store_of_unused)
        of_old, spare = spare, of_old
        n_later, later = n, now
    first = of_rate
    if not rule.rectified:
        through_(first, before.rates)
        rule.add_kept_(first, later)
    return grad, torch.cat([first, of_old[0], -of_old[1]], dim=-1)


def _steps_back(
    ran: Ran, before: Ran, rule: SynapseRule, batch_sizes: tuple[int, ...]
) -> Iterator[tuple[int, slice, tuple[Tensor, ...]]]:
    """Yield the number of rows of each step, which they are, and its derivatives, from the last."""
    for first, n_steps, n, previous in reversed(_chunks(batch_sizes, ran.rates)):
        rows = slice(first, first + n_steps * n)
        rates, synapses = before.rates, before.synapses
        if previous is not None:
            rows_before = slice(previous, previous + n_steps * n)
            rates, synapses = ran.rates[rows_before], ran.synapses[:, rows_before]
        factors = _factors(rates, synapses, ran.synapses[:, rows], rule)
        for i in reversed(range(n_steps)):
            start, end = i * n, (i + 1) * n
            now = slice(first + start, first + end)
            yield n, now, factors.of_step(start, end)


def _chunks(
    batch_sizes: tuple[int, ...], rates: Tensor
) -> list[tuple[int, int, int, int | None]]:
    """Divide the steps into runs of one size, whose steps before are rows in one piece too.

    Returns:
        Of each run the first row, the number of steps, that of rows in each, and the first row
        of the step before; None for the first step.
    """
    most = max(1, _CHUNK // max(1, batch_sizes[0] * rates.shape[1]))
    found: list[tuple[int, int, int, int | None]] = [(0, 1, batch_sizes[0], None)]
    row, previous = batch_sizes[0], 0
    for i in range(1, len(batch_sizes)):
        n = batch_sizes[i]
        first, n_steps, size, before = found[-1]
        # The rows before a second step are the first step, which the rows before that must adjoin.
        adjoins = before is not None and before + size == first
        if adjoins and n == size and n_steps < most:
            found[-1] = (first, n_steps + 1, size, before)
        else:
            found.append((row, 1, n, previous))
        previous, row = row, row + n
    return found


def _factors(rates: Tensor, old: Tensor, new: Tensor, rule: SynapseRule) -> Factors:
    """Return the derivatives of steps, given rates and synapses before, and synapses after."""
    x, unused = old
    used = 1 - unused
    change = rates * rule.use
    store_of_unused = change[0] * x
    change[0].mul_(used)
    new_of_old = torch.sub(rule.kept, change, out=change)
    new_of_rate = torch.stack([used.mul_(x), unused]).mul_(rule.use).neg_()
    _stop_at_bounds_(old, new_of_old, store_of_unused, new_of_rate, rule)
    used_after = 1 - new[1]
    sent_of_new = torch.stack([used_after, new[0]]).mul_(rates)
    sent_of_new[1].neg_()
    sent_of_rate = used_after.mul_(new[0])
    return Factors(sent_of_new, sent_of_rate, new_of_old, store_of_unused, new_of_rate)


def _stop_at_bounds_(
    old: Tensor,
    new_of_old: Tensor,
    store_of_unused: Tensor,
    new_of_rate: Tensor,
    rule: SynapseRule,
) -> None:
    """Set to zero the derivatives of what was clipped to [0, 1]."""
    unclipped = torch.addcmul(rule.added, old, new_of_old)
    # What reaches a bound but for rounding, as a full store does at rest, is not clipped.
    slack = 8 * torch.finfo(old.dtype).eps
    lowest, highest = torch.aminmax(unclipped)
    if bool(lowest >= -slack) and bool(highest <= 1 + slack):
        return
    free = ((unclipped >= -slack) & (unclipped <= 1 + slack)).to(old.dtype)
    new_of_old.mul_(free)
    new_of_rate.mul_(free)
    store_of_unused.mul_(free[0])
