r"""The recurrence of one layer over whole sequences, by the fastest way that can run it.

:mod:`daleml.layers._recurrent.fused` runs the layers that it can,
:mod:`daleml.layers._recurrent.loop` the others.

Sequences that advance together are rows of one matrix, step after step, ``(rows, units)``;
``batch_sizes`` says how many rows each step has, as in ``torch.nn.utils.rnn.PackedSequence``:
they may only become fewer. With no leak the state is the rate itself,

.. math:: r_t = f(U u_t + W r_{t-1} + b + \eta_t),

and with a fraction :math:`k` of the state kept from step to step (:math:`U`, :math:`W` and
:math:`b` holding the factor :math:`1 - k` already)

.. math:: x_t = k\, x_{t-1} + U u_t + W r_{t-1} + b + \eta_t, \qquad r_t = f(x_t).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import forward_ad

from daleml.layers._recurrent.circuit import Circuit
from daleml.layers._recurrent.dynamics_loop import dynamics_loop
from daleml.layers._recurrent.fused import fused
from daleml.layers._recurrent.fused_rate import fused_rate
from daleml.layers._recurrent.fused_sparse import run_sparse
from daleml.layers._recurrent.fused_synapses import fused_synapses
from daleml.layers._recurrent.kept_leak import Step
from daleml.layers._recurrent.layer_sweep import LayerSweep, is_lowered, lowered
from daleml.layers._recurrent.loop import loop
from daleml.layers._recurrent.native import is_native, native
from daleml.layers._shared.acting_parameters import acting
from daleml.layers._shared.exporting import is_exporting
from daleml.layers.dynamics import (
    Dynamics,
    MembraneLeak,
    RateLeak,
    RectifiedLeak,
    ShortTermPlasticity,
    TimeStep,
)


def advance_layer(
    circuit: Circuit,
    suffix: str,
    rows: Tensor,
    state: Tensor | None,
    sizes: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """Run one layer of a circuit over all steps.

    Args:
        circuit: The circuit.
        suffix: The end of the names of the layer's parameters.
        rows: What the layer reads, (rows, inputs).
        state: Where each sequence begins; None for where the circuit begins.
        sizes: Number of sequences that take part in each step.

    Returns:
        Rates (rows, units), and the last state of each sequence.
    """
    if torch.compiler.is_compiling() and not is_exporting():
        # Compiling would unroll every step, and take minutes.
        advance = torch.compiler.disable(_advance_layer)  # type: ignore[no-untyped-call]
        result = advance(circuit, suffix, rows, state, sizes)
        return cast("tuple[Tensor, Tensor]", result)
    return _advance_layer(circuit, suffix, rows, state, sizes)


def _advance_layer(
    circuit: Circuit,
    suffix: str,
    rows: Tensor,
    state: Tensor | None,
    sizes: Sequence[int],
) -> tuple[Tensor, Tensor]:
    if circuit._is_stood_in():
        circuit._require_alike()
    if state is None:
        state = starting_state(circuit, suffix, rows, sizes[0])
    bias = noise = leak = keep = None
    if circuit.bias:
        bias = acting(circuit, f"bias_ih{suffix}") + acting(circuit, f"bias_hh{suffix}")
    step = circuit._step(rows) if circuit._leaks else None
    if step is not None:
        leak, keep = step.leak, step.keep
    if circuit.noise and circuit._is_noisy:
        noise = circuit._draw_noise(rows, step)
    dynamics = circuit._own_dynamics() if circuit._has_dynamics else None
    if circuit.rate_noise and circuit._is_noisy:
        dynamics = circuit._with_rate_noise(dynamics, rows, sizes)
    changes = None
    if circuit._perturbations:
        changes = circuit._changes(suffix, rows, len(sizes))
        bias = changes.with_current(bias)
        if changes.steps:
            dynamics = changes.around(dynamics or circuit._plain_dynamics())
    sweep = LayerSweep(state, noise, leak, circuit.nonlinearity, tuple(sizes), keep)
    if dynamics is not None:
        sweep = _under_dynamics(circuit, sweep, step, dynamics)
    wiring = circuit._wiring
    if wiring.shunting:
        rates, last = wiring.advance(circuit, suffix, rows, bias, sweep)
    else:
        weight_ih, weight_hh = circuit._step_matrices(suffix)
        if changes is not None:
            weight_hh = changes.without_cut(weight_hh)
        if isinstance(weight_ih, Tensor) and isinstance(weight_hh, Tensor):
            rates, last = run(rows, weight_ih, bias, weight_hh, sweep)
        else:
            rates, last = run_sparse(rows, weight_ih, bias, weight_hh, sweep)
    if changes is not None:
        rates, last = changes.silenced(rates, last, of_rates=not circuit._leaks)
    for look in tuple(circuit._layer_hooks.values()):
        look(suffix, rows, state, rates, sweep.batch_sizes)
    return rates, last


def _under_dynamics(
    circuit: Circuit, sweep: LayerSweep, step: Step | None, dynamics: Dynamics
) -> LayerSweep:
    """Return how a layer runs under dynamics given as an object, given how it would without."""
    time, noise = circuit._time_step(step), sweep.noise
    if noise is not None:
        # What dynamics receive is scaled by alpha later, or goes through the nonlinearity first.
        noise = noise / time.alpha
    return sweep._replace(
        noise=noise, leak=None, kept=None, dynamics=dynamics, time=time
    )


def starting_state(
    circuit: Circuit, suffix: str, rows: Tensor, n_sequences: int
) -> Tensor:
    """Return where sequences begin: the trained initial state, or zeros.

    Of dynamics with other variables, these begin where the dynamics say.
    """
    name = f"initial_state{suffix}"
    learned = None
    # `getattr` finds one that is parametrised, and is slow where nothing is found.
    if (
        circuit._parameters.get(name) is not None
        or getattr(circuit, name, None) is not None
    ):
        learned = acting(circuit, name).expand(n_sequences, -1)
    if circuit._has_dynamics:
        return circuit._starting_variables(rows, n_sequences, learned)
    if learned is None:
        return rows.new_zeros(n_sequences, circuit.hidden_size)
    return learned


def run(
    x: Tensor,
    weight_ih: Tensor,
    bias: Tensor | None,
    weight_hh: Tensor,
    sweep: LayerSweep,
) -> tuple[Tensor, Tensor]:
    """Run one layer over all steps, by the fused function where it can and by the loop elsewhere.

    Shape:
        ``x`` (rows, inputs), ``weight_ih`` (units, inputs), ``bias`` (units,), ``weight_hh``
        (units, units) -> rates (rows, units), last state of each sequence (sequences, units).
    """
    if sweep.dynamics is not None:
        return run_dynamics(x, weight_ih, bias, weight_hh, sweep)
    state, noise, leak, nonlinearity, batch_sizes, keep, *_ = sweep
    # Folded into the weights and the bias once, the leak costs no product at any step.
    if leak is not None:
        keep = sweep.keep
        scale = leak[:, None] if isinstance(leak, Tensor) else leak
        weight_ih, weight_hh = weight_ih * scale, weight_hh * scale
        bias = None if bias is None else bias * leak
    tensors = x, weight_ih, bias, weight_hh, state, noise
    kept = keep if isinstance(keep, Tensor) else None
    if not isinstance(nonlinearity, str) or _is_watched((*tensors, kept)):
        return loop(*tensors, keep, sweep.f, batch_sizes)
    # Torch raises when it is asked about autocast on the meta device.
    if x.is_meta or not torch.is_autocast_enabled(x.device.type):
        if is_native(x, noise, keep, nonlinearity, batch_sizes):
            return native(*tensors, keep, nonlinearity, batch_sizes)
        return fused(*tensors, keep, nonlinearity, batch_sizes)
    # All is lowered at once, as by `nn.RNN`; autocast alone would lower the products only.
    x, weight_ih, bias, weight_hh, state, noise, keep = lowered(*tensors, keep)
    with torch.autocast(x.device.type, enabled=False):
        within = LayerSweep(state, noise, None, nonlinearity, batch_sizes, keep)
        return run(x, weight_ih, bias, weight_hh, within)


def run_dynamics(
    x: Tensor,
    weight_ih: Tensor,
    bias: Tensor | None,
    weight_hh: Tensor,
    sweep: LayerSweep,
) -> tuple[Tensor, Tensor]:
    """Run one layer over all steps as :func:`run` does, under dynamics given as an object."""
    dynamics, time = cast("Dynamics", sweep.dynamics), cast("TimeStep", sweep.time)
    tensors = x, weight_ih, bias, weight_hh, sweep.state, sweep.noise
    # Under autocast only the loop leaves the state as precise as it is, and for one step, as of
    # a cell, it is the fastest.
    if len(sweep.batch_sizes) > 1 and not is_lowered(x):
        if type(dynamics) is RectifiedLeak:
            return _run_rectified(x, weight_ih, bias, weight_hh, sweep)
        fused_form = _fused_form(dynamics, time, sweep)
        if fused_form is not None and not _is_watched(tensors):
            named, sizes = sweep.nonlinearity, sweep.batch_sizes
            return fused_form(*tensors, dynamics, time, named, sizes)
    return dynamics_loop(*tensors, dynamics, time, sweep.batch_sizes)


def _run_rectified(
    x: Tensor,
    weight_ih: Tensor,
    bias: Tensor | None,
    weight_hh: Tensor,
    sweep: LayerSweep,
) -> tuple[Tensor, Tensor]:
    """Run a leak inside of the nonlinearity: a circuit without one, whose units keep a part.

    A rate is kept as by a synapse of a unit onto itself of the strength 1 - alpha.
    """
    alpha, noise = cast("TimeStep", sweep.time).alpha, sweep.noise
    scale: Tensor | float = alpha
    kept = torch.eye(len(weight_hh), dtype=weight_hh.dtype, device=weight_hh.device)
    if isinstance(alpha, Tensor):
        scale = alpha[:, None]
    weight_hh = weight_hh * scale + kept * (1 - scale)
    if noise is not None:
        noise = noise * alpha
    if bias is not None:
        bias = bias * alpha
    plain = sweep._replace(noise=noise, dynamics=None, time=None)
    return run(x, weight_ih * scale, bias, weight_hh, plain)


def _fused_form(
    dynamics: Dynamics, time: TimeStep, sweep: LayerSweep
) -> Callable[..., tuple[Tensor, Tensor]] | None:
    """Return the function that runs dynamics fast; None if there is none.

    It knows dynamics of exactly those classes: a subclass may do something else.
    """
    if not isinstance(sweep.nonlinearity, str):
        return None
    if isinstance(time.alpha, Tensor) and _is_learned(time.alpha):
        return None
    if type(dynamics) is RateLeak:
        return fused_rate
    if type(dynamics) is not ShortTermPlasticity:
        return None
    if type(dynamics.over) in (MembraneLeak, RectifiedLeak):
        return fused_synapses
    return None


def _is_watched(tensors: Sequence[Tensor | None]) -> bool:
    """Whether something looks on that wants to see every step.

    That is ``torch.func``, forward-mode derivatives, or what records operations.
    """
    if torch._C._are_functorch_transforms_active() or is_exporting():
        return True
    if torch._C._is_tracing():
        return True
    unpack: Any = forward_ad.unpack_dual
    return any(
        tensor is not None and unpack(tensor).tangent is not None for tensor in tensors
    )


def _is_learned(keep: Tensor) -> bool:
    """Whether the fraction that is kept wants a derivative."""
    if keep.requires_grad and torch.is_grad_enabled():
        return True
    return forward_ad.unpack_dual(keep).tangent is not None  # type: ignore[no-untyped-call]
