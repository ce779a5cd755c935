"""A recurrent network of Morris-Lecar neurons, coupled by graded currents."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn

from daleml import require, signs
from daleml._support.devices import drawn_, place_of
from daleml.neurons.coupled_cells import (
    GAIN,
    Cells,
    StepBlock,
    advance,
    advance_without_gradient,
)
from daleml.neurons.morris_lecar import REST_MV, REST_W, MorrisLecar, number_of_steps
from daleml.populations import Populations

APPLIED = 0.1
"""The constant part of the input, as published, in units of the gain."""
OFFSET = 39.9
"""The constant current, µA/cm², as published; alone, it puts every cell at its rheobase."""
_SPREAD_MV = 5.0
"""Standard deviation of the initial voltages."""

State: TypeAlias = tuple[Tensor, Tensor]
"""Voltages, mV, and potassium gates."""


class MorrisLecarNetwork(nn.Module):
    r"""Cells coupled by graded transmission, read out by their mean transmission at the end.

    .. math::
        T_j = \operatorname{logistic}\Big(\frac{V_j + 3\,\text{mV}}{8\,\text{mV}}\Big), \qquad
        I = 36.75\, (0.1 + U u + W T) + 39.9 \;\text{µA/cm}^2, \qquad
        y = R\, \langle T \rangle + b

    with every :math:`V` and :math:`w` as in :class:`MorrisLecar`, and the mean over the last
    ``read_ms``. Each row of the input lasts ``input_ms``. With ``populations``, which is our
    addition, Dale's law fixes the sign of each column of :math:`W`.

    Args:
        input_size: Number of inputs.
        hidden_size: Number of cells.
        output_size: Number of outputs.
        populations: Which cells excite and which inhibit; default: as published, synapses of
            any sign.
        cell: The constants of the cells.
        dt_ms: Length of a step; as published 0.1. A coarser one warns: see
            ``MorrisLecar.accurate_step_ms``.
        input_ms: Time that a row of the input lasts, a multiple of ``dt_ms``.
        read_ms: Time at the end of a sequence over which transmission is averaged.
        compiled: Whether to compile the cells' step. The first run then takes seconds longer,
            with gradients about 20, and needs a C++ compiler; later ones take a third of the
            time. Default: only where a run of many networks at once, without gradients, will
            soon repay it.
        generator: Source of randomness for weights and initial states; default: torch's global one.

    Shape:
        - input: (time, batch, input_size), one row every ``input_ms``.
        - output: (batch, output_size).
        - ``weight_ih``: (hidden_size, input_size); ``weight_hh``: (hidden_size, hidden_size),
          ``(post, pre)``.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If one is out of range, the step is too long for the cell, or
            ``populations`` has another size.

    Example:
        >>> import torch
        >>> from daleml import Populations, signs
        >>> net = MorrisLecarNetwork(5, 10, 3, populations=Populations(8, 2))
        >>> net(torch.rand(20, 4, 5)).shape  # 20 rows of 4 ms
        torch.Size([4, 3])
        >>> bool(signs.check(net))
        True

    Warns:
        UserWarning: If the step is longer than ``MorrisLecar.accurate_step_ms``.

    Notes:
        With :math:`n` cells, initial weights are as published: those of the input and of the
        readout uniform in :math:`0.1 \pm 1/\sqrt n`, the readout's bias in :math:`\pm 1/\sqrt
        n`, those between cells in :math:`0.001 \pm 1/\sqrt n`, and a fifth of the last 0.001.
        Coupling is instantaneous, as in the published code: no synapse has a variable of its
        own. The published current has a noise term too, whose size is not known; here the
        initial voltages, :math:`N(-20, 5^2)` mV, are the only chance. Under ``populations``
        magnitudes are those of the published draw, and inhibitory synapses are ``n_exc /
        n_inh`` times as strong, so that the two balance.

    References:
        Hazelden, Liu, Shlizerman, Shea-Brown 2023 arXiv:2311.10869.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        populations: Populations | None = None,
        cell: MorrisLecar | None = None,
        dt_ms: float = 0.1,
        input_ms: float = 4.0,
        read_ms: float = 10.0,
        compiled: bool | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        sizes = {
            "input_size": input_size,
            "hidden_size": hidden_size,
            "output_size": output_size,
        }
        for name, size in sizes.items():
            require.integer(name, size, minimum=1)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.output_size = output_size
        if populations is not None and not isinstance(populations, Populations):
            raise TypeError(
                f"`populations` must be a Populations; got {type(populations).__name__}."
            )
        if populations is not None and populations.size != hidden_size:
            raise ValueError(
                f"`populations` must be of {hidden_size} units, `hidden_size`; got"
                f" {populations.size}."
            )
        if cell is not None and not isinstance(cell, MorrisLecar):
            raise TypeError(f"`cell` must be a MorrisLecar; got {type(cell).__name__}.")
        if generator is not None and not isinstance(generator, torch.Generator):
            raise TypeError(
                f"`generator` must be a torch.Generator; got {type(generator).__name__}."
            )
        self.populations, self.cell = populations, cell or MorrisLecar()
        self.dt_ms = self.cell.require_step(dt_ms)
        # Each time a network is built: the step decides what its cells do.
        self.cell.warn_if_coarse(self.dt_ms)
        self._steps = number_of_steps("input_ms", input_ms, self.dt_ms)
        self._read_steps = number_of_steps("read_ms", read_ms, self.dt_ms)
        self.input_ms, self.read_ms = float(input_ms), float(read_ms)
        if compiled is not None:
            require.flag("compiled", compiled)
        self.compiled = compiled
        self.generator = generator
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.readout = nn.Linear(hidden_size, output_size)
        self.reset_parameters(generator)

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw the weights anew, and fix their signs.

        Args:
            generator: Source of randomness; default: torch's global one.
        """
        # The published input matrix is (inputs, cells), so that its spread, by the second
        # dimension, goes by cells.
        spread = 1 / math.sqrt(len(self.weight_hh))
        means = (
            (self.weight_ih, 0.1),
            (self.readout.weight, 0.1),
            (self.weight_hh, 0.001),
        )
        for weight, mean in means:
            ends = mean - spread, mean + spread
            drawn_(Tensor.uniform_, weight, *ends, generator=generator)
        bias = self.readout.bias
        drawn_(Tensor.uniform_, bias, -spread, spread, generator=generator)
        # A fifth of the synapses is next to nothing, as published.
        place, shape = place_of(generator), self.weight_hh.shape
        weak = torch.rand(shape, generator=generator, device=place) < 0.2
        self.weight_hh.masked_fill_(weak.to(self.weight_hh.device), 0.001)
        pops = self.populations
        if pops is not None:
            # Fewer inhibitory synapses, each as much stronger.
            balance = pops.n_exc / pops.n_inh if pops.n_exc and pops.n_inh else 1.0
            self.weight_hh.abs_()[:, pops.inh] *= -balance
            signs.fix(self, "weight_hh", pops)

    def initial_state(
        self, batch: int, generator: torch.Generator | None = None
    ) -> State:
        """Draw the states at which a batch of sequences begins.

        They are voltages in mV and potassium gates, each (batch, hidden_size).

        Args:
            batch: Number of sequences.
            generator: Source of randomness; default: the network's, or torch's global one.
        """
        generator = self.generator if generator is None else generator
        place = place_of(generator)
        shape = batch, self.hidden_size
        drawn = torch.randn(shape, generator=generator, device=place)
        drawn = drawn.to(self.weight_hh.device, self.weight_hh.dtype)
        return REST_MV + _SPREAD_MV * drawn, torch.full_like(drawn, REST_W)

    def forward(self, input: Tensor, state: State | None = None) -> Tensor:
        """Return the answer to each sequence, (batch, output_size).

        Args:
            input: (time, batch, input_size).
            state: Voltages and gates at the beginning; default: drawn by :meth:`initial_state`.

        Raises:
            TypeError: If one of them is no tensor.
            ValueError: If the input or the state has another shape, or the input is shorter
                than ``read_ms``.
        """
        return cast("Tensor", self.readout(self.activity(input, state)))

    def activity(self, input: Tensor, state: State | None = None) -> Tensor:
        r"""Return the mean transmission :math:`\langle T \rangle` of each cell at the end.

        A readout trained on it alone sees the network as it is: the baseline that any learning
        must beat.

        Args:
            input: (time, batch, input_size).
            state: Voltages and gates at the beginning; default: drawn by :meth:`initial_state`.

        Returns:
            (batch, hidden_size), over the last ``read_ms``.

        Raises:
            TypeError: If one of them is no tensor.
            ValueError: If the input or the state has another shape, or the input is shorter
                than ``read_ms``.
        """
        require.tensor("input", input)
        if input.ndim != 3 or input.shape[2] != self.input_size:
            raise ValueError(
                f"`input` must have shape (time, batch, {self.input_size}); got"
                f" {tuple(input.shape)}."
            )
        n_steps = len(input) * self._steps
        if n_steps < self._read_steps:
            lasts = f"{n_steps * self.dt_ms:g} ms"
            raise ValueError(
                f"`input` must last at least {self.read_ms:g} ms, as long as `read_ms`; got"
                f" {lasts}."
            )
        if state is None:
            state = self.initial_state(input.shape[1])
        v, w = _pair(state)
        wanted = (input.shape[1], self.hidden_size)
        if v.shape != wanted or w.shape != wanted:
            raise ValueError(
                f"`state` must be two tensors {wanted}; got {tuple(v.shape)} and"
                f" {tuple(w.shape)}."
            )
        run: Callable[..., tuple[Cells, Tensor]] = advance_without_gradient
        sources = (self.weight_ih, self.weight_hh, input, v, w)
        needs_gradient = any(source.requires_grad for source in sources)
        if torch.is_grad_enabled() and needs_gradient:
            run = advance
        total, n_left, cells = torch.zeros_like(v), n_steps, Cells.at(v, w)
        for row in input:
            drive = GAIN * (APPLIED + row @ self.weight_ih.t()) + OFFSET
            # The readout's time may begin in the middle of a row.
            n_before = min(max(n_left - self._read_steps, 0), self._steps)
            n_left -= self._steps
            for n, counted in ((n_before, False), (self._steps - n_before, True)):
                if n:
                    block = StepBlock(self.cell, self.dt_ms, n, counted)
                    cells, sums = run(
                        cells, drive, self.weight_hh, block, self.compiled
                    )
                    total = total + sums
        return total / self._read_steps

    def extra_repr(self) -> str:
        """Describe sizes and times."""
        units = f"{self.hidden_size} cells"
        if self.populations is not None:
            units = repr(self.populations)
        return (
            f"{self.input_size}, {units}, {self.output_size}, dt_ms={self.dt_ms:g},"
            f" input_ms={self.input_ms:g}"
        )


def _pair(state: State) -> State:
    if not isinstance(state, tuple) or len(state) != 2:
        raise TypeError(
            f"`state` must be a tuple of voltage and gate; got {type(state).__name__}."
        )
    return require.tensor("state[0]", state[0]), require.tensor("state[1]", state[1])
