"""What keeps the activity of a circuit moderate as it is built: it neither explodes nor dies.

A circuit whose activity is moderate as it was drawn keeps every bit; what is mended is rare.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from daleml.layers import init
from daleml.layers._shared.acting_parameters import is_scalable, rewritten_or_none
from daleml.layers.init import sparse_spectra
from daleml.layers.init.largest_eigenvalue import largest_modulus

GROWING = 0.98
"""The rectified radius from which on a recurrent weight is scaled down, to ``CONTAINED``."""
CONTAINED = 0.95
"""The rectified radius of a recurrent weight that was scaled down."""
HIGHEST_RATE = 10.0
"""The mean rate of an upper layer above which what it reads is scaled down."""
LOWEST_RATE = 5e-3
"""The mean rate of an upper layer below which what it reads is scaled up."""
MODERATE_RATE = 1.0
FAINT_RATE = 0.1
"""To which mean rate that of an upper layer is scaled, from above and from below."""
FEWEST_ACTIVE = 0.3
"""The fraction of a layer's excitatory units that are active, at least, where layers follow."""

# The probe has so many steps, and a leak against oscillations that no input makes.
_STEPS, _LEAK = 100, 0.5
# A layer above is made at most so much more sensitive to the one below.
_MOST_GAIN = 10.0
# Each time, a fifth of the inhibition is taken away: after thirty, a thousandth is left.
_WEAKER, _MOST_TIMES = 0.8, 30

# Where units leak at different speeds, recurrent weights are taken down a tenth at a time. How
# states grow is measured from so many starts, over so many of the slowest time constant.
_SMALLER, _N_STARTS, _N_TAUS, _MOST_STEPS = 0.9, 8, 32, 512


@torch.no_grad()
def keep_moderate(circuit: Any) -> None:
    """Mend what was drawn, where activity would grow without end, or end between layers.

    A spectral radius that was asked for is kept. ``tanh`` is bounded by itself, and a shunt
    divides what grows.

    Args:
        circuit: A circuit whose weights were drawn.
    """
    if not is_unbounded(circuit):
        return
    contain(circuit)
    if len(circuit._suffixes) > 1:
        _pass_on(circuit)


def is_unbounded(circuit: Any) -> bool:
    """Whether nothing but weights that were drawn bounds the rates of a circuit with values."""
    if circuit.nonlinearity == "tanh" or circuit._wiring.shunting:
        return False
    # Synapses that are fixed at given strengths are no draw, and stay what they are.
    for path in circuit._paths:
        for part in circuit._wiring.parts(path.name):
            if not is_scalable(circuit, part):
                return False
    recurrent: Tensor = circuit._weights(circuit._suffixes[0]).recurrent
    return not recurrent.is_meta


@torch.no_grad()
def contain(circuit: Any) -> None:
    """Scale recurrent weights down in which rectified activity would grow.

    Those of a spectral radius that was asked for are left as they are.
    """
    if circuit.spectral_radius is not None or not is_unbounded(circuit):
        return
    for suffix in circuit._suffixes:
        _contain(circuit, suffix)


def _contain(circuit: Any, suffix: str) -> None:
    """Scale a recurrent weight down in which rectified activity would grow."""
    weight = circuit._weights(suffix).recurrent.detach()
    # What is not finite is refused where it is used, in a sentence of its own.
    if not _entries(weight).isfinite().all():
        return
    growth = init.rectified_radius(weight)
    if growth > GROWING:
        circuit._wiring.scale_(circuit, f"hh{suffix}", CONTAINED / growth)
    leak = _unequal_leak(circuit)
    if leak is None:
        return
    # Inhibition that is slower than what it holds back comes too late, at any radius.
    for _ in range(_MOST_TIMES):
        weight = circuit._weights(suffix).recurrent.detach()
        growth = _leaky_growth(weight, leak)
        if growth <= 1 - (1 - GROWING) * float(leak.min()):
            return
        # What grows fast is far from the bound.
        factor = _SMALLER if growth < 1.2 else _SMALLER**3
        circuit._wiring.scale_(circuit, f"hh{suffix}", factor)


def _entries(weight: Tensor) -> Tensor:
    """Return the entries of a weight, of a sparse one those of its synapses."""
    return weight.values() if weight.layout == torch.sparse_csr else weight


def _unequal_leak(circuit: Any) -> Tensor | None:
    """Return the leak of each unit, float64 on the CPU, where units differ in it; else None."""
    leak = circuit.leak
    if not isinstance(leak, Tensor) or leak.ndim == 0 or leak.is_meta:
        return None
    leak = leak.detach().to("cpu", torch.float64)
    return None if bool((leak == leak[0]).all()) else leak


def _leaky_growth(weight: Tensor, leak: Tensor) -> float:
    r"""Return the factor per step by which states grow, in units that leak at their own speeds.

    .. math:: x_t = (1 - \alpha) x_{t-1} + \alpha W \max(0, x_{t-1})
    """
    if weight.layout == torch.sparse_csr:
        return sparse_spectra.leaky_growth(weight, leak, _N_TAUS, _MOST_STEPS)
    matrix = leak[:, None] * weight.to("cpu", torch.float64)
    generator = torch.Generator().manual_seed(0)
    like: dict[str, Any] = {"dtype": matrix.dtype, "device": "cpu"}
    state = torch.rand(len(leak), _N_STARTS, generator=generator, **like)
    # As long as the slowest unit needs, within reason: what is measured is the second half.
    n_steps = min(_MOST_STEPS, 8 * math.ceil(_N_TAUS / (8 * float(leak.min()))))
    # Half of the starts are without inhibition, which then lags behind.
    state[(matrix < 0).any(0), ::2] = 0
    growth = torch.zeros(_N_STARTS, **like)
    for step in range(1, n_steps + 1):
        state = (1 - leak[:, None]) * state + matrix @ state.clamp(min=0)
        size = state.norm(dim=0).clamp(min=torch.finfo(matrix.dtype).tiny)
        state /= size
        if step > n_steps // 2:
            growth += size.log()
    rectified = float((growth.max() / (n_steps - n_steps // 2)).exp())
    # Where all units are active, as they may be under a strong input, the map is linear.
    linear = largest_modulus(matrix + torch.diag(1 - leak))
    return max(rectified, linear)


def _pass_on(circuit: Any) -> None:
    """See to it that each layer excites the one above, moderately."""
    inputs = _probe(circuit.input_size)
    for layer, suffix in enumerate(circuit._suffixes):
        rates = _awake(circuit, suffix, inputs)
        # The input of the first layer is the user's, and so is its scale.
        if layer:
            factor = _gain(rates)
            if factor != 1:
                _scale_input(circuit, suffix, factor)
                rates = _rates(circuit, suffix, inputs)
        inputs = rates


def _gain(rates: Tensor) -> float:
    """Return the factor that makes the mean rate of an upper layer moderate; 1 if it is."""
    means = rates[_STEPS // 2 :].mean((0, 2))
    steady, highest = float(means[0]), float(means.max())
    # What is silent has no scale, nor has what is not finite.
    if not 0 < highest < float("inf"):
        return 1.0
    if highest > HIGHEST_RATE:
        return MODERATE_RATE / highest
    if steady >= LOWEST_RATE:
        return 1.0
    # Drives that cancel at the constant input need not do so at another one.
    most = max(1.0, MODERATE_RATE / highest)
    return min(FAINT_RATE / max(steady, FAINT_RATE / _MOST_GAIN), most)


def _awake(circuit: Any, suffix: str, inputs: Tensor) -> Tensor:
    """Return the rates of a layer; inhibition is weakened until some units that excite are active.

    Where an inhibitory unit is alone in being active, nothing above it ever is.
    """
    exciting = circuit.populations.exc
    if not circuit.populations.n_exc:
        exciting = slice(None)
    for attempt in range(_MOST_TIMES):
        rates = _rates(circuit, suffix, inputs)
        # At the constant input: what changes makes any unit active now and then.
        active = (rates[_STEPS // 2 :, 0, exciting] > 0).any(0)
        # A circuit without anything that excites it is silent by its structure.
        excited = _is_excited(circuit._weights(suffix).input.detach())[exciting]
        enough = FEWEST_ACTIVE * int(excited.sum())
        if int(active.sum()) >= enough:
            return rates
        circuit._wiring.weaken_inhibition_(circuit, f"ih{suffix}", _WEAKER)
        # A recurrent weight comes second: it may grow without what inhibits in it.
        if attempt >= _MOST_TIMES // 2:
            circuit._wiring.weaken_inhibition_(circuit, f"hh{suffix}", _WEAKER)
            contain(circuit)
    return _rates(circuit, suffix, inputs)


def _probe(n_inputs: int) -> Tensor:
    """Return the inputs that all initialisations assume: their mean, and themselves."""
    generator = torch.Generator().manual_seed(0)
    like: dict[str, Any] = {"dtype": torch.float64, "device": "cpu"}
    drawn = torch.randn(_STEPS, 2, n_inputs, generator=generator, **like)
    inputs = drawn.clamp(min=0)
    inputs[:, 0] = init.RECTIFIED_MEAN
    return inputs


def _scale_input(circuit: Any, suffix: str, factor: float) -> None:
    """Scale what a layer reads, with the bias that centres it."""
    circuit._wiring.scale_(circuit, f"ih{suffix}", factor)
    with rewritten_or_none(circuit, f"bias_ih{suffix}") as bias:
        if bias is not None:
            bias.mul_(factor)


def _rates(circuit: Any, suffix: str, inputs: Tensor) -> Tensor:
    """Return the rates of a layer that reads these, (steps, sequences, units)."""
    weights = circuit._weights(suffix)
    from_input, recurrent = (
        weight.detach().cpu().double() for weight in (weights.input, weights.recurrent)
    )
    drive = _times(inputs, from_input)
    if circuit.bias:
        for name in (f"bias_ih{suffix}", f"bias_hh{suffix}"):
            drive = drive + getattr(circuit, name).detach().cpu().double()
    state = torch.zeros_like(drive[0])
    found = []
    for now in drive:
        received = now + _times(circuit._f(state), recurrent)
        state = (1 - _LEAK) * state + _LEAK * received
        found.append(circuit._f(state))
    return torch.stack(found)


def _times(rates: Tensor, weight: Tensor) -> Tensor:
    """Return the product of a weight and rates, (..., pre) -> (..., post)."""
    if weight.layout == torch.sparse_csr:
        columns = rates.reshape(-1, rates.shape[-1]).T
        return (weight @ columns).T.reshape(*rates.shape[:-1], weight.shape[0])
    return rates @ weight.T


def _is_excited(weight: Tensor) -> Tensor:
    """Return which units have a synapse that excites them, boolean, on the CPU."""
    if weight.layout != torch.sparse_csr:
        return (weight > 0).any(1).cpu()
    starts = weight.crow_indices().long().cpu()
    n_before = torch.zeros(len(weight.values()) + 1, dtype=torch.int64)
    n_before[1:] = (weight.values() > 0).cumsum(0).cpu()
    return n_before[starts[1:]] > n_before[starts[:-1]]
