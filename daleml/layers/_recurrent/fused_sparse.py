"""The recurrence of a layer with a sparse recurrent weight, by torch's compressed rows.

Units lie along rows through all steps, ``(units, sequences)``, as a sparse product reads and writes
them; and the gradient of the synapses is gathered over several steps at once, since each of
them costs two places in memory, however much is read there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from daleml._sparse_weights import Pattern
from daleml.layers._recurrent.dynamics_loop import dynamics_loop
from daleml.layers._recurrent.fused import INTO
from daleml.layers._recurrent.fused_gradients import THROUGH, gradients_by_running
from daleml.layers._recurrent.layer_sweep import LayerSweep, full_precision
from daleml.layers._recurrent.loop import advance
from daleml.layers._recurrent.nonlinearities import NONLINEARITIES
from daleml.layers._shared.functorch_tensors import is_batched
from daleml.layers._shared.sparse_product import (
    SparseMatrix,
    StepMatrix,
    runs_on_rows,
    times_rows,
)

_GATHERED = 64
"""Of about so many columns at once the gradient of the synapses is gathered.

Measured for 2.7 million synapses: 20 ms for 8 columns, 37 ms for 40.
"""


class _How(NamedTuple):
    """What a run takes beside tensors: where synapses lie, the nonlinearity, the sequences."""

    pattern: Pattern
    nonlinearity: str
    n_sequences: int


def run_sparse(
    x: Tensor,
    weight_ih: StepMatrix,
    bias: Tensor | None,
    weight_hh: StepMatrix,
    sweep: LayerSweep,
) -> tuple[Tensor, Tensor]:
    """Run one layer over all steps, one of whose weights is sparse at least.

    Shape:
        As :func:`daleml.layers._recurrent.dispatch.run`.
    """
    # In the precision of the weights, also under autocast: torch has no lower one for these.
    with full_precision(x):
        like = weight_hh.values if isinstance(weight_hh, SparseMatrix) else weight_hh
        x, state = x.to(like.dtype), sweep.state.to(like.dtype)
        sweep = sweep._replace(state=state)
        if sweep.dynamics is not None:
            return _run_dynamics(x, weight_ih, bias, weight_hh, sweep)
        leak = sweep.leak
        if leak is not None:
            scale = leak[:, None] if isinstance(leak, Tensor) else leak
            weight_ih, weight_hh = weight_ih * scale, weight_hh * scale
            bias = None if bias is None else bias * leak
        drive = times_rows(x, weight_ih, bias)
        if sweep.noise is not None:
            drive = drive + sweep.noise
        return _run(drive, weight_hh, sweep)


def _run_dynamics(
    x: Tensor,
    weight_ih: StepMatrix,
    bias: Tensor | None,
    weight_hh: StepMatrix,
    sweep: LayerSweep,
) -> tuple[Tensor, Tensor]:
    # Whoever has dynamics has told them of a step.
    assert sweep.dynamics is not None
    assert sweep.time is not None
    return dynamics_loop(
        x,
        weight_ih,
        bias,
        weight_hh,
        sweep.state,
        sweep.noise,
        sweep.dynamics,
        sweep.time,
        sweep.batch_sizes,
    )


def _run(
    drive: Tensor, weight_hh: StepMatrix, sweep: LayerSweep
) -> tuple[Tensor, Tensor]:
    """Run the steps of a layer, given what its input contributes."""
    state, keep, sizes = sweep.state, sweep.keep, sweep.batch_sizes
    kept = [keep] if isinstance(keep, Tensor) else []
    even = 0 < sizes[0] == sizes[-1]
    if isinstance(weight_hh, SparseMatrix) and isinstance(sweep.nonlinearity, str):
        values = weight_hh.values
        if even and runs_on_rows(values, drive, state, *kept):
            how = _How(weight_hh.pattern, sweep.nonlinearity, sizes[0])
            return _fused(drive, values, state, keep, how)

    def current(now: Tensor, rates: Tensor) -> Tensor:
        return now + times_rows(rates, weight_hh)

    return advance(drive, current, state, keep, sweep.f, sizes)


class _FusedSparse(torch.autograd.Function):
    """The loop's values and first derivatives, from the rates, with units along rows."""

    @staticmethod
    def forward(
        ctx: Any,
        drive: Tensor,
        values: Tensor,
        state: Tensor,
        keep: Tensor | float | None,
        how: _How,
    ) -> tuple[Tensor, Tensor]:
        into, matrix = INTO[how.nonlinearity], how.pattern.csr(values)
        rates = _in_columns(drive, how)
        running = state.t().contiguous()
        states = None
        # The gradient of what is kept needs the states, which the rates do not tell.
        if isinstance(keep, Tensor) and ctx.needs_input_grad[3]:
            states = torch.empty_like(rates)
        before = running if keep is None else NONLINEARITIES[how.nonlinearity](running)
        for step, now in enumerate(rates):
            received = torch.addmm(now, matrix, before)
            if keep is not None:
                running = running * _of_units(keep) + received
                received = running
            if states is not None:
                states[step] = running
            into(received, out=now)
            before = now
        last = before if keep is None else running
        kept = keep if isinstance(keep, Tensor) else None
        ctx.save_for_backward(drive, values, state, kept, rates, states)
        ctx.keep, ctx.how = None if kept is not None else keep, how
        # A gradient that is not asked for stays None, instead of a matrix of zeros.
        ctx.set_materialize_grads(False)
        return _in_rows(rates), last.t().contiguous()

    @staticmethod
    def backward(
        ctx: Any, grad_rates: Tensor | None, grad_last: Tensor | None
    ) -> tuple[Any, ...]:
        drive, values, state, kept, rates, states = ctx.saved_tensors
        keep, how, needed = (
            ctx.keep if kept is None else kept,
            ctx.how,
            ctx.needs_input_grad,
        )
        given = grad_rates, grad_last
        with full_precision(rates):
            # Gradients that are differentiated again, or come many at once, take the loop.
            if torch.is_grad_enabled() or any(map(is_batched, given)):
                run = functools.partial(_by_loop, how)
                found = gradients_by_running(
                    run, [drive, values, state, keep], given, needed
                )
                return (*found, None)
            grad = _carry_back(rates, values, keep, how, given)
            begun, through_ = state.t(), THROUGH[how.nonlinearity]
            if keep is not None:
                begun = NONLINEARITIES[how.nonlinearity](begun)
            of_values = of_state = of_keep = None
            if needed[1]:
                of_values = _of_synapses(grad, rates, begun, how)
            if needed[2]:
                of_state = how.pattern.transposed_csr(values) @ grad[0]
                if keep is not None:
                    through_(of_state, begun.contiguous())
                    of_state += grad[0] * _of_units(keep)
                of_state = of_state.t()
            if states is not None:
                of_keep = (grad[0] * state.t()).sum(1)
                of_keep += (grad[1:] * states[:-1]).sum((0, 2))
            return _in_rows(grad), of_values, of_state, of_keep, None


_fused: Callable[..., tuple[Tensor, Tensor]] = _FusedSparse.apply


def _by_loop(
    how: _How,
    drive: Tensor,
    values: Tensor,
    state: Tensor,
    keep: Tensor | float | None,
) -> tuple[Tensor, Tensor]:
    """Run the steps by the loop."""
    weight = SparseMatrix(values, how.pattern)

    def current(now: Tensor, rates: Tensor) -> Tensor:
        return now + times_rows(rates, weight)

    sizes = [how.n_sequences] * (len(drive) // how.n_sequences)
    f = NONLINEARITIES[how.nonlinearity]
    return advance(drive, current, state, keep, f, sizes)


def _carry_back(
    rates: Tensor,
    values: Tensor,
    keep: Tensor | float | None,
    how: _How,
    given: tuple[Tensor | None, Tensor | None],
) -> Tensor:
    """Return the gradient of what the nonlinearity is applied to, (steps, units, sequences)."""
    grad_rates, grad_last = given
    across, through_ = how.pattern.transposed_csr(values), THROUGH[how.nonlinearity]
    grad = (
        torch.zeros_like(rates) if grad_rates is None else _in_columns(grad_rates, how)
    )
    later = None
    for step in reversed(range(len(rates))):
        now = grad[step]
        ending = grad_last.t() if later is None and grad_last is not None else None
        if later is not None:
            now += across @ later
        # Without a leak the last state is a rate, whose gradient goes through f as well.
        if ending is not None and keep is None:
            now += ending
        through_(now, rates[step])
        if keep is not None and later is not None:
            now += later * _of_units(keep)
        elif keep is not None and ending is not None:
            now += ending
        later = now
    return grad


def _of_synapses(grad: Tensor, rates: Tensor, begun: Tensor, how: _How) -> Tensor:
    """Return the gradient of every synapse: of its ends, summed over steps and sequences."""
    n_steps, n_units, n_sequences = grad.shape
    at_once = max(1, _GATHERED // n_sequences)
    pattern = how.pattern
    found = pattern.csr(grad.new_zeros(pattern.size))
    for start in range(0, n_steps, at_once):
        stop = min(start + at_once, n_steps)
        before = rates[max(start - 1, 0) : stop - 1]
        if not start:
            before = torch.cat([begun[None], before])
        # Of one unit all columns lie together, which is how they are read.
        ends = [
            each.transpose(0, 1).reshape(n_units, -1)
            for each in (grad[start:stop], before)
        ]
        found = torch.sparse.sampled_addmm(found, ends[0], ends[1].t(), beta=1.0)
    return found.values()


def _in_columns(rows: Tensor, how: _How) -> Tensor:
    """Return rows as (steps, units, sequences), a copy."""
    steps = rows.reshape(-1, how.n_sequences, rows.shape[1]).transpose(1, 2)
    return steps.clone(memory_format=torch.contiguous_format)


def _in_rows(steps: Tensor) -> Tensor:
    """Return (steps, units, sequences) as rows, (steps * sequences, units)."""
    return steps.transpose(1, 2).reshape(-1, steps.shape[1])


def _of_units(keep: Tensor | float) -> Tensor | float:
    return keep[:, None] if isinstance(keep, Tensor) and keep.ndim else keep
