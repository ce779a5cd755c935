"""Equilibrium propagation without phases: the network follows a teaching signal that turns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from daleml import require
from daleml.learning.equilibrium.gradient_rule import (
    GradientRule,
    Gradients,
    Relaxations,
    in_own_precision,
)
from daleml.learning.equilibrium.holomorphic_network import HolomorphicNetwork
from daleml.learning.equilibrium.network_arguments import require_generator
from daleml.learning.equilibrium.nudged_gradient import (
    complex_cross_entropy,
    draw_noise,
    gradients_at,
    one_hot,
    points_on_circle,
    require_points,
)
from daleml.learning.equilibrium.relaxation import (
    Settled,
    States,
    beyond_noise,
    relax,
    require_settled,
)


class ContinuousEquilibriumPropagation(GradientRule):
    r"""Holomorphic equilibrium propagation without phases: its teaching signal never stops.

    From silence, the signal goes round the circle of :class:`EquilibriumPropagation` point by point
    and period by period; a few iterations after each move the running sum receives
    :math:`\operatorname{Re}[-\beta_k^{-1} \partial \Phi_{\beta_k} / \partial \theta]`, and nothing
    is ever settled without a teaching signal. The gradient is the sum divided by how many were
    added.

    Args:
        network: The network.
        beta: :math:`|\beta|`.
        n_points: :math:`N`, at least 2: with one point nothing cancels what is there without a
            teaching signal.
        n_steps: Iterations at each point.
        n_periods: How often the signal goes round.
        noise: Standard deviation of normal noise, drawn anew for each unit and iteration and
            added before the activation.
        tolerance: The largest distance of a unit from what it is driven to, before the last
            iteration at a point of the last period, times the smaller of 1 and ``beta``. Under
            noise, a hundred times the noise is accepted too.
        leave_out: Fraction of a batch's samples that may exceed it and be left out.
        generator: Source of the noise; default: torch's global one.

    Shape:
        Called with inputs (batch, \*in_shape) and classes (batch,).

    Returns:
        Called, the mean over the last period of the cross-entropy, and :class:`Relaxations`.
        That mean is the loss without a teaching signal up to :math:`O(|\beta|^N)`, as the
        gradient is.

    Raises:
        TypeError: If ``network`` is no :class:`HolomorphicNetwork`, or a number is of the wrong
            kind.
        ValueError: If ``beta`` is not positive, ``n_points`` is below 2, or above 2 with an
            activation that is not holomorphic. When called, if a parameter learns that weights
            and biases are not computed from.
        NotSettledError: When called, if samples are further than ``tolerance`` from settled, or
            the gradient is not finite.

    Example:
        >>> import torch
        >>> from daleml.learning import HolomorphicNetwork, compare_gradients
        >>> network = HolomorphicNetwork(6, [8, 8], 3, gain=0.4, dtype=torch.float64)
        >>> x, y = torch.rand(4, 6, dtype=torch.float64), torch.tensor([0, 1, 2, 0])
        >>> rule = ContinuousEquilibriumPropagation(network, beta=0.2, n_points=8, n_steps=30)
        >>> compare_gradients(rule, x, y).cosine > 0.999
        True

    Notes:
        The first period begins in silence and counts like the others, as published, so that its
        transient is part of the estimate. The residual that is judged is that of the last
        period.

    References:
        Laborieux & Zenke 2022 (NeurIPS), arXiv 2209.00530, which takes 10 points and 3 periods.
    """

    def __init__(
        self,
        network: HolomorphicNetwork,
        beta: float = 0.4,
        n_points: int = 10,
        *,
        n_steps: int = 30,
        n_periods: int = 3,
        noise: float = 0.0,
        tolerance: float = 1e-3,
        leave_out: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(network, leave_out)
        self.beta = require.positive("beta", beta)
        # One point would leave in the gradient what is there without a teaching signal.
        if require_points(n_points, network) < 2:
            raise ValueError(
                "`n_points` must be at least 2 where there is no free phase; got"
                f" {n_points}."
            )
        self.n_points = n_points
        self.n_steps = require.integer("n_steps", n_steps, minimum=1)
        self.n_periods = require.integer("n_periods", n_periods, minimum=1)
        self.noise = require.non_negative("noise", noise)
        self.tolerance = require.positive("tolerance", tolerance)
        require_generator(generator)
        self.generator = generator

    @in_own_precision
    @torch.no_grad()
    def gradients(self, x: Tensor, y: Tensor) -> tuple[Tensor, Gradients, Relaxations]:
        """Return the mean loss, its gradient by parameter, and the relaxations it was read from.

        ``.grad`` is left alone.

        Args:
            x: Inputs, ``(batch, *in_shape)``.
            y: Their classes, (batch,), int64.

        Raises:
            NotSettledError: If too many samples are further than the tolerance from settled.
        """
        self._require_batch(x, y)
        network, target = self.network, one_hot(y, self.network)
        visits = list(self._visits(x, target))
        # Earlier periods hold the transient from silence, and are not judged.
        last_period = visits[-self.n_points :]
        residual = torch.stack([visit.settled.residual for visit in last_period])
        judged = torch.stack([visit.judged for visit in last_period])
        keep = require_settled(
            judged.amax(0),
            max_steps=self.n_steps,
            tolerance=network.tolerance_at(self.beta, self.tolerance),
            leave_out=self.leave_out,
            steps="n_steps",
        )
        readings = []
        for visit in visits:
            # Every visit counts alike, the transient too, as published.
            coefficient = -1 / (len(visits) * visit.beta)
            readings.append((visit.settled.states, visit.beta, coefficient))
        gradients = gradients_at(network, x, y, keep, readings)
        losses = []
        for visit in last_period:
            logits = network.readout(visit.settled.states[-1][keep])
            losses.append(complex_cross_entropy(logits, target[keep]))
        found = Relaxations(
            n_relaxations=len(visits),
            n_steps=len(visits) * self.n_steps,
            free_residual=math.nan,
            nudged_residual=float(residual.amax(0)[keep].max()),
            share_left_out=1 - float(keep.to("cpu", torch.float64).mean()),
        )
        return torch.stack(losses).mean(), gradients, found

    def _visits(self, x: Tensor, target: Tensor) -> Iterator[_Visit]:
        """Yield where the network is at the end of each stay at a point of the circle."""
        network = self.network
        if self.n_points == 2:
            betas = x.new_tensor([self.beta, -self.beta])
        else:
            betas = points_on_circle(self.beta, self.n_points, x)
        bottom = network.bottom(x)
        states = tuple(
            x.new_zeros(len(x), *shape, dtype=betas.dtype) for shape in network.shapes
        )
        for beta in betas.repeat(self.n_periods)[:, None]:
            strength = beta.expand(len(x), 1)

            # The strength is bound here, since the loop goes on.
            def quiet(states: States, strength: Tensor = strength) -> States:
                return network.step(bottom, states, target, strength)

            def noisy(states: States, strength: Tensor = strength) -> States:
                noise = draw_noise(states, self.noise, self.generator)
                return network.step(bottom, states, target, strength, noise)

            settled = relax(
                noisy if self.noise else quiet,
                states,
                max_steps=self.n_steps,
                # The signal moves on after `n_steps`, whether or not the network has settled.
                tolerance=-1.0,
                step_size=network.step_size,
            )
            states = settled.states
            judged = settled.residual
            if self.noise:
                judged = beyond_noise(quiet, states, self.noise)
            yield _Visit(settled, beta, judged)


class _Visit(NamedTuple):
    """The end of a stay at one point of the circle.

    Attributes:
        settled: Where the network is.
        beta: The point, (1,).
        judged: The residual by which each sample is judged.
    """

    settled: Settled
    beta: Tensor
    judged: Tensor
