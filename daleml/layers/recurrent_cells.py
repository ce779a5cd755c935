"""Cells that keep Dale's law, each one step of a recurrent layer and a drop-in for ``nn.RNNCell``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Unpack

from daleml import require
from daleml.layers._recurrent.cell_interface import Cell
from daleml.layers._recurrent.circuit_options import ColumnEIOptions, DANNOptions
from daleml.layers._recurrent.column_ei_wiring import ColumnEI
from daleml.layers._recurrent.loop import Nonlinearity
from daleml.layers._recurrent.sizes import DANN_FIXED, dann_parts, partition, sizes
from daleml.layers._shared.checked_attributes import Check
from daleml.layers._shared.keyword_options import completed, lists_options
from daleml.populations import Populations


@lists_options(ColumnEIOptions)
class EIRNNCell(Cell):
    r"""One step of an :class:`EIRNN`, called like ``nn.RNNCell``: ``(input, hx=None) -> hx'``.

    Args:
        input_size: As in :class:`EIRNN`, and so are all the others.
        hidden_size: The units.
        bias: Whether to learn ``bias_ih`` and ``bias_hh``.
        nonlinearity: What makes rates of states.
        options: Those of :class:`EIRNN`.

    Shape:
        Input (batch, input_size) or (input_size,); ``hx`` and the result (batch, units) or
        (units,).

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a size, mask, time constant or option is impossible.
        RuntimeError: From a call with a wrong shape, in the words of ``nn.RNNCell``.

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> cell, state = EIRNNCell(3, Populations(40, 10), dt_ms=10, tau_ms=50), None
        >>> for input in torch.rand(20, 8, 3):
        ...     state = cell(input, state)
        >>> cell.rates(state).shape
        torch.Size([8, 50])

    Notes:
        The result is the state; with a leak its rates are ``cell.rates(state)``. For whole
        sequences :class:`EIRNN` is faster, and composes its weights once.
    """

    _closed = True

    def __init__(
        self,
        input_size: int | Populations,
        hidden_size: Populations | int,
        bias: bool = True,
        nonlinearity: str | Nonlinearity = "relu",
        **options: Unpack[ColumnEIOptions],
    ) -> None:
        given = completed(EIRNNCell, ColumnEIOptions, options)
        inputs, units = sizes("input_size", input_size), partition(hidden_size)
        super().__init__(ColumnEI(), inputs, units, nonlinearity, bias, given)


@lists_options(DANNOptions)
class DANNRNNCell(Cell):
    r"""One step of a :class:`DANNRNN`, called like ``nn.RNNCell``: ``(input, hx=None) -> hx'``.

    Args:
        input_size: As in :class:`DANNRNN`, and so are all the others.
        hidden_size: Number of excitatory units.
        n_inh: Number of interneurons of each path.
        bias: Whether to learn ``bias_ih`` and ``bias_hh``.
        nonlinearity: What makes rates of states.
        options: Those of :class:`DANNRNN`.

    Shape:
        Input (batch, input_size) or (input_size,); ``hx`` and the result (batch, units) or
        (units,).

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a size, mask, time constant or option is impossible.
        RuntimeError: From a call with a wrong shape, in the words of ``nn.RNNCell``.

    Example:
        >>> import torch
        >>> cell = DANNRNNCell(3, 50, n_inh=5, shunting=True)
        >>> cell(torch.rand(8, 3)).shape
        torch.Size([8, 50])
    """

    _closed = True

    _fixed = Cell._fixed | DANN_FIXED
    _told = (*Cell._told, "eps")
    _checked: ClassVar[Mapping[str, Check]] = {**Cell._checked, "eps": require.positive}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        n_inh: int | None = None,
        bias: bool = True,
        nonlinearity: str | Nonlinearity = "relu",
        **options: Unpack[DANNOptions],
    ) -> None:
        given = completed(DANNRNNCell, DANNOptions, options)
        inputs, units, wiring = dann_parts(input_size, hidden_size, n_inh, given)
        super().__init__(wiring, inputs, units, nonlinearity, bias, given)
        self.n_inh, self.shunting = wiring.n_inh, wiring.shunting
        self.eps = given["eps"]

    def _describe_units(self) -> str:
        return f"{self.hidden_size}, n_inh={self.n_inh}, shunting={self.shunting}"
