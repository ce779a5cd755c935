"""Circuits whose synapses facilitate and depress, and their training on tasks of memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from daleml import signs
from daleml._support import seeds
from daleml.layers import EIRNN, Readout
from daleml.layers.dynamics import RectifiedLeak, ShortTermPlasticity
from daleml.optim import enforce
from daleml.populations import Populations
from daleml.reproductions.claim import Settings
from daleml.tasks import DirectionMatch, Trials

# The paper's, in ms and Hz: time constant of the units, noise of their state and of their inputs,
# and the rate that they begin with.
_TAU_MS, _NOISE, _INPUT_NOISE, _START = 100.0, 0.5, 0.1, 0.1
# The cost of activity in the loss, and the largest norm of the gradient of each parameter.
_RATE_COST, _CLIP = 0.02, 0.1


def build_task(rule: str, settings: Settings) -> DirectionMatch:
    """Return the task of a rule.

    Args:
        rule: Such as ``"DMS"``.
        settings: ``dt_ms``, ``fixation_ms`` and ``grace_ms``.
    """
    # The task's noise is that of a step of 100 ms; the paper's is sqrt(2 tau / dt) of its own.
    input_noise = _INPUT_NOISE * math.sqrt(2 * _TAU_MS / 100)
    return DirectionMatch(
        rule=rule,
        fixation_ms=settings["fixation_ms"],
        grace_ms=settings["grace_ms"],
        fixate=True,
        input_noise=input_noise,
        dt_ms=settings["dt_ms"],
    )


@dataclass(frozen=True)
class Remembered:
    """What a circuit holds at one time of some trials.

    Attributes:
        rates: The rates of the units, (trials, units).
        store: What the synapses of each unit have in store, x, (trials, units).
        use: What they use of it, u, (trials, units).
    """

    rates: Tensor
    store: Tensor
    use: Tensor

    @property
    def efficacy(self) -> Tensor:
        """How strongly the synapses of each unit act, u x."""
        return self.use * self.store

    def shuffled(self, what: str, order: Tensor) -> Remembered:
        """Return the state in which trials have exchanged their rates, or their synapses.

        Args:
            what: ``"rates"`` or ``"synapses"``.
            order: Which trial each takes them from.
        """
        if what == "rates":
            return Remembered(self.rates[order], self.store, self.use)
        return Remembered(self.rates, self.store[order], self.use[order])

    def state(self) -> Tensor:
        """Return it as the state of a circuit, (1, trials, 3 units)."""
        return torch.cat([self.rates, self.store, self.use], dim=-1)[None]


class MemoryCircuit(nn.Module):
    """A circuit with short-term plasticity, and its readout.

    Args:
        task: The task.
        settings: ``units``, of which a fifth inhibits.
        generator: Source of the weights.
        noise: Source of the noise of trials.
    """

    def __init__(
        self,
        task: DirectionMatch,
        settings: Settings,
        generator: torch.Generator,
        noise: torch.Generator,
    ) -> None:
        super().__init__()
        pops = Populations.split(int(settings["units"]))
        synapses = ShortTermPlasticity.alternating(pops, over=RectifiedLeak())
        self.rnn = EIRNN(
            task.n_inputs,
            pops,
            dt_ms=task.dt_ms,
            tau_ms=_TAU_MS,
            noise=_NOISE,
            noise_in_eval=True,
            train_initial_state=True,
            dynamics=synapses,
            generator=noise,
        )
        self.readout = Readout(pops, task.n_outputs, generator=generator)
        self._draw(pops, generator)

    @torch.no_grad()
    def _draw(self, pops: Populations, generator: torch.Generator) -> None:
        """Draw the weights from gamma distributions, as the paper does."""
        seed = int(torch.randint(2**31, (1,), generator=generator))
        rng = np.random.default_rng(seed)
        recurrent = rng.gamma(0.1, 1.0, (pops.size, pops.size))
        inhibitory = np.zeros(pops.size, dtype=bool)
        inhibitory[pops.inh] = True
        either = inhibitory[:, None] | inhibitory
        stronger = rng.gamma(0.2, 1.0, recurrent.shape)
        recurrent = np.where(either, stronger, recurrent)
        np.fill_diagonal(recurrent, 0.0)
        weights = {
            "weight_hh_l0": torch.tensor(recurrent) * pops.signs(),
            "weight_ih_l0": torch.tensor(
                rng.gamma(0.2, 1.0, (pops.size, self.rnn.input_size))
            ),
        }
        for name, value in weights.items():
            self.rnn.get_parameter(name).copy_(value)
        for name in ("bias_ih_l0", "bias_hh_l0"):
            self.rnn.get_parameter(name).zero_()
        self.rnn.get_parameter("initial_state_l0").fill_(_START)

    def forward(
        self, inputs: Tensor, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return outputs, rates and the last state, from the start of trials or from a state."""
        rates, last = self.rnn(inputs, state)
        return self.readout(rates), rates, last

    def remember(
        self, inputs: Tensor, before: Remembered | None = None
    ) -> tuple[Tensor, Remembered]:
        """Return the outputs of some steps of trials, and what is held after them.

        Args:
            inputs: The steps, (time, trials, inputs).
            before: What is held before them; default: the start of the trials.
        """
        state = None if before is None else before.state()
        outputs, _, last = self(inputs, state)
        # The rates, then what the synapses have and what they use of it: `rnn.state_names`.
        rates, store, use = last[0].chunk(3, dim=-1)
        return outputs, Remembered(rates, store, use)


def train_circuit(
    rule: str, seed: int, settings: Settings
) -> tuple[MemoryCircuit, float]:
    """Train a circuit on a task; return it, and its accuracy in the last steps of training.

    Args:
        rule: The rule of the task.
        seed: Of everything.
        settings: ``updates``, ``batch``, ``lr``, and those of the task and the circuit.
    """
    task = build_task(rule, settings)
    draws = seeds.generator(seed, 1)
    circuit = MemoryCircuit(task, settings, draws, seeds.generator(seed, 2))
    optimizer = torch.optim.Adam(circuit.parameters(), settings["lr"])
    enforce(optimizer, circuit)
    right = []
    for _ in range(settings["updates"]):
        trials = task.sample(settings["batch"], generator=draws)
        outputs, rates, _ = circuit(trials.inputs)
        loss = task.loss(outputs, trials) + _RATE_COST * rates.square().mean()
        optimizer.zero_grad()
        loss.backward()
        # As the paper does, each by itself.
        for parameter in circuit.parameters():
            nn.utils.clip_grad_norm_(parameter, _CLIP)
        optimizer.step()
        right.append(accuracy(outputs.detach(), trials))
    # A circuit that broke the law would be another circuit.
    signs.check(circuit).raise_for_violations()
    last = right[-settings["last"] :]
    return circuit, math.fsum(last) / len(last)


def accuracy(outputs: Tensor, trials: Trials) -> float:
    """Return the fraction of steps of the test in which the right answer is the strongest."""
    judged = trials.mask & (trials.targets > 0)
    answers = outputs.argmax(-1)
    return float((answers == trials.targets)[judged].double().mean())
