"""Gradients from relaxations alone: equilibrium propagation, with a teaching signal that turns in the complex plane."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from daleml import _checks
from daleml.learning.activations import is_holomorphic
from daleml.learning.holomorphic import HolomorphicNetwork
from daleml.learning.settling import NotSettledError, Settled, States, relax, require_settled

Gradients: TypeAlias = dict[nn.Parameter, Tensor]


@dataclass(frozen=True)
class Relaxations:
    """What a gradient was read from.

    Attributes:
        n_relaxations: Relaxations of a sample, besides the one without a teaching signal.
        n_steps: Iterations of all of them, if they are run one after another; the longest sample counts.
        free_residual: Largest change of a unit in the last iteration without a teaching signal, of the samples kept;
            NaN where there is no such relaxation.
        nudged_residual: The same with a teaching signal; under noise it measures the noise.
        share_left_out: Share of the samples that did not settle and were left out.

    Example:
        >>> import torch
        >>> from daleml.learning import EquilibriumPropagation, HolomorphicNetwork
        >>> rule = EquilibriumPropagation(HolomorphicNetwork(6, [8], 3), n_points=10)
        >>> _, relaxations = rule(torch.rand(4, 6), torch.tensor([0, 1, 2, 0]))
        >>> relaxations.n_relaxations, relaxations.to_dict()["share_left_out"]
        (6, 0.0)
    """

    n_relaxations: int
    n_steps: int
    free_residual: float
    nudged_residual: float
    share_left_out: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        return asdict(self)


class GradientRule:
    """Something that computes the gradient of a network's cross-entropy; called, it adds it to ``.grad``.

    Args:
        network: The network, which says how long and how exactly it settles.
        leave_out: Share of a batch's samples that may fail to settle and be left out of the mean.
    """

    def __init__(self, network: HolomorphicNetwork, leave_out: float = 0.0) -> None:
        if not isinstance(network, HolomorphicNetwork):
            raise TypeError(f"`network` must be a HolomorphicNetwork; got {type(network).__name__}.")
        self.network = network
        self.leave_out = _checks.fraction("leave_out", leave_out)

    def gradients(self, x: Tensor, y: Tensor) -> tuple[Tensor, Gradients, Relaxations]:
        """Return the mean loss, its gradient by parameter, and what it was read from; ``.grad`` is left alone."""
        raise NotImplementedError

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Relaxations]:
        """Add the gradient of a batch to ``.grad`` of the network's parameters, as ``backward`` does.

        Args:
            x: Inputs, (batch, *in_shape).
            y: Their classes, (batch,), int64.

        Returns:
            The mean cross-entropy of the samples, and what the gradient was read from.

        Raises:
            NotSettledError: If more samples than may be left out did not settle; no ``.grad`` is touched.
        """
        loss, gradients, relaxations = self.gradients(x, y)
        for parameter, gradient in gradients.items():
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        return loss, relaxations

    def _require_batch(self, x: Tensor, y: Tensor) -> None:
        self.network._require_input(x)
        if not isinstance(y, Tensor) or y.dtype != torch.int64 or y.shape != x.shape[:1]:
            got = f"{y.dtype} of shape {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
            raise ValueError(f"`y` must hold a class for each of the {len(x)} samples, in int64; got {got}.")
        if int(y.min()) < 0 or int(y.max()) >= self.network.n_classes:
            wrong = y[(y < 0) | (y >= self.network.n_classes)][0].item()
            raise ValueError(f"`y` must be classes from 0 to {self.network.n_classes - 1}; got {wrong}.")

    def __repr__(self) -> str:
        """Describe the rule's settings."""
        settings = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if name not in _UNSAID)
        return f"{type(self).__name__}({settings})"


_UNSAID = {"network", "generator"}


class EquilibriumPropagation(GradientRule):
    r"""Holomorphic equilibrium propagation: the gradient as the first Fourier coefficient of an oscillation.

    The network settles without a teaching signal, and from there under each of :math:`N` complex strengths of it:

    .. math::
        \hat g_N = \operatorname{Re} \frac1N \sum_{k=0}^{N-1} \frac{-1}{\beta_k}
        \frac{\partial \Phi_{\beta_k}}{\partial \theta}\bigl(h^*_{\beta_k}\bigr), \qquad
        \beta_k = |\beta|\, e^{2 \pi i k / N}

    whose error is :math:`O(|\beta|^N)` while :math:`|\beta|` is below the radius of convergence of
    :math:`\beta \mapsto h^*_\beta`, and does not vanish beyond it. Real weights make :math:`h^*_{\bar\beta} =
    \overline{h^*_\beta}`, so :math:`\lfloor N/2 \rfloor + 1` relaxations give all N. With ``n_points=2`` nothing is
    complex. With ``n_points=1`` it is classic equilibrium propagation, which needs the free state too:

    .. math::
        \hat g_1 = \frac1\beta \left( \frac{\partial \Phi_0}{\partial \theta}(h^*_0)
        - \frac{\partial \Phi_\beta}{\partial \theta}(h^*_\beta) \right).

    Args:
        network: The network. What its parameters' ``.grad`` receives, any optimiser can step along.
        beta: :math:`|\beta|`, the strength of the teaching signal.
        n_points: :math:`N`.
        noise: Standard deviation of normal noise, drawn anew for each unit and iteration and added before the
            activation, while a teaching signal is on. Then all N points are relaxed, for the noise breaks the symmetry.
        n_steps: Iterations of each point under noise, where nothing settles; default: the network's ``max_steps``.
        n_samples: How often each point is relaxed under noise, to average.
        leave_out: Share of a batch's samples that may fail to settle and be left out of the mean; by default none.
        generator: Source of the noise; default: torch's global one.

    Shape:
        Called with inputs (batch, \*in_shape) and classes (batch,).

    Returns:
        Called, the mean cross-entropy without a teaching signal, and :class:`Relaxations`.

    Raises:
        TypeError: If ``network`` is no :class:`HolomorphicNetwork`, or a number is of the wrong kind.
        ValueError: If ``beta`` is not positive, ``n_points`` is below 1, or above 2 with an activation that is not
            holomorphic; or ``n_steps`` or ``n_samples`` is given without noise.
        NotSettledError: When called, if samples have not settled.

    Example:
        >>> import torch
        >>> from daleml.datasets import digits
        >>> from daleml.learning import HolomorphicNetwork
        >>> data = digits()
        >>> network = HolomorphicNetwork(64, [32], 10, tolerance=1e-4, generator=torch.Generator().manual_seed(0))
        >>> rule = EquilibriumPropagation(network, beta=0.4, n_points=4)
        >>> optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
        >>> losses = []
        >>> for x, y in zip(data.train_x.split(48), data.train_y.split(48), strict=True):
        ...     optimizer.zero_grad()
        ...     loss, relaxations = rule(x, y)
        ...     optimizer.step()
        ...     losses.append(loss.item())
        >>> losses[-1] < losses[0]
        True
        >>> relaxations.n_relaxations, relaxations.share_left_out
        (3, 0.0)

    Notes:
        The points relax side by side, stacked along the batch. The published code relaxes them one after another under
        noise, each from where the last ended, and so averages over slowly changing states; whether its noise has an
        imaginary part is not known to us, ours is real. It averages five samples of each phase where N is 1.

        Exact for symmetric feedback alone; see :class:`HolomorphicNetwork` on Dale's law. In float32 the states'
        round-off, about 1e-6, is divided by beta: use float64 where a gradient has to be exact. The published code
        falls back to N = 2 for a sample whose complex points do not settle; here such a sample is refused, or left out.

    References:
        Scellier & Bengio 2017; Laborieux & Zenke 2022 (NeurIPS), arXiv 2209.00530.
    """

    def __init__(
        self,
        network: HolomorphicNetwork,
        beta: float = 0.4,
        n_points: int = 2,
        *,
        noise: float = 0.0,
        n_steps: int | None = None,
        n_samples: int | None = None,
        leave_out: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(network, leave_out)
        self.beta = _checks.positive("beta", beta)
        self.n_points = _require_points(n_points, network)
        self.noise = _checks.non_negative("noise", noise)
        for name, value in (("n_steps", n_steps), ("n_samples", n_samples)):
            if value is not None:
                _checks.integer(name, value, minimum=1)
                if not self.noise:
                    raise ValueError(f"`{name}` must be left out without `noise`; got {value}.")
        self.n_steps = n_steps or network.max_steps
        self.n_samples = n_samples or 1
        self.generator = generator

    @torch.no_grad()
    def gradients(self, x: Tensor, y: Tensor) -> tuple[Tensor, Gradients, Relaxations]:
        """Return the mean loss, its gradient by parameter, and what it was read from; ``.grad`` is left alone."""
        self._require_batch(x, y)
        free = self.network.settle(x)
        betas, coefficients = self._points(x)
        nudged = self._nudged(x, y, free.states, betas)
        residual = nudged.residual.reshape(len(betas), len(x)).amax(0)
        judged = free.residual if self.noise else torch.maximum(free.residual, residual)
        keep = _require(self.network, judged, self.leave_out)
        readings = [(nudged.states, betas, coefficients)]
        if self.n_points == 1 and not self.noise:  # the free state is read as well, and has been settled already
            readings.append((free.states, 0 * betas, -coefficients))
        gradients = read(self.network, x, y, keep, readings)
        loss = cross_entropy(self.network.readout(free.states[-1][keep]), y[keep])
        found = Relaxations(
            n_relaxations=len(betas),
            n_steps=free.n_steps + len(betas) * nudged.n_steps,
            free_residual=float(free.residual[keep].max()),
            nudged_residual=float(residual[keep].max()),
            share_left_out=1 - float(keep.double().mean()),
        )
        return loss, gradients, found

    def _points(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the strengths to relax at, and by what each reading counts."""
        if self.n_points == 1:
            betas = [0.0, self.beta] if self.noise else [self.beta]
            weights = [1 / self.beta, -1 / self.beta][-len(betas) :]
            points, counts = x.new_tensor(betas), x.new_tensor(weights)
        elif self.n_points == 2:
            points = x.new_tensor([self.beta, -self.beta])
            counts = -0.5 / points
        else:
            points = turning(self.beta, self.n_points, x)
            weights = [1.0] * self.n_points
            if not self.noise:
                points = points[: self.n_points // 2 + 1]
                weights = [1.0 if 2 * k in (0, self.n_points) else 2.0 for k in range(len(points))]
            counts = -x.new_tensor(weights) / (self.n_points * points)
        if self.noise:
            points, counts = points.repeat(self.n_samples), counts.repeat(self.n_samples) / self.n_samples
        return points, counts

    def _nudged(self, x: Tensor, y: Tensor, start: States, betas: Tensor) -> Settled:
        """Relax all points side by side, stacked along the batch, from the free states."""
        network, n = self.network, len(betas)
        bottom = network.bottom(x).repeat(n, *(1,) * (len(network.shapes[0])))
        states = tuple(state.repeat(n, *(1,) * (state.ndim - 1)).to(betas.dtype) for state in start)
        target = _one_hot(y, network).repeat(n, 1)
        strength = betas.repeat_interleave(len(x))[:, None]

        def step(states: States) -> States:
            noise = _noise(states, self.noise, self.generator) if self.noise else None
            return network.step(bottom, states, target, strength, noise)

        if self.noise:
            return relax(step, states, max_steps=self.n_steps, tolerance=-1.0)
        return relax(step, states, max_steps=network.max_steps, tolerance=network.tolerance)


class ContinuousEquilibriumPropagation(GradientRule):
    r"""Holomorphic equilibrium propagation without phases: the teaching signal never stops turning.

    From silence, it goes round the circle of :class:`EquilibriumPropagation` point by point and period by period; a
    few iterations after each move the running sum receives :math:`\operatorname{Re}[-\beta_k^{-1} \partial
    \Phi_{\beta_k} / \partial \theta]`, and nothing is ever settled without a teaching signal. The gradient is the sum
    divided by how many were added.

    Args:
        network: The network.
        beta: :math:`|\beta|`.
        n_points: :math:`N`, at least 2: with one point nothing cancels what is there without a teaching signal.
        n_steps: Iterations at each point.
        n_periods: How often round.
        noise: As in :class:`EquilibriumPropagation`.
        tolerance: The largest change of a unit in the last iteration at a point, over the last period, that is near
            enough to settled. Not judged under noise.
        leave_out: Share of a batch's samples that may exceed it and be left out.
        generator: Source of the noise; default: torch's global one.

    Shape:
        Called with inputs (batch, \*in_shape) and classes (batch,).

    Returns:
        Called, the mean over the last period of the cross-entropy, and :class:`Relaxations`. That mean is the loss
        without a teaching signal up to :math:`O(|\beta|^N)`, as the gradient is.

    Raises:
        TypeError: As :class:`EquilibriumPropagation`.
        ValueError: As :class:`EquilibriumPropagation`, and if ``n_points`` is 1.
        NotSettledError: When called, if samples are further than ``tolerance`` from settled.

    Example:
        >>> import torch
        >>> from daleml.learning import HolomorphicNetwork, compare_gradients
        >>> network = HolomorphicNetwork(6, [8, 8], 3, gain=0.4, dtype=torch.float64)
        >>> x, y = torch.rand(4, 6, dtype=torch.float64), torch.tensor([0, 1, 2, 0])
        >>> rule = ContinuousEquilibriumPropagation(network, beta=0.2, n_points=8, n_steps=30)
        >>> compare_gradients(rule, x, y).cosine > 0.999
        True

    Notes:
        The first period begins in silence and counts like the others, as published, so that its transient is part of
        the estimate. The residual that is judged is that of the last period.

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
        tolerance: float = 1e-2,
        leave_out: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(network, leave_out)
        self.beta = _checks.positive("beta", beta)
        if _require_points(n_points, network) < 2:
            raise ValueError(f"`n_points` must be at least 2 where there is no free phase; got {n_points}.")
        self.n_points = n_points
        self.n_steps = _checks.integer("n_steps", n_steps, minimum=1)
        self.n_periods = _checks.integer("n_periods", n_periods, minimum=1)
        self.noise = _checks.non_negative("noise", noise)
        self.tolerance = _checks.positive("tolerance", tolerance)
        self.generator = generator

    @torch.no_grad()
    def gradients(self, x: Tensor, y: Tensor) -> tuple[Tensor, Gradients, Relaxations]:
        """Return the mean loss, its gradient by parameter, and what it was read from; ``.grad`` is left alone."""
        self._require_batch(x, y)
        network, target = self.network, _one_hot(y, self.network)
        visits = list(self._visits(x, target))
        last = visits[-self.n_points :]
        residual = torch.stack([settled.residual for settled, _ in last]).amax(0)
        judged = residual.nan_to_num(torch.inf)
        if self.noise:
            judged = torch.where(residual.isfinite(), 0.0, torch.inf)
        keep = require_settled(judged, max_steps=self.n_steps, tolerance=self.tolerance, leave_out=self.leave_out)
        readings = [(settled.states, beta, -1 / (len(visits) * beta)) for settled, beta in visits]
        gradients = read(network, x, y, keep, readings)
        losses = [_cross_entropy(network.readout(settled.states[-1][keep]), target[keep]) for settled, _ in last]
        found = Relaxations(
            n_relaxations=len(visits),
            n_steps=len(visits) * self.n_steps,
            free_residual=math.nan,
            nudged_residual=float(residual[keep].max()),
            share_left_out=1 - float(keep.double().mean()),
        )
        return torch.stack(losses).mean(), gradients, found

    def _visits(self, x: Tensor, target: Tensor) -> Iterator[tuple[Settled, Tensor]]:
        """Yield the states at the end of each stay at a point, and the point."""
        network = self.network
        betas = x.new_tensor([self.beta, -self.beta]) if self.n_points == 2 else turning(self.beta, self.n_points, x)
        bottom = network.bottom(x)
        states = tuple(x.new_zeros(len(x), *shape, dtype=betas.dtype) for shape in network.shapes)
        for beta in betas.repeat(self.n_periods)[:, None]:
            strength = beta.expand(len(x), 1)

            def step(states: States, strength: Tensor = strength) -> States:
                noise = _noise(states, self.noise, self.generator) if self.noise else None
                return network.step(bottom, states, target, strength, noise)

            settled = relax(step, states, max_steps=self.n_steps, tolerance=-1.0)
            states = settled.states
            yield settled, beta


def read(
    network: HolomorphicNetwork,
    x: Tensor,
    y: Tensor,
    keep: Tensor,
    readings: Iterable[tuple[States, Tensor, Tensor]],
) -> Gradients:
    r"""Return :math:`\operatorname{Re} \sum_k c_k\, \partial \Phi_{\beta_k} / \partial \theta`, averaged over samples.

    Args:
        network: The network.
        x: Inputs, (batch, \*in_shape).
        y: Their classes, (batch,).
        keep: Which samples count, (batch,).
        readings: States of ``len(beta)`` points stacked along the batch, their strengths, and what each counts.

    Returns:
        By parameter that is learnt, the gradient.
    """
    gradients: Gradients = {}
    target = _one_hot(y, network)[keep]
    for states, betas, counts in readings:
        n = len(betas)
        rows = keep.repeat(n)
        kept = [state[rows] for state in states]
        below = [x[keep].repeat(n, *(1,) * (x.ndim - 1)), *kept[:-1]]
        count = (counts / keep.sum()).repeat_interleave(len(target))[:, None]
        for connection, pre, post in zip(network.connections, below, kept, strict=True):
            signal = post * count.reshape(-1, *(1,) * (post.ndim - 1))
            _add(gradients, connection, connection.learn(pre, signal))  # type: ignore[operator]
        error = network.error(kept[-1], target.repeat(n, 1)) * betas.repeat_interleave(len(target))[:, None]
        _add(gradients, network.readout, network.readout.learn(kept[-1], error * count))
    return gradients


def turning(beta: float, n_points: int, like: Tensor) -> Tensor:
    """Return ``n_points`` strengths of size ``beta`` evenly round the circle, complex, from the real one on."""
    angles = torch.arange(n_points, dtype=torch.float64) * (2 * math.pi / n_points)
    complex_type = torch.complex128 if like.dtype == torch.float64 else torch.complex64
    return (beta * torch.polar(torch.ones_like(angles), angles)).to(like.device, complex_type)


def _require_points(n_points: int, network: HolomorphicNetwork) -> int:
    _checks.integer("n_points", n_points, minimum=1)
    if n_points > 2:
        if not is_holomorphic(network.activation):
            raise ValueError(
                "`n_points` must be 1 or 2 with an activation that is not holomorphic; "
                f"got {n_points} with {network.activation!r}."
            )
        if network.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"`n_points` must be 1 or 2 in {network.dtype}; got {n_points}.")
    return n_points


def _require(network: HolomorphicNetwork, residual: Tensor, leave_out: float) -> Tensor:
    return require_settled(residual, max_steps=network.max_steps, tolerance=network.tolerance, leave_out=leave_out)


def _add(gradients: Gradients, connection: nn.Module, found: tuple[Tensor, Tensor]) -> None:
    for parameter, gradient in zip((connection.weight, connection.bias), found, strict=True):
        if isinstance(parameter, nn.Parameter) and parameter.requires_grad:
            gradients[parameter] = gradients[parameter] + gradient if parameter in gradients else gradient


def _one_hot(y: Tensor, network: HolomorphicNetwork) -> Tensor:
    return one_hot(y, network.n_classes).to(network.dtype)


def _noise(states: States, sd: float, generator: torch.Generator | None) -> list[Tensor]:
    return [
        sd * torch.randn(state.shape, generator=generator, dtype=state.real.dtype, device=state.device)
        for state in states
    ]


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the mean cross-entropy; of complex logits, its real part."""
    loss = (torch.logsumexp(logits, dim=1) - (target * logits).sum(1)).mean()
    return loss.real if loss.is_complex() else loss


__all__ = [
    "ContinuousEquilibriumPropagation",
    "EquilibriumPropagation",
    "GradientRule",
    "NotSettledError",
    "Relaxations",
]
