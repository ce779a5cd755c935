"""Cells that keep Dale's law, each one step of a recurrent layer and a drop-in for ``nn.RNNCell``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from daleml import require
from daleml.layers._recurrent.cell_interface import Cell
from daleml.layers._recurrent.loop import Nonlinearity
from daleml.layers._recurrent.masks import Connectivity
from daleml.layers._recurrent.sizes import DANN_FIXED, dann_parts, partition, sizes
from daleml.layers._recurrent.wiring import ColumnEI
from daleml.layers.checked_attributes import Check
from daleml.populations import Populations


class EIRNNCell(Cell):
    r"""One step of an :class:`EIRNN`, called like ``nn.RNNCell``: ``(input, hx=None) -> hx'``.

    Args:
        input_size: As in :class:`EIRNN`, and so are all the others.
        hidden_size: The units.
        bias: Whether to learn ``bias_ih`` and ``bias_hh``.
        nonlinearity: What makes rates of states.
        mask: Which recurrent synapses exist.
        input_mask: Which input synapses exist.
        autapses: Whether a unit may synapse onto itself.
        dt_ms: Length of a time step in ms.
        tau_ms: Time constant in ms, of all units or one for each.
        noise: Standard deviation of the state under noise alone.
        noise_in_eval: Whether there is noise in ``eval()`` too.
        train_initial_state: Whether the state a sequence begins with is learned.
        input_mean: Mean of the input, which the first bias cancels.
        spectral_radius: Of the recurrent weight when it is drawn; default: 0.95, or 0.9 if all
            units have one sign.
        generator: Source of randomness for masks, weights and noise.
        device: Where the parameters live.
        dtype: Their floating-point type.

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
        *,
        mask: Connectivity = None,
        input_mask: Connectivity = None,
        autapses: bool | None = None,
        dt_ms: float | None = None,
        tau_ms: float | Sequence[float] | Tensor | None = None,
        noise: float = 0.0,
        noise_in_eval: bool = False,
        train_initial_state: bool = False,
        input_mean: float = 0.0,
        spectral_radius: float | None = None,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            ColumnEI(), sizes("input_size", input_size), partition(hidden_size), bias,
            nonlinearity=nonlinearity, mask=mask, input_mask=input_mask, autapses=autapses, dt_ms=dt_ms, tau_ms=tau_ms,
            noise=noise, noise_in_eval=noise_in_eval, train_initial_state=train_initial_state,
            input_mean=input_mean, spectral_radius=spectral_radius,
            generator=generator, device=device, dtype=dtype,
        )  # fmt: skip


class DANNRNNCell(Cell):
    r"""One step of a :class:`DANNRNN`, called like ``nn.RNNCell``: ``(input, hx=None) -> hx'``.

    Args:
        input_size: As in :class:`DANNRNN`, and so are all the others.
        hidden_size: Number of excitatory units.
        n_inh: Number of interneurons of each path.
        bias: Whether to learn ``bias_ih`` and ``bias_hh``.
        nonlinearity: What makes rates of states.
        shunting: Whether inhibition also divides.
        eps: The weakest shunt that divides. Used with ``shunting`` only.
        mask: Which excitatory recurrent synapses exist.
        input_mask: Which excitatory input synapses exist.
        autapses: Whether an excitatory unit may synapse onto itself.
        dt_ms: Length of a time step in ms.
        tau_ms: Time constant in ms, of all units or one for each.
        noise: Standard deviation of the state under noise alone.
        noise_in_eval: Whether there is noise in ``eval()`` too.
        train_initial_state: Whether the state a sequence begins with is learned.
        generator: Source of randomness for masks, weights and noise.
        device: Where the parameters live.
        dtype: Their floating-point type.

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
        *,
        shunting: bool = False,
        eps: float = 1e-2,
        mask: Connectivity = None,
        input_mask: Connectivity = None,
        autapses: bool | None = None,
        dt_ms: float | None = None,
        tau_ms: float | Sequence[float] | Tensor | None = None,
        noise: float = 0.0,
        noise_in_eval: bool = False,
        train_initial_state: bool = False,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        inputs, units, wiring = dann_parts(
            input_size, hidden_size, n_inh, shunting, eps
        )
        super().__init__(
            wiring, inputs, units, bias,
            nonlinearity=nonlinearity, mask=mask, input_mask=input_mask, autapses=autapses, dt_ms=dt_ms, tau_ms=tau_ms,
            noise=noise, noise_in_eval=noise_in_eval, train_initial_state=train_initial_state,
            input_mean=0.0, spectral_radius=None,
            generator=generator, device=device, dtype=dtype,
        )  # fmt: skip
        self.n_inh, self.shunting, self.eps = wiring.n_inh, wiring.shunting, eps

    def _describe_units(self) -> str:
        return f"{self.hidden_size}, n_inh={self.n_inh}, shunting={self.shunting}"
