"""Layered networks that settle to a fixed point, with real or complex states."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from daleml import require
from daleml._support.devices import drawn_
from daleml.learning.equilibrium.activations import Activation, Logistic, softmax
from daleml.learning.equilibrium.connections import (
    Connection,
    ConvConnection,
    DenseConnection,
)
from daleml.learning.equilibrium.conv_block import ConvBlock
from daleml.learning.equilibrium.dale_feedback import impose_dale_feedback_
from daleml.learning.equilibrium.network_arguments import (
    input_shape,
    require_dtype,
    require_generator,
    require_input,
)
from daleml.learning.equilibrium.relaxation import Settled, States, relax
from daleml.populations import Populations

_RESOLVED = 4.0
"""The smallest tolerance, in units of the resolution of the dtype."""


class HolomorphicNetwork(nn.Module):
    r"""Layers that drive each other through the same weights, up and transposed, until they settle.

    All hidden layers move at once, without leak or step size,

    .. math::
        h_l &\leftarrow \sigma(W_{l-1} h_{l-1} + b_{l-1} + W_l^\top h_{l+1}) \\
        h_L &\leftarrow \sigma(W_{L-1} h_{L-1} + b_{L-1}
        + \beta\, W_L^\top (y - \operatorname{softmax}(z))), \qquad z = W_L h_L + b_L

    with the input :math:`h_0 = x` and the target :math:`y`. That is :math:`h \leftarrow
    \sigma(\partial \Phi_\beta / \partial h)` of the potential :math:`\Phi_\beta = \sum_l
    h_{l+1} \cdot (W_l h_l + b_l) - \beta\, \mathrm{CE}(y, z)`, whose sum leaves out the
    readout. A convolutional layer's drive is the pooled convolution, its feedback the
    transposed Jacobian of that at the current state. Called, it settles with :math:`\beta = 0`
    and returns :math:`z`.

    Args:
        in_shape: Number of inputs, or (channels, height, width).
        hidden: The hidden layers from below: an int for that many dense units, a
            :class:`ConvBlock` for a convolution. Dense ones may follow convolutions, not the
            other way round.
        n_classes: Number of outputs, which are read out and are no state.
        activation: :math:`\sigma`, of a tensor, element by element. See :func:`is_holomorphic`.
        gain: Weights begin normal with standard deviation ``gain / sqrt(fan_in)``, truncated at
            twice that.
        bias: Whether the connections learn biases, which begin at 0.
        max_steps: Iterations after which a relaxation gives up.
        step_size: The fraction of the way that a state moves towards what it is driven to. At
            1 it goes all the way, as above; below 1 the fixed points are the same, and their
            approach is slower and surer, see Notes.
        tolerance: The largest distance of a unit from what it is driven to that counts as
            settled; default: a hundred times the resolution of the dtype. For a gradient from a
            nudge it is stricter, see :meth:`tolerance_at`.
        generator: Source of randomness for the weights; default: torch's global one.
        device: Where the parameters live.
        dtype: Their type, float32 or float64. In float32 a small nudge is lost in round-off: see
            :class:`EquilibriumPropagation`.

    Shape:
        Input (batch, \*in_shape); output (batch, n_classes).

    Raises:
        TypeError: If a size is not an integer, ``hidden`` no sequence, or the activation no
            function.
        ValueError: If a size is below 1, there is no hidden layer, the layers do not fit on
            each other, ``step_size`` is above 1, or the dtype is neither float32 nor float64.
            When called, if the network has been put into half precision since.

    Example:
        >>> import torch
        >>> g = torch.Generator().manual_seed(0)
        >>> network = HolomorphicNetwork(64, [32, 32], 10, generator=g)
        >>> network(torch.rand(5, 64)).shape
        torch.Size([5, 10])
        >>> settled = network.settle(torch.rand(5, 64))
        >>> bool((settled.residual < 1e-4).all())
        True
        >>> [name for name, _ in network.named_parameters()][:2]
        ['connections.0.weight', 'connections.0.bias']

    Notes:
        Learn with :class:`EquilibriumPropagation`; logits carry no gradient, so that
        backpropagating a loss of them fails rather than giving a wrong gradient. Evaluation
        takes the last states even of samples that have not settled; a gradient refuses them.

        Synchronous iterations need not converge: with symmetric weights they end at a fixed
        point or in a cycle of two, in which layers silence each other in turn. The published
        code begins with a gain of 1, with which dense networks of the steep :class:`Logistic`
        sit at that edge; 0.5 is ours. So is a ``step_size`` below 1: if it is small enough, it
        takes such cycles to a fixed point, and networks that have learnt for a while tend to
        need it. The fixed points do not depend on it, nor does what counts as settled; but a
        step too small to move a state by the last digit of its dtype never arrives, and its
        gradient is refused.

        **Dale's law.** The gradient of equilibrium propagation is exact because what carries
        the nudge down is the transpose of what carries activity up. A hidden unit whose
        outgoing weights all have one sign, as ``signs.fix(network, "connections.1.weight",
        ...)`` has it, therefore *receives* its feedback through synapses of its own sign, and
        each unit above *sends* feedback of both signs: the law holds upwards and is broken
        downwards. It can hold both ways with symmetric weights only between units of one kind.
        :meth:`keep_dale_` makes it hold both ways by giving feedback the sign of its sender,
        and gives up the symmetry; the gradient then has a bias that no nudge, number of points
        or length of relaxation removes. :func:`compare_gradients` measures it.

    References:
        Laborieux & Zenke 2022 (NeurIPS), arXiv 2209.00530; on asymmetric weights, Laborieux &
        Zenke 2024 (ICLR), arXiv 2309.02214.
    """

    def __init__(
        self,
        in_shape: int | tuple[int, int, int],
        hidden: Sequence[int | ConvBlock],
        n_classes: int,
        activation: Activation | None = None,
        *,
        gain: float = 0.5,
        bias: bool = True,
        max_steps: int = 500,
        step_size: float = 1.0,
        tolerance: float | None = None,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_shape = input_shape(in_shape)
        self.n_classes = require.integer("n_classes", n_classes, minimum=1)
        self.activation: Activation = Logistic() if activation is None else activation
        if not callable(self.activation) or isinstance(self.activation, type):
            raise TypeError(
                f"`activation` must be a function of a tensor; got {activation!r}."
            )
        require.flag("bias", bias)
        require_dtype("dtype", torch.get_default_dtype() if dtype is None else dtype)
        require_generator(generator)
        self.gain = require.positive("gain", gain)
        self.max_steps = require.integer("max_steps", max_steps, minimum=1)
        self.step_size = step_size
        if tolerance is not None:
            require.positive("tolerance", tolerance)
        self._tolerance = tolerance
        if not isinstance(hidden, Sequence):
            raise TypeError(f"`hidden` must be a sequence of layers; got {hidden!r}.")
        if not hidden:
            raise ValueError(
                "`hidden` must hold a layer at least: only hidden layers settle; got none."
            )
        self.connections = nn.ModuleList()
        shape = self.in_shape
        for layer in hidden:
            connection = _connection(shape, layer, bias, device, dtype)
            self.connections.append(connection)
            shape = connection.post_shape
        self.readout = DenseConnection(shape, self.n_classes, bias, device, dtype)
        self.reset_parameters(generator)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each hidden layer's state, without samples."""
        return tuple(connection.post_shape for connection in self.connections)  # type: ignore[misc]

    @property
    def step_size(self) -> float:
        """How far a state moves towards what it is driven to; may be set."""
        return self._step_size

    @step_size.setter
    def step_size(self, step_size: float) -> None:
        if require.positive("step_size", step_size) > 1:
            raise ValueError(f"`step_size` must be at most 1; got {step_size}.")
        self._step_size = float(step_size)

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the weights."""
        return self.readout.weight.dtype

    @property
    def tolerance(self) -> float:
        """How far a unit may be from what it is driven to and count as settled."""
        if self._tolerance is not None:
            return self._tolerance
        return 100 * torch.finfo(self.dtype).eps

    def tolerance_at(self, beta: float, tolerance: float | None = None) -> float:
        r"""Return the tolerance under a nudge, :math:`\min(1, |\beta|)` times that without one.

        What is left of a relaxation is divided by :math:`\beta` in the gradient. Below four
        times the resolution of the dtype nothing can be told apart, so the tolerance is not
        less than that: under a nudge so small the error of the gradient grows as the nudge
        shrinks, and is not refused.

        Args:
            beta: Strength of the nudge.
            tolerance: The tolerance without a nudge; default: the network's.
        """
        finest = _RESOLVED * torch.finfo(self.dtype).eps
        return max(min(1.0, beta) * (tolerance or self.tolerance), finest)

    @torch.no_grad()
    def reset_parameters(
        self, generator: torch.Generator | None = None, *, sd: float | None = None
    ) -> None:
        """Draw the weights anew, and set the biases to 0.

        Args:
            generator: Source of randomness; default: torch's global one.
            sd: Standard deviation of all weights, whatever the fan-in; default: ``gain /
                sqrt(fan_in)``.
        """
        if sd is not None:
            require.positive("sd", sd)
        for connection in (*self.connections, self.readout):
            scale = sd
            if scale is None:
                fan_in = connection.weight[0].numel()
                scale = self.gain / math.sqrt(fan_in)
            # Truncated, so that no unit begins near saturation by chance.
            numbers = 0, scale, -2 * scale, 2 * scale
            fill, weight = nn.init.trunc_normal_, connection.weight
            drawn_(fill, weight, *numbers, generator=generator)
            if connection.bias is not None:
                nn.init.zeros_(connection.bias)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Settle without a teaching signal, and return the logits, (batch, n_classes)."""
        return self.readout(self.settle(x).states[-1])  # type: ignore[no-any-return]

    @torch.no_grad()
    def settle(self, x: Tensor, *, tolerance: float | None = None) -> Settled:
        """Settle without a teaching signal, from silence, and say how well.

        Args:
            x: Inputs, ``(batch, *in_shape)``.
            tolerance: The largest residual that counts as none; default: the network's.
        """
        require_input(x, self.in_shape, self.dtype)
        bottom = self.bottom(x)
        # Always from zero: another start may end at another fixed point.
        silence = tuple(x.new_zeros(len(x), *shape) for shape in self.shapes)
        return relax(
            lambda states: self.step(bottom, states),
            silence,
            max_steps=self.max_steps,
            tolerance=self.tolerance if tolerance is None else tolerance,
            step_size=self.step_size,
        )

    def bottom(self, x: Tensor) -> Tensor:
        """Return what the input contributes to the first hidden layer's drive.

        It does not change while the network settles.
        """
        return self.connections[0](x)  # type: ignore[no-any-return]

    def step(
        self,
        bottom: Tensor,
        states: States,
        target: Tensor | None = None,
        beta: Tensor | None = None,
        noise: Sequence[Tensor] | None = None,
    ) -> States:
        """Return what all hidden layers are driven to.

        A ``step_size`` below 1 moves them only a fraction of the way.

        Args:
            bottom: What the input contributes, see :meth:`bottom`.
            states: One tensor for each hidden layer.
            target: Probability of each class, (batch, n_classes); None without a nudge.
            beta: Strength of the nudge for each sample, (batch, 1), real or complex.
            noise: Added to each layer's drive.

        Returns:
            The new states.
        """
        drives: list[Tensor] = [bottom]
        # The first connection is not among them: its drive, `bottom`, does not change.
        upper = list(self.connections)[1:]
        for below, above, connection in zip(states, states[1:], upper, strict=False):
            drive, feedback = connection(below, above)
            # Not in place: autograd may watch, as in recurrent backpropagation.
            drives[-1] = drives[-1] + feedback
            drives.append(drive)
        if target is not None and beta is not None:
            drives[-1] = drives[-1] + self.nudge(states[-1], target, beta)
        if noise is not None:
            drives = [drive + more for drive, more in zip(drives, noise, strict=True)]
        return tuple(self.activation(drive) for drive in drives)

    def nudge(self, top: Tensor, target: Tensor, beta: Tensor) -> Tensor:
        """Return the teaching signal's drive of the last hidden layer."""
        error = self.error(top, target)
        # Transposed and never conjugated, like all feedback.
        return ((beta * error) @ self.readout.weight.to(top.dtype)).reshape(top.shape)

    def error(self, top: Tensor, target: Tensor) -> Tensor:
        """Return target minus output, ``y - softmax(z)``."""
        return target - softmax(self.readout(top))

    @torch.no_grad()
    def keep_dale_(
        self, populations: Sequence[Populations | int]
    ) -> HolomorphicNetwork:
        r"""Make every hidden unit excitatory or inhibitory in all that it sends, up and down.

        The symmetry of the weights is lost. The weights that hidden units send up are given the
        sign of their column, their feedback that of its sender:

        .. math:: W_{ij} \leftarrow s_j |W_{ij}|, \qquad W^{\text{down}}_{ji} = s_i |W_{ij}|.

        Signs that no longer cancel drive a layer of many units into saturation, where nothing
        can learn. So the weights between two hidden layers are scaled down, where need be,
        until either layer, with all its units at 1, drives those of the other by 1/2 on
        average:

        .. math:: \max\Bigl( \bigl\langle \textstyle\sum_j s_j |W_{ij}| \bigr\rangle_i,\;
                  \bigl\langle \textstyle\sum_i s_i |W_{ij}| \bigr\rangle_j \Bigr) \le \tfrac12

        (either sum by its size). Wide layers are then coupled weakly, at first.

        The lower a layer, the more of its gradient the asymmetry spoils. That of the readout
        stays exact, and is most of the whole: a relative error of a few per cent over all
        parameters goes with one of 1 to 2 in the first layer, worse than no gradient there.
        Read ``by_parameter`` of :func:`compare_gradients`.

        Args:
            populations: A partition for each hidden layer: of its units, or of a convolution's
                channels.

        Returns:
            The network, for chaining. ``optim.enforce`` keeps the law while it learns.

        Raises:
            TypeError: If ``populations`` is no sequence.
            ValueError: If there is not a partition for each hidden layer, or one does not fit.

        Example:
            >>> import torch
            >>> from daleml import Populations, signs
            >>> from daleml.learning import EquilibriumPropagation, compare_gradients
            >>> x, y = torch.rand(8, 6, dtype=torch.float64), torch.arange(8) % 3
            >>> network = HolomorphicNetwork(6, [10, 10], 3, gain=0.3, dtype=torch.float64)
            >>> rule = EquilibriumPropagation(network, beta=0.1, n_points=12)
            >>> compare_gradients(rule, x, y).relative_error < 1e-10
            True
            >>> _ = network.keep_dale_([Populations(8, 2), Populations(8, 2)])
            >>> bool(signs.check(network))
            True
            >>> compare_gradients(rule, x, y).relative_error > 1e-3  # more points do not help
            True
        """
        impose_dale_feedback_(self.connections, self.readout, populations)
        return self

    def extra_repr(self) -> str:
        """Describe the network."""
        return (
            f"in_shape={self.in_shape}, shapes={self.shapes}, n_classes={self.n_classes},"
            f" {self.activation!r}"
        )


def _connection(
    shape: tuple[int, ...],
    layer: int | ConvBlock,
    bias: bool,
    device: torch.device | str | None,
    dtype: torch.dtype | None,
) -> Connection:
    """Return the connection from states of a shape to one more hidden layer."""
    if not isinstance(layer, ConvBlock):
        n_units = require.integer("hidden", layer, minimum=1)
        return DenseConnection(shape, n_units, bias, device, dtype)
    if len(shape) != 3:
        raise ValueError(
            f"`hidden` must have convolutions on images only; got one on {shape}."
        )
    return ConvConnection(shape, layer, bias, device, dtype)
