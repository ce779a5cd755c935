"""Dense networks that see every digit once, and circuits that remember noise."""

from __future__ import annotations

import itertools
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from daleml._support import seeds
from daleml.datasets import ImageSplit, digits
from daleml.learning import FeedbackAlignment, Normalised, Oja, Subspace
from daleml.reproductions.claim import Settings

N_VALIDATION = 237
"""How many of the 1,437 training images validate; the other 1,200 are seen once each."""

SHARPNESS = 10
"""The sharpness of softplus, as in the authors' code of 2023."""

PRECISION = torch.float64
"""What the networks compute in: rounding of single precision changes some answers in the end."""

# -- one online pass over digits


@dataclass(frozen=True)
class OnlinePass:
    """A network after it has seen every training image once.

    Attributes:
        model: The network.
        validation: The fraction of the validation images that it tells right.
        test: The fraction of the test images that it tells right.
    """

    model: nn.Sequential
    validation: float
    test: float


def build(sizes: list[int], gain: float, generator: torch.Generator) -> nn.Sequential:
    """Build a dense network without biases, Glorot-uniform times a gain.

    Args:
        sizes: Numbers of inputs, of the units of every hidden layer, and of outputs.
        gain: What the weights are multiplied by.
        generator: Source of the weights.
    """
    parts: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(sizes):
        # Made without values, since torch would draw them from its global generator.
        layer = nn.Linear(n_in, n_out, bias=False, device="meta", dtype=PRECISION)
        layer = layer.to_empty(device="cpu")
        nn.init.xavier_uniform_(layer.weight, gain=gain, generator=generator)
        parts += [layer, nn.Softplus(SHARPNESS)]
    return nn.Sequential(*parts[:-1])


def divided(data: ImageSplit, seed: int) -> tuple[Tensor, Tensor]:
    """Return which training images validate, and which are shown, in their order.

    Args:
        data: The digits.
        seed: Seed of the order.
    """
    order = torch.randperm(len(data.train_y), generator=seeds.generator(seed, 1))
    return order[:N_VALIDATION], order[N_VALIDATION:]


def feedback_of(model: nn.Sequential, seed: int) -> list[Tensor]:
    """Return the fixed random weights that carry errors back, (post, pre) of every layer.

    Args:
        model: The network.
        seed: Seed of the weights.
    """
    alignment = FeedbackAlignment(model, generator=seeds.generator(seed, 2))
    return list(alignment.feedback.values())


def judged(model: nn.Sequential, data: ImageSplit, held_out: Tensor) -> OnlinePass:
    """Judge a network that has learned.

    Args:
        model: The network.
        data: The digits.
        held_out: Which training images validate.
    """
    validation = _accuracy(model, data.train_x[held_out], data.train_y[held_out])
    return OnlinePass(model, validation, _accuracy(model, data.test_x, data.test_y))


def learn_online(
    seed: int, settings: Settings, lr: float, coefficient: float
) -> OnlinePass:
    """Show a network every training image once, one at a time.

    It says with the public classes what ``learn_online_together`` does to many networks at once.

    Args:
        seed: Seed of the weights, of the order of the images and of the feedback.
        settings: ``sizes``, ``gain``, and whether ``fixed_feedback`` carries errors back.
        lr: The learning rate.
        coefficient: The coefficient of Oja's rule; without it, 0.
    """
    data = digits()
    model = build(settings["sizes"], settings["gain"], seeds.generator(seed, 0))
    held_out, shown = divided(data, seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    last = str(len(model) - 1)
    plasticity: AbstractContextManager[Oja | None] = nullcontext()
    if coefficient:
        # The rule is on the last layer too, as in the code of 2023. Where it would overshoot, a
        # step is the error's alone.
        plasticity = Oja(
            model, coefficient, activation={last: _softmax}, on_divergence="skip"
        )
    feedback: AbstractContextManager[object] = nullcontext()
    if settings["fixed_feedback"]:
        feedback = FeedbackAlignment(model, generator=seeds.generator(seed, 2))
    with warnings.catch_warnings(), plasticity as rule, feedback:
        warnings.filterwarnings("ignore", ".*The rule is left out", RuntimeWarning)
        for i in shown:
            optimizer.zero_grad()
            x = data.train_x[None, i].to(PRECISION)
            loss = cross_entropy(model(x), data.train_y[None, i])
            loss.backward()  # type: ignore[no-untyped-call]
            if rule is not None:
                rule.step()
            optimizer.step()
    return judged(model, data, held_out)


def _softmax(output: Tensor) -> Tensor:
    return output.softmax(dim=-1)


@torch.no_grad()
def _accuracy(model: nn.Sequential, x: Tensor, y: Tensor) -> float:
    answers = model(x.to(PRECISION)).argmax(dim=1)
    return float((answers == y).double().mean())


# -- a circuit that remembers

_WASHOUT = 100
"""How many steps pass before a circuit is read, so that its start is forgotten."""


class PlasticCircuit:
    """A circuit of one scalar input u: r <- f(W r + v u).

    Args:
        seed: Seed of the weights and of the noise.
        settings: ``units``, the spectral ``radius``; ``coefficient`` and ``steps`` of the rule;
            ``delays``, ``examples`` and ``noise`` of the readout.
        unit: ``"tanh"`` or ``"linear"``.
    """

    def __init__(self, seed: int, settings: Settings, unit: str) -> None:
        n, self.settings = settings["units"], settings
        generator = seeds.generator(seed, 0)
        weight = torch.randn(n, n, generator=generator, dtype=torch.float64)
        radius = torch.linalg.eigvals(weight).abs().max()
        self.weight = weight * (settings["radius"] / radius)
        drawn = torch.rand(n, generator=generator, dtype=torch.float64)
        self.input_weight = drawn * 2 - 1
        self.f = torch.tanh if unit == "tanh" else lambda state: state
        self.generator = generator

    def _noise(self, steps: int) -> Tensor:
        drawn = torch.rand(steps, generator=self.generator, dtype=torch.float64)
        return drawn * 2 - 1

    def adapt(self, rule: Subspace | Normalised) -> bool:
        """Let the weight adapt to noise.

        Args:
            rule: The rule of the change of the weights.

        Returns:
            Whether the weight grew without bound.
        """
        coefficient = self.settings["coefficient"]
        rates = torch.zeros(1, len(self.weight), dtype=torch.float64)
        for drive in self._noise(self.settings["steps"]):
            before = rates
            rates = self.f(before @ self.weight.T + drive * self.input_weight)
            change = rule.change(self.weight, before, rates, None)
            self.weight = self.weight + coefficient * change
            if not torch.isfinite(self.weight).all():
                return True
        return False

    def capacity(self) -> float:
        """Return the memory capacity.

        It is the fraction of the variance of a past input that a linear readout of the rates
        explains, summed over delays.
        """
        delays, n_read = self.settings["delays"], 2 * self.settings["examples"]
        noise = self._noise(_WASHOUT + n_read)
        rates = torch.zeros(len(self.weight), dtype=torch.float64)
        rows = []
        for drive in noise:
            rates = self.f(self.weight @ rates + drive * self.input_weight)
            rows.append(rates)
        recorded = torch.stack(rows)
        # Without noise of its own, double precision reads 16 digits back, and a linear circuit
        # remembers everything.
        recorded = recorded + self.settings["noise"] * torch.randn(
            recorded.shape, generator=self.generator, dtype=torch.float64
        )
        constant = torch.ones(len(recorded), 1, dtype=torch.float64)
        recorded = torch.cat([recorded, constant], dim=1)[_WASHOUT:]
        past = [
            noise[_WASHOUT - delay : len(noise) - delay]
            for delay in range(1, delays + 1)
        ]
        return _explained(recorded, torch.stack(past, dim=1))


def _explained(recorded: Tensor, past: Tensor) -> float:
    """Fit a readout to the first half, and sum the variance it explains in the second half."""
    half = len(recorded) // 2
    fitted = torch.linalg.lstsq(recorded[:half], past[:half], driver="gelsd")
    unexplained = recorded[half:] @ fitted.solution - past[half:]
    error = unexplained.square().mean(dim=0) / past[half:].var(dim=0)
    return float((1 - error).clamp(min=0).sum())
