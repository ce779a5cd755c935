"""A circuit of excitatory and inhibitory units with long-range excitation, and how it learns.

Inputs excite one group of units, "in"; another, "out", alone is read; no synapse joins these
two. What is decided must pass through the units of neither group, or through inhibition.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from daleml import Populations
from daleml._support import seeds
from daleml.layers import EIRNN, Blocks, EILinear
from daleml.optim import enforce
from daleml.reproductions.claim import Settings
from daleml.tasks import PerceptualDecision, Uniform

# The keys of two streams of random numbers of one seed: the circuit's and the trials'.
_CIRCUIT, _TRIALS = 1, 2


WIRING = Blocks({"in->out": 0, "out->in": 0}, default=1)
"""Which pathways exist within the circuit."""


class GroupReadout(nn.Module):
    """A readout of one excitatory group of a circuit, which projects to elsewhere.

    Args:
        group: Which units.
        n_outputs: How many outputs.
        generator: Source of the weights.
    """

    def __init__(
        self, group: slice, n_outputs: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.group = group
        n_units = group.stop - group.start
        self.synapses = EILinear(n_units, n_outputs, generator=generator)

    def forward(self, given: Any) -> Tensor:
        """Read rates, or the pair of rates and state that a circuit returns."""
        rates = given[0] if isinstance(given, tuple) else given
        found: Tensor = self.synapses(rates[..., self.group])
        return found


def decision_task(settings: Settings, *, reaction_time: bool) -> PerceptualDecision:
    """Return the task, with stimuli of variable duration, or answered when one is ready.

    Args:
        settings: ``dt_ms``, ``coherences``, and ``noise_sd`` of the evidence.
        reaction_time: Whether the answer is asked for from the onset of the stimulus on.
    """
    shared: dict[str, Any] = {
        "dt_ms": settings["dt_ms"],
        "coherences": tuple(settings["coherences"]),
        "noise_sd": settings["noise_sd"],
        "baseline": 0.5,
        "fixation_ms": 100,
        # Only answers are learned: what is to be fixated is no part of these claims.
        "fixate": False,
    }
    if reaction_time:
        times: dict[str, Any] = {
            "stimulus_ms": 800,
            "decision_ms": 800,
            "grace_ms": 100,
        }
        return PerceptualDecision(**shared, **times, reaction_time=True)
    return PerceptualDecision(**shared, stimulus_ms=Uniform(200, 800), decision_ms=200)


def populations(units: int) -> Populations:
    """Return a quarter of the excitatory units each as "in" and "out", and a fifth inhibitory.

    Args:
        units: Number of units, a multiple of 10.
    """
    n_exc = units * 4 // 5
    group = n_exc // 4
    groups = {"in": group, "out": group, "rest": n_exc - 2 * group}
    return Populations.of(exc=groups, inh={"I": units - n_exc})


def build(seed: int, settings: Settings, task: PerceptualDecision) -> nn.Sequential:
    """Build a circuit and its readout.

    Args:
        seed: Of the weights and of the noise.
        settings: ``units``, ``dt_ms``, ``tau_ms``, and ``noise`` of the states.
        task: What inputs and outputs are of.
    """
    generator = seeds.generator(seed, 0, _CIRCUIT)
    pops = populations(settings["units"])
    inputs = Populations.of(exc={"cue": 1, "evidence": task.n_inputs - 1})
    circuit = EIRNN(
        inputs,
        pops,
        # The cue, which ends when the answer is due, is seen by all.
        input_mask=Blocks({"evidence->in": 1, "cue->*": 1}, default=0),
        mask=WIRING,
        dt_ms=settings["dt_ms"],
        tau_ms=settings["tau_ms"],
        noise=settings["noise"],
        noise_in_eval=True,
        train_initial_state=True,
        generator=generator,
    )
    return nn.Sequential(circuit, GroupReadout(pops["out"], task.n_outputs, generator))


def learn(
    model: nn.Sequential,
    task: PerceptualDecision,
    seed: int,
    settings: Settings,
    *,
    lawful: bool = True,
) -> None:
    r"""Train a circuit, on clear evidence first, until it answers that well.

    .. math:: L = L_\text{task} + c\, \langle r^2 \rangle

    Args:
        model: The circuit and its readout.
        task: What it learns.
        seed: Of the trials.
        settings: ``lr``, ``batch``, ``updates``, the cost ``rate_cost`` of rates, and the
            accuracy ``shaped_until`` up to which evidence is clear.
        lawful: Whether signs are kept.
    """
    circuit, readout = model
    optimizer = torch.optim.Adam(model.parameters(), settings["lr"])
    if lawful:
        enforce(optimizer, model)
    n = settings["updates"]
    # Constant for one half, then linearly to 0.
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda update: min(1.0, 2 * (n - update) / n)
    )
    clear = dataclasses.replace(task, coherences=(1.0,))
    generator = seeds.generator(seed, 0, _TRIALS)
    is_shaped, accuracy = False, 0.5
    for _ in range(n):
        shown = task if is_shaped else clear
        trials = shown.sample(settings["batch"], generator)
        optimizer.zero_grad()
        rates, _ = circuit(trials.inputs)
        outputs = readout(rates)
        cost = settings["rate_cost"] * rates.square().mean()
        (shown.loss(outputs, trials) + cost).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        accuracy += 0.1 * (shown.score(outputs, trials) - accuracy)
        is_shaped = is_shaped or accuracy > settings["shaped_until"]
