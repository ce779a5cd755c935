"""Equilibrium propagation, with a teaching signal that turns in the complex plane."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

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
from daleml.learning.equilibrium.split_relaxation import can_be_split, relax_split


class EquilibriumPropagation(GradientRule):
    r"""Holomorphic equilibrium propagation: a gradient from relaxations alone.

    The gradient is the first Fourier coefficient of an oscillation. The network settles without a
    teaching signal, and from there under each of :math:`N` complex strengths of it:

    .. math::
        \hat g_N = \operatorname{Re} \frac1N \sum_{k=0}^{N-1} \frac{-1}{\beta_k}
        \frac{\partial \Phi_{\beta_k}}{\partial \theta}\bigl(h^*_{\beta_k}\bigr), \qquad
        \beta_k = |\beta|\, e^{2 \pi i k / N}

    whose error is :math:`O(|\beta|^N)` while :math:`|\beta|` is below the radius of convergence
    of :math:`\beta \mapsto h^*_\beta`, and does not vanish beyond it. Real weights make
    :math:`h^*_{\bar\beta} = \overline{h^*_\beta}`, so :math:`\lfloor N/2 \rfloor + 1`
    relaxations give all N. With ``n_points=2`` nothing is complex. With ``n_points=1`` it is
    classic equilibrium propagation, which needs the free state too:

    .. math::
        \hat g_1 = \frac1\beta \left( \frac{\partial \Phi_0}{\partial \theta}(h^*_0)
        - \frac{\partial \Phi_\beta}{\partial \theta}(h^*_\beta) \right).

    Args:
        network: The network. What its parameters' ``.grad`` receives, any optimiser can step
            along.
        beta: :math:`|\beta|`, the strength of the teaching signal.
        n_points: :math:`N`.
        noise: Standard deviation of normal noise, drawn anew for each unit and iteration and
            added before the activation, while a teaching signal is on. Then all N points are
            relaxed, for the noise breaks the symmetry.
        n_steps: Iterations of each point under noise, where nothing settles; default: the
            network's ``max_steps``.
        n_samples: How often each point is relaxed under noise, to average.
        leave_out: Fraction of a batch's samples that may fail to settle and be left out of the
            mean; by default none.
        generator: Source of the noise; default: torch's global one.

    Shape:
        Called with inputs (batch, \*in_shape) and classes (batch,).

    Returns:
        Called, the mean cross-entropy without a teaching signal, and :class:`Relaxations`.

    Raises:
        TypeError: If ``network`` is no :class:`HolomorphicNetwork`, or a number is of the wrong
            kind.
        ValueError: If ``beta`` is not positive, ``n_points`` is below 1, or above 2 with an
            activation that is not holomorphic; or ``n_steps`` or ``n_samples`` is given without
            noise. When called, if a parameter learns that is not a connection's, such as one of
            the activation's; those that weights and biases are computed from, when pruned or
            parametrised, do learn.
        NotSettledError: When called, if samples have not settled to
            :meth:`HolomorphicNetwork.tolerance_at` this nudge. Under noise, if without a nudge
            they have not settled to the network's tolerance, or under one move on by more than
            a hundred times the noise. Also if the gradient is not finite.

    Example:
        >>> import torch
        >>> from daleml.datasets import digits
        >>> from daleml.learning import HolomorphicNetwork
        >>> data = digits()
        >>> g = torch.Generator().manual_seed(0)
        >>> network = HolomorphicNetwork(64, [32], 10, tolerance=1e-4, generator=g)
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
        The points relax side by side, stacked along the batch, with real and imaginary parts
        kept apart where nobody has overridden what moves the network. The published code
        relaxes them one after another under noise, each from where the last ended, and so
        averages over slowly changing states; whether its noise has an imaginary part is not
        known to us, ours is real. It averages five samples of each phase where N is 1.

        Learning strengthens the loops, so that sooner or later some samples of deep networks no
        longer settle. There are two ways to train on the digits of :mod:`daleml.datasets`
        without being refused, both by plain SGD at .1 on batches of 20 with ``beta=0.4``,
        ``step_size=0.5`` and ``tolerance=1e-3``. With one hidden layer of 64, every sample
        settled for eight epochs (96 to 97 % of test images right, three seeds). With two, and
        ``leave_out=0.2``, one sample in five hundred did not (93 to 97 %). Adam, weight decay
        or a smoother activation settled no better.

        The gradient is exact for symmetric feedback alone; see :class:`HolomorphicNetwork` on
        Dale's law. In float32 the states' round-off, about 1e-6, is divided by beta: use
        float64 where a gradient has to be exact. The published code falls back to N = 2 for a
        sample whose complex points do not settle; here such a sample is refused, or left out.

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
        self.beta = require.positive("beta", beta)
        self.n_points = require_points(n_points, network)
        self.noise = require.non_negative("noise", noise)
        for name, value in (("n_steps", n_steps), ("n_samples", n_samples)):
            if value is None:
                continue
            require.integer(name, value, minimum=1)
            if not self.noise:
                raise ValueError(
                    f"`{name}` must be left out without `noise`; got {value}."
                )
        self.n_steps = n_steps or network.max_steps
        self.n_samples = n_samples or 1
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
            NotSettledError: If too many samples did not settle.
        """
        self._require_batch(x, y)
        network = self.network
        tolerance = network.tolerance if self.noise else network.tolerance_at(self.beta)
        # The free phase is also where the nudged ones begin.
        free = network.settle(x, tolerance=tolerance)
        betas, coefficients = self._points(x)
        nudged, judged = self._nudged(x, y, free.states, betas, tolerance)
        # The worst point of each sample decides.
        residual = nudged.residual.reshape(len(betas), len(x)).amax(0)
        judged = judged.reshape(len(betas), len(x)).amax(0)
        keep = require_settled(
            torch.maximum(free.residual, judged),
            max_steps=network.max_steps,
            tolerance=tolerance,
            leave_out=self.leave_out,
            steps="n_steps" if self.noise else "max_steps",
        )
        readings = [(nudged.states, betas, coefficients)]
        if self.n_points == 1 and not self.noise:
            # The free state is read as well, and has been settled already.
            readings.append((free.states, 0 * betas, -coefficients))
        gradients = gradients_at(network, x, y, keep, readings)
        loss = cross_entropy(network.readout(free.states[-1][keep]), y[keep])
        found = Relaxations(
            n_relaxations=len(betas),
            n_steps=free.n_steps + len(betas) * nudged.n_steps,
            free_residual=float(free.residual[keep].max()),
            nudged_residual=float(residual[keep].max()),
            share_left_out=1 - float(keep.to("cpu", torch.float64).mean()),
        )
        return loss, gradients, found

    def _points(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the strengths to relax at, and by what each reading counts."""
        n = self.n_points
        if n == 1 and self.noise:
            points = x.new_tensor([0.0, self.beta])
            counts = x.new_tensor([1 / self.beta, -1 / self.beta])
        elif n == 1:
            points = x.new_tensor([self.beta])
            counts = x.new_tensor([-1 / self.beta])
        elif n == 2:
            points = x.new_tensor([self.beta, -self.beta])
            # A centred difference of the potential's derivatives.
            counts = -0.5 / points
        else:
            # Real weights make the states at conjugate strengths conjugate.
            points = points_on_circle(self.beta, n, x)
            weights = x.new_ones(n)
            if not self.noise:
                # The upper half of the circle; a point off the real line stands for two.
                points, weights = points[: n // 2 + 1], weights[: n // 2 + 1]
                weights[1 : (n + 1) // 2] = 2
            counts = -weights / (n * points)
        if self.noise:
            # Samples of a point are relaxed side by side, each with its own noise.
            points = points.repeat(self.n_samples)
            counts = counts.repeat(self.n_samples) / self.n_samples
        return points, counts

    def _nudged(
        self, x: Tensor, y: Tensor, start: States, betas: Tensor, tolerance: float
    ) -> tuple[Settled, Tensor]:
        """Relax all points side by side, stacked along the batch, from the free states.

        Returns:
            Where they ended, and the residual to judge each by.
        """
        network = self.network
        bottom, target = network.bottom(x), one_hot(y, network)
        if betas.is_complex() and not self.noise and can_be_split(network):
            settled = relax_split(network, bottom, start, target, betas, tolerance)
            return settled, settled.residual
        # Anything that the split relaxation does not serve: real strengths, noise, overridden
        # dynamics.
        n = len(betas)
        bottom = _repeated(bottom, n)
        states = tuple(_repeated(state, n).to(betas.dtype) for state in start)
        target = _repeated(target, n)
        strength = betas.repeat_interleave(len(x))[:, None]

        def quiet(states: States) -> States:
            return network.step(bottom, states, target, strength)

        def noisy(states: States) -> States:
            noise = draw_noise(states, self.noise, self.generator)
            return network.step(bottom, states, target, strength, noise)

        if self.noise:
            settled = relax(
                noisy,
                states,
                max_steps=self.n_steps,
                # Under noise nothing settles, so that all steps are made.
                tolerance=-1.0,
                step_size=network.step_size,
            )
            return settled, beyond_noise(quiet, settled.states, self.noise)
        settled = relax(
            quiet,
            states,
            max_steps=network.max_steps,
            tolerance=tolerance,
            step_size=network.step_size,
        )
        return settled, settled.residual


def _repeated(x: Tensor, n: int) -> Tensor:
    """Return ``n`` copies of a batch, one after another."""
    return x.repeat(n, *(1,) * (x.ndim - 1))
