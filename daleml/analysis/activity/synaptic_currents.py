r"""Excitatory and inhibitory currents of each unit, and how they balance.

What a unit receives in a step is :math:`W s_{t-1} + U u_t + b`, where :math:`s` is what the units
send: their rates, or with short-term plasticity less. Each product is split by its sign.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from daleml import modules, require
from daleml._support.devices import on_the_cpu
from daleml.analysis.activity.constant_maps import Array
from daleml.analysis.activity.stepping import Stepper
from daleml.analysis.activity.trajectories import trajectory
from daleml.analysis.activity.unit_groups import Units, groups_of
from daleml.analysis.weights.effective_matrices import is_circuit


@dataclass(frozen=True, eq=False)
class Currents:
    r"""The currents of the units of a layer, by their sign and their source.

    Currents are (time, batch, units), or (time, units) of one sequence without a batch. What
    excites is positive, what inhibits negative. Noise is no part of them.

    Attributes:
        recurrent_exc: What excites, of what the layer itself sends.
        recurrent_inh: What inhibits of it.
        input_exc: What excites, of the input, or of what the layer below sends.
        input_inh: What inhibits of it.
        bias: The constant current, (units,).
        balance: Of each unit, :math:`|\bar E + \bar I| / (\bar E + |\bar I|)` of both means over
            steps and trials: 0 where they cancel, 1 where there is only one; NaN without any.
        tracking: Of each unit, the correlation of :math:`E` and :math:`-I` over steps and trials:
            near 1 where inhibition follows excitation; NaN where one does not vary.
        groups: The units of each population, by its name.
        layer: Which layer, from 0 on.

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> from daleml.layers import EIRNN
        >>> _ = torch.manual_seed(0)
        >>> rnn = EIRNN(3, Populations(40, 10), dt_ms=10, tau_ms=50)
        >>> result = currents(rnn, torch.rand(50, 4, 3))
        >>> sorted(result.pathways())
        ['E->E', 'E->I', 'I->E', 'I->I', 'input->E', 'input->I']
    """

    recurrent_exc: Tensor = field(repr=False)
    recurrent_inh: Tensor = field(repr=False)
    input_exc: Tensor = field(repr=False)
    input_inh: Tensor = field(repr=False)
    bias: Tensor = field(repr=False)
    balance: Array = field(repr=False)
    tracking: Array = field(repr=False)
    groups: dict[str, Units] = field(repr=False)
    layer: int
    _weight: Tensor = field(repr=False)
    _sent: Tensor = field(repr=False)

    @property
    def excitatory(self) -> Tensor:
        """All that excites, but for the bias."""
        return self.recurrent_exc + self.input_exc

    @property
    def inhibitory(self) -> Tensor:
        """All that inhibits, but for the bias."""
        return self.recurrent_inh + self.input_inh

    @property
    def net(self) -> Tensor:
        """The sum of all currents, the bias among them."""
        return self.excitatory + self.inhibitory + self.bias

    def source(self, population: str) -> Tensor:
        """Return what the units of one population send to every unit, both signs together.

        Args:
            population: The name of a population.

        Raises:
            ValueError: If there is none of that name.
        """
        if population not in self.groups:
            raise ValueError(
                f"`population` must be among {', '.join(self.groups)}; got"
                f" {population!r}."
            )
        units = torch.as_tensor(self.groups[population], device=self._weight.device)
        sent = self._sent.index_select(-1, units)
        return sent @ self._weight.index_select(1, units).T

    def pathways(self) -> dict[str, float]:
        """Return the mean current of each pathway, ``"PV->E"``, over units, steps and trials."""
        sources: dict[str, Tensor] = {}
        for name in self.groups:
            sources[name] = self.source(name)
        sources["input"] = self.input_exc + self.input_inh
        found = {}
        for name, current in sources.items():
            of_units = current.double().flatten(0, -2).mean(0).cpu().numpy()
            for target, units in self.groups.items():
                found[f"{name}->{target}"] = float(of_units[units].mean())
        return found

    def by_population(self) -> dict[str, dict[str, float]]:
        """Return the means of each population: E and I currents, bias, balance, tracking."""
        excitatory, inhibitory = _mean(self.excitatory), _mean(self.inhibitory)
        bias = self.bias.double().cpu().numpy()
        found = {}
        for name, units in self.groups.items():
            found[name] = {
                "excitatory": float(excitatory[units].mean()),
                "inhibitory": float(inhibitory[units].mean()),
                "bias": float(bias[units].mean()),
                "balance": _mean_known(self.balance[units]),
                "tracking": _mean_known(self.tracking[units]),
            }
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the measures as plain values, ready for JSON; what is not known is None."""
        by_population = {}
        for name, means in self.by_population().items():
            by_population[name] = {key: _known(value) for key, value in means.items()}
        return {
            "excitatory": _mean(self.excitatory).tolist(),
            "inhibitory": _mean(self.inhibitory).tolist(),
            "bias": self.bias.tolist(),
            "balance": [_known(value) for value in self.balance.tolist()],
            "tracking": [_known(value) for value in self.tracking.tolist()],
            "populations": {
                name: units.tolist() for name, units in self.groups.items()
            },
            "by_population": by_population,
            "pathways": self.pathways(),
            "layer": self.layer,
        }

    def __str__(self) -> str:
        lines = []
        for name, means in self.by_population().items():
            lines.append(
                f"{name}: excitation {means['excitatory']:.3g}, inhibition"
                f" {means['inhibitory']:.3g}, balance {means['balance']:.2f}, tracking"
                f" {means['tracking']:.2f}"
            )
        return "\n".join(lines)


@on_the_cpu
def currents(
    rnn: nn.Module, inputs: Any, hx: Tensor | None = None, *, layer: int = -1
) -> Currents:
    r"""Split what each unit of a circuit receives into excitation and inhibition.

    .. math::
        E_{t,i} = \sum_j [W_{ij} s_{t-1,j}]_+ + \sum_j [U_{ij} u_{t,j}]_+, \qquad
        I_{t,i} = \sum_j [W_{ij} s_{t-1,j}]_- + \sum_j [U_{ij} u_{t,j}]_-

    Args:
        rnn: ``EIRNN``, ``DANNRNN``, ``nn.RNN``, a cell, or one of yours that has
            ``effective_weights``. It runs in the mode in which it is.
        inputs: Sequences as the module takes them, or trials of a task.
        hx: Where the sequences begin; default: where the module begins.
        layer: Which layer; default: the last.

    Returns:
        The currents, with their balance. No gradient flows through them.

    Raises:
        TypeError: If ``rnn`` is no such module, or ``inputs`` are no sequences.
        ValueError: If a shape is wrong, there is no such layer, the module has gates or a shunt,
            or it is perturbed now.

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> from daleml.layers import EIRNN
        >>> _ = torch.manual_seed(0)
        >>> rnn = EIRNN(3, Populations(80, 20), dt_ms=10, tau_ms=50)
        >>> result = currents(rnn, torch.rand(50, 4, 3))
        >>> result.balance.shape, sorted(result.by_population())
        ((100,), ['E', 'I'])
        >>> result.pathways()["I->E"] < 0 < result.pathways()["E->E"]
        True

    Notes:
        - What a unit receives is split by the sign of the current: where rates and inputs are not
          negative, that is the sign of the synapse.
        - In a Dale's ANN, whose inhibition is fed forward, the excitatory weight excites, and the
          product of both inhibitory ones inhibits.
    """
    if getattr(rnn, "is_perturbed", False):
        raise ValueError(
            "`rnn` must be outside of the block of a perturbation, whose cuts its weights do"
            " not show; got a circuit inside of one."
        )
    path = trajectory(rnn, inputs, hx)
    stepper = Stepper(rnn)
    n_layers = path.states.shape[1]
    which = require.integer("layer", layer, minimum=-n_layers)
    if which >= n_layers:
        raise ValueError(f"`layer` must be below {n_layers}; got {layer}.")
    which %= n_layers
    before = torch.cat([path.start[None], path.states[:-1]])[:, which]
    below = path.inputs
    if which:
        below = stepper.rates(path.states[:, which - 1])
    with torch.no_grad():
        sent = getattr(rnn, "transmitted", stepper.rates)(before)
        from_input, recurrent = _split_weights(rnn, which)
        input_exc, input_inh = _by_sign(from_input, below)
        recurrent_exc, recurrent_inh = _by_sign(recurrent, sent)
        bias = _bias(rnn, which, recurrent_exc[0])
    excitatory = input_exc + recurrent_exc
    inhibitory = input_inh + recurrent_inh
    return Currents(
        recurrent_exc,
        recurrent_inh,
        input_exc,
        input_inh,
        bias,
        _balance(excitatory, inhibitory),
        _tracking(excitatory, inhibitory),
        groups_of(rnn, recurrent_exc.shape[-1]),
        which,
        recurrent[0] - recurrent[1],
        sent,
    )


def _split_weights(
    rnn: nn.Module, layer: int
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return of the input's and the recurrent weight what excites and what inhibits.

    Both parts are non-negative where the signs of synapses are; the second is subtracted.
    """
    if not is_circuit(rnn):
        raise ValueError(
            "`rnn` must have one recurrent weight and no gates, so that it has currents; got"
            f" {type(rnn).__name__}."
        )
    if getattr(rnn, "shunting", False):
        raise ValueError(
            "`rnn` must have currents that add up; got one whose inhibition also divides."
        )
    found = {}
    for one in modules.synaptic_weights(rnn):
        if one.layer != layer:
            continue
        weight = modules.effective(rnn, one).detach()
        inhibition = torch.zeros_like(weight)
        # A Dale's ANN says of which parts its weight is the difference.
        if len(one.parts) == 2:
            to_inhibition, from_inhibition = (getattr(rnn, name) for name in one.parts)
            inhibition = from_inhibition.detach() @ to_inhibition.detach()
        found[one.recurrent] = weight + inhibition, inhibition
    return found[False], found[True]


def _by_sign(parts: tuple[Tensor, Tensor], sent: Tensor) -> tuple[Tensor, Tensor]:
    """Return the positive and the negative currents that weights make of what is sent."""
    direct, subtracted = parts
    above, below = sent.clamp(min=0), sent.clamp(max=0)
    positive, negative = direct.clamp(min=0), direct.clamp(max=0)
    excites = above @ positive.T + below @ negative.T - below @ subtracted.T
    inhibits = below @ positive.T + above @ negative.T - above @ subtracted.T
    return excites, inhibits


def _bias(rnn: nn.Module, layer: int, like: Tensor) -> Tensor:
    """Return the constant current of the units of a layer."""
    total = torch.zeros_like(like.flatten(0, -2)[0] if like.ndim > 1 else like)
    for kind in ("ih", "hh"):
        for name in (f"bias_{kind}_l{layer}", f"bias_{kind}"):
            one = getattr(rnn, name, None)
            if isinstance(one, Tensor):
                total = total + one.detach()
                break
    return total


def _mean(current: Tensor) -> Array:
    """Return the mean of a current over steps and trials, for each unit."""
    found: Array = current.double().flatten(0, -2).mean(0).cpu().numpy()
    return found


def _balance(excitatory: Tensor, inhibitory: Tensor) -> Array:
    """Return how much is left of both mean currents together, of their sum of sizes."""
    e, i = _mean(excitatory), _mean(inhibitory)
    with np.errstate(invalid="ignore"):
        found: Array = np.abs(e + i) / (np.abs(e) + np.abs(i))
    return found


def _tracking(excitatory: Tensor, inhibitory: Tensor) -> Array:
    """Return the correlation of excitation and inhibition of each unit."""
    e = excitatory.double().flatten(0, -2).cpu().numpy()
    i = -inhibitory.double().flatten(0, -2).cpu().numpy()
    e, i = e - e.mean(0), i - i.mean(0)
    with np.errstate(invalid="ignore"):
        found: Array = (e * i).sum(0) / np.sqrt((e**2).sum(0) * (i**2).sum(0))
    return found


def _mean_known(values: Array) -> float:
    """Return the mean of what is known; NaN if nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
