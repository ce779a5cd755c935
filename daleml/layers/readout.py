"""The readout of a circuit, which takes what a recurrent layer returns."""

from __future__ import annotations

from typing import Any, Unpack

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from daleml import require
from daleml._support.shared_options import completed, lists_options, options_of
from daleml.layers._shared.layer_options import DenseOptions
from daleml.layers.linear import EILinear
from daleml.populations import Populations


@lists_options(DenseOptions)
class Readout(EILinear):
    r"""A readout of a circuit's rates, :math:`y_t = W r_t + b`, which ends a model of a circuit.

    It takes the pair that a recurrent layer returns, (rates, state), and reads the rates; so
    ``nn.Sequential(EIRNN(...), Readout(...))`` is a whole model. The weight keeps the signs of
    the units that are read: :class:`EILinear` with another input, and excitatory by default, as
    projections out of a cortical circuit are.

    Args:
        populations: The units of the circuit: a partition, or an int for as many excitatory
            ones.
        n_outputs: Number of outputs, or a partition of them, whose names Blocks can use.
        bias: Whether to learn an additive bias, which has no sign to keep.
        excitatory_only: Whether to read the excitatory units alone.
        options: Options of a layer, by keyword.

    Shape:
        - input: rates ``(*, units)``, or a ``PackedSequence`` of them; or a pair of such rates and
          a state, which is not read.
        - output: ``(*, n_outputs)``, packed if the rates are.
        - weight (n_outputs, n_exc), or (n_outputs, units) if inhibitory units are read too.

    Raises:
        TypeError: If a size is not an integer, or an option of the wrong kind; from a call, if
            the input is something else.
        ValueError: If a size is below 1, there is no excitatory unit where only those are read,
            or an option does not fit the populations.

    Example:
        >>> from torch import nn
        >>> from daleml import Populations
        >>> from daleml.layers import EIRNN
        >>> from daleml.tasks import PerceptualDecision
        >>> pops, task = Populations(40, 10), PerceptualDecision()
        >>> model = nn.Sequential(
        ...     EIRNN(task.n_inputs, pops), Readout(pops, task.n_outputs)
        ... )
        >>> trials = task.sample(5)
        >>> model(trials.inputs).shape
        torch.Size([8, 5, 3])
        >>> task.loss(model(trials.inputs), trials).requires_grad
        True

    Notes:
        ``nn.RNN``, ``nn.GRU`` and ``nn.LSTM`` return such pairs too; their rates may be negative,
        for which the sign of a synapse means nothing. A cell returns one tensor, which is read
        as rates: without a leak it is; with one, give ``cell.rates(state)``.

    References:
        Song, Yang & Wang 2016 PLoS Comput Biol 12:e1004792, whose outputs read excitatory units.
    """

    _closed = True

    def __init__(
        self,
        populations: Populations | int,
        n_outputs: int | Populations,
        bias: bool = True,
        *,
        excitatory_only: bool = True,
        **options: Unpack[DenseOptions],
    ) -> None:
        # Looked at here, where the options and the size have these names.
        completed(Readout, options_of(DenseOptions), options)
        if not isinstance(n_outputs, Populations):
            n_outputs = require.integer("n_outputs", n_outputs, minimum=1)
        super().__init__(
            populations, n_outputs, bias, excitatory_only=excitatory_only, **options
        )

    # What comes in packed goes out packed, which types cannot say of a subclass.
    def forward(self, input: Any) -> Any:
        """Read the rates of a circuit.

        Args:
            input: The rates, or the pair of rates and state.

        Raises:
            TypeError: If it is neither.
        """
        rates = _rates(input)
        if isinstance(rates, PackedSequence):
            # Steps of all sequences lie in one matrix, and each is read on its own.
            return rates._replace(data=super().forward(rates.data))
        return super().forward(rates)


def _rates(given: Any) -> Tensor | PackedSequence:
    """Return the rates of what a recurrent layer returns, or raise."""
    # Looked at first, since a packed sequence is a tuple too.
    if isinstance(given, (Tensor, PackedSequence)):
        return given
    is_pair = isinstance(given, tuple) and len(given) == 2
    if is_pair and isinstance(given[0], (Tensor, PackedSequence)):
        rates: Tensor | PackedSequence = given[0]
        return rates
    raise TypeError(
        "`input` must be rates, or the pair of rates and state that a recurrent layer"
        f" returns; got {_described(given)}."
    )


def _described(given: object) -> str:
    if isinstance(given, (tuple, list)):
        return f"a {type(given).__name__} of {len(given)}"
    return type(given).__name__
