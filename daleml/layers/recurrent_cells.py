"""Cells that keep Dale's law: one step of a recurrent layer, called like ``nn.RNNCell``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Unpack

from daleml import require
from daleml._support.shared_options import completed, lists_options, options_of
from daleml.layers._recurrent.cell_interface import Cell
from daleml.layers._recurrent.circuit_options import ColumnEIOptions, DANNOptions
from daleml.layers._recurrent.nonlinearities import Nonlinearity
from daleml.layers._recurrent.sizes import DANN_FIXED, dann_parts, partition, sizes
from daleml.layers._recurrent.sparse_column_ei import SparseColumnEI
from daleml.layers._shared.checked_attributes import AttributeCheck
from daleml.populations import Populations


@lists_options(ColumnEIOptions)
class EIRNNCell(Cell):
    r"""One step of an :class:`EIRNN`, called like ``nn.RNNCell``: ``(input, hx=None) -> hx'``.

    .. math:: r_t = f(U u_t + b_{ih} + W r_{t-1} + b_{hh})

    and with a leak the step of the state that stands in :class:`EIRNN`.

    Args:
        input_size: The inputs: a partition, or an int for as many excitatory ones.
        hidden_size: The units: a partition; an int is read as that many excitatory ones, with a
            warning.
        bias: Whether to learn ``bias_ih`` and ``bias_hh``.
        nonlinearity: ``"relu"``, ``"tanh"``, ``"softplus"``, or a function of a tensor, which
            makes rates of states.
        options: Those of :class:`EIRNN`.

    Shape:
        Input (batch, input_size) or (input_size,); ``hx`` and the result (batch, units) or
        (units,), or under ``dynamics`` with other variables, ``cell.state_names``, (batch,
        variables * units).

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
        The result is the state; with a leak its rates are ``cell.rates(state)``. Where a loop of
        one's own is needed, ``with cell.composed():`` composes the weights once for all its
        steps. Whole sequences are faster by :class:`EIRNN`.

        As with ``nn.RNNCell``, do not change the result in place before ``backward``, whose
        derivatives are told from it: write ``state = state * going_on``, not ``state[ended] = 0``.
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
        given = completed(EIRNNCell, options_of(ColumnEIOptions), options)
        inputs, units = sizes("input_size", input_size), partition(hidden_size)
        super().__init__(SparseColumnEI(), inputs, units, nonlinearity, bias, given)


@lists_options(DANNOptions)
class DANNRNNCell(Cell):
    r"""One step of a :class:`DANNRNN`, called like ``nn.RNNCell``: ``(input, hx=None) -> hx'``.

    .. math::
        r_t = f\bigl((U_{ex} - U_{ei} U_{ix}) u_t + (W_{ex} - W_{ei} W_{ix}) r_{t-1}
        + b_{ih} + b_{hh}\bigr)

    and with shunting or a leak the step that stands in :class:`DANNRNN` or :class:`EIRNN`.

    Args:
        input_size: Number of inputs, all excitatory.
        hidden_size: Number of excitatory units.
        n_inh: Number of interneurons of each path; default: a tenth of the units, at least 1.
        bias: Whether to learn ``bias_ih`` and ``bias_hh``.
        nonlinearity: ``"relu"``, ``"tanh"``, ``"softplus"``, or a function of a tensor, which
            makes rates of states.
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
        >>> cell, state = DANNRNNCell(3, 50, n_inh=5), None
        >>> with cell.composed():
        ...     for input in torch.rand(20, 8, 3):
        ...         state = cell(input, state)
        >>> state.shape
        torch.Size([8, 50])

    Notes:
        Outside of a block of :meth:`composed` every step composes the weights anew.
    """

    _closed = True

    _fixed = Cell._fixed | DANN_FIXED
    _told = (*Cell._told, "eps")
    _checked: ClassVar[Mapping[str, AttributeCheck]] = {
        **Cell._checked,
        "eps": require.positive,
    }

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        n_inh: int | None = None,
        bias: bool = True,
        nonlinearity: str | Nonlinearity = "relu",
        **options: Unpack[DANNOptions],
    ) -> None:
        given = completed(DANNRNNCell, options_of(DANNOptions), options)
        inputs, units, wiring = dann_parts(input_size, hidden_size, n_inh, given)
        super().__init__(wiring, inputs, units, nonlinearity, bias, given)
        self.n_inh, self.shunting = wiring.n_inh, wiring.shunting
        self.eps = given["eps"]

    def _describe_units(self) -> str:
        return f"{self.hidden_size}, n_inh={self.n_inh}, shunting={self.shunting}"
