"""Weights that move in the dual of a known potential: by normal numbers, or by a regression."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from daleml._support.diverged import DivergedError
from daleml.layers.init.draws import lognormal_
from daleml.optim import MirrorDescent
from daleml.potentials import Potential
from daleml.reproductions.claim import Settings


def moved_weights(
    potential: Potential, kind: str, n: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return weights before and after a normal change in the dual of a potential.

    Args:
        potential: The potential whose dual it is.
        kind: ``"lognormal"``, with random signs, or ``"normal"``.
        n: How many weights.
        generator: Source of randomness.
    """
    weight = torch.empty(n, dtype=torch.float64)
    if kind == "lognormal":
        # Mean and standard deviation of the magnitudes are both 1 / sqrt(n).
        lognormal_(weight, 1 / math.sqrt(n), 1.0, generator=generator)
        weight.mul_(2.0 * torch.randint(0, 2, (n,), generator=generator) - 1)
    else:
        weight.normal_(0, 0.1, generator=generator)
    sd = 0.1 * abs(float(potential.gradient(torch.tensor(0.1, dtype=torch.float64))))
    noise = torch.randn(n, generator=generator, dtype=torch.float64)
    dual = potential.gradient(weight) + sd * noise
    return weight, potential.inverse_gradient(dual, weight.sign())


def regression_features(
    n_examples: int, n: int, power: int, generator: torch.Generator
) -> Tensor:
    r"""Return the features of a regression: white, or correlated as those of the released code.

    .. math::
        \operatorname{cov}(x_i, x_j) = \frac{(-1)^{|i - j|}}{1 + |i - j|^p},
        \qquad \text{plus } U(-\tfrac12, \tfrac12) \text{ on each}

    Args:
        n_examples: How many examples.
        n: How many features.
        power: :math:`p`; 0 for white features of unit variance, with nothing added.
        generator: Source of randomness.

    Shape:
        Returns (n_examples, n), float64.
    """
    if power == 0:
        return torch.randn(n_examples, n, generator=generator, dtype=torch.float64)
    lags = torch.arange(n + 1, dtype=torch.float64)
    covariance = (1 - 2 * (lags % 2)) / (1 + lags**power)
    # The covariance on a ring of 2n places, of which the first n have that of the line. Its
    # magnitude falls and is convex, so that no variance along a Fourier mode is negative.
    ring = torch.cat([covariance, covariance[1:-1].flip(0)])
    variances = torch.fft.fft(ring).real.clamp(min=0)
    amplitudes = (variances / len(ring)).sqrt()
    x = torch.empty(n_examples, n, dtype=torch.float64)
    x.uniform_(-0.5, 0.5, generator=generator)
    for start in range(0, n_examples, _AT_ONCE):
        rows = x[start : start + _AT_ONCE]
        # A complex draw gives two rows, its real and its imaginary part.
        size = 2, (len(rows) + 1) // 2, len(ring)
        drawn = torch.randn(size, generator=generator, dtype=torch.float64)
        modes = torch.complex(drawn[0], drawn[1]) * amplitudes
        signals = torch.fft.fft(modes)[:, :n]
        rows += torch.cat([signals.real, signals.imag])[: len(rows)]
    return x


# How many examples, and features, are computed at once: all 1,681 examples of 20,000 features
# take 270 MB, beside which a copy would be as large again.
_AT_ONCE = 100
_FEATURES_AT_ONCE = 2_000


def interpolating_weights(
    potential: Potential, x: Tensor, generator: torch.Generator, settings: Settings
) -> tuple[Tensor, Tensor] | None:
    """Return the weights of a regression before and after it has learned its examples.

    It tells labels of either sign, by mirror descent under the potential. A rate at which it
    does not learn is followed by a lower one.

    Args:
        potential: The potential.
        x: The features of every example, (n_examples, n).
        generator: Source of the labels and of the first weights.
        settings: ``rates``, in units of the inverse of the largest curvature; ``momentum``, the
            most ``epochs``, and the ``loss`` at which it has learned.

    Returns:
        Both weights; None if the loss stays too large at every rate.
    """
    n_examples, n = x.shape
    y = 2.0 * torch.randint(0, 2, (n_examples,), generator=generator) - 1
    before = torch.randn(n, generator=generator, dtype=torch.float64) / math.sqrt(n)
    fastest = _largest_curvature(potential, before, x)
    for rate in settings["rates"]:
        weight = nn.Parameter(before.clone())
        optimizer = MirrorDescent(
            [weight], rate / fastest, potential, momentum=settings["momentum"]
        )
        try:
            learned = _learned(weight, optimizer, x, y, settings)
        except DivergedError:
            learned = False
        if learned:
            return before, weight.detach()
    return None


def _largest_curvature(potential: Potential, weight: Tensor, x: Tensor) -> float:
    """Return the largest curvature of half the summed squared error, in the dual."""
    # A step in the dual moves a weight by one over the second derivative of the potential. A
    # hundredth of the weights, which would move furthest, does not count for the learning rate.
    speed = weight / potential.decay(weight)
    speed = speed.clamp(max=speed.quantile(0.99))
    curvature = torch.zeros(len(x), len(x), dtype=torch.float64)
    for start in range(0, len(weight), _FEATURES_AT_ONCE):
        some = slice(start, start + _FEATURES_AT_ONCE)
        curvature += (x[:, some] * speed[some]) @ x[:, some].T
    return float(torch.linalg.eigvalsh(curvature)[-1])


def _learned(
    weight: nn.Parameter,
    optimizer: MirrorDescent,
    x: Tensor,
    y: Tensor,
    settings: Settings,
) -> bool:
    """Descend until the examples are learned; return whether they were."""
    for _ in range(settings["epochs"]):
        error = x @ weight.detach() - y
        if float(error.square().mean()) < settings["loss"]:
            return True
        weight.grad = x.T @ error
        optimizer.step()
    return False
