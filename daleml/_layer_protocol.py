"""The protocol of a layer: the methods by which a module says what it is, and their lookup."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from daleml._torch_table import SynapticWeight


@runtime_checkable
class DaleLayer(Protocol):
    """The methods by which a feed-forward layer of yours tells every tool what it is.

    A recurrent layer has ``effective_weights`` in place of ``effective_weight``, see
    :class:`RecurrentDaleLayer`. There is nothing to inherit from.

    Example:
        >>> import torch
        >>> from daleml.modules import DaleLayer, SynapticWeight, synaptic_weights
        >>> class Dense(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.synapses = torch.nn.Parameter(torch.ones(2, 3))
        ...     def forward(self, x):
        ...         return x @ self.synapses.T
        ...     def plastic_weights(self):
        ...         return ["synapses"]
        ...     def effective_weight(self):
        ...         return self.synapses
        ...     def redraw_(self, *, draw, ratio=1.0, generator=None):
        ...         draw(self.synapses, 0.1, generator=generator)
        ...     def output_signs(self):
        ...         return None
        >>> isinstance(Dense(), DaleLayer)
        True
        >>> synaptic_weights(Dense()) == (SynapticWeight("synapses"),)
        True
    """

    def plastic_weights(self) -> Iterable[SynapticWeight | str]:
        """Return the synaptic weights, in the order in which they are used.

        A plain name stands for a dense weight.
        """

    def effective_weight(self) -> Tensor:
        """Return what multiplies the input, signed.

        Its shape is ``(post, pre)``, or ``(post, pre, *kernel)`` in a convolution.
        """

    def redraw_(
        self, *, draw: Any, ratio: float = 1.0, generator: torch.Generator | None = None
    ) -> None:
        """Draw the weights anew, in place.

        Their signs stay, and so does the variance of the layer's output.

        Args:
            draw: Fills a tensor with positive numbers of a given mean, ``draw(tensor, mean,
                generator=)``.
            ratio: Mean of the magnitudes that it draws, divided by their standard deviation.
            generator: Source of randomness; default: torch's global one.
        """

    def output_signs(self) -> Tensor | None:
        """Return +1 (excites) or -1 (inhibits) per output unit, or None.

        None leaves the decision to the layers that read them.
        """


@runtime_checkable
class RecurrentDaleLayer(Protocol):
    """The methods by which a recurrent layer or cell tells every tool what it is.

    Example:
        >>> from daleml import Populations
        >>> from daleml.layers import EIRNN
        >>> from daleml.modules import RecurrentDaleLayer
        >>> isinstance(EIRNN(3, Populations(4, 1)), RecurrentDaleLayer)
        True
    """

    def plastic_weights(self) -> Iterable[SynapticWeight]:
        """Return the synaptic weights: per layer what reads its input, then its state."""

    def effective_weights(self) -> Any:
        """Return a named tuple of ``input`` and ``recurrent``, each ``(post, pre)``.

        A stack returns one per layer.
        """

    def redraw_(
        self, *, draw: Any, ratio: float = 1.0, generator: torch.Generator | None = None
    ) -> None:
        """Draw the weights anew, as in :class:`DaleLayer`."""

    def output_signs(self) -> Tensor | None:
        """Return +1 or -1 per output unit, or None, as in :class:`DaleLayer`."""

    def register_layer_hook(self, look: Callable[..., None]) -> Any:
        """Call ``look(suffix, rows, begun, rates, batch_sizes)`` whenever a layer has run.

        ``EIRNN.register_layer_hook`` says what it is called with.
        """

    def rates(self, state: Tensor) -> Tensor:
        """Return the rates of a state."""


# -- asking a module -------------------------------------------------------------------------------

_METHODS = (
    "plastic_weights",
    "effective_weight",
    "effective_weights",
    "redraw_",
    "output_signs",
)


def method(module: nn.Module, name: str) -> Callable[..., Any] | None:
    """Return a method that a module's class, or the module itself, has; else None."""
    # Not by `getattr(module, name)`: a wrapper passes on the methods of what it wraps.
    own = getattr(type(module), name, None) or vars(module).get(name)
    if not callable(own):
        return None
    return cast("Callable[..., Any]", getattr(module, name))


def speaks(module: nn.Module) -> bool:
    """Whether a module is a layer of the protocol.

    It is one if it has some of the methods, and weights of its own to speak of.
    """
    if method(module, "plastic_weights") is not None:
        return True
    # A model may well pass on the effective weight of a layer within it.
    owns = bool(module._parameters) or parametrize.is_parametrized(module)
    return owns and any(method(module, name) is not None for name in _METHODS)


def required(
    module: nn.Module, path: str, name: str, purpose: str
) -> Callable[..., Any]:
    """Return a method of the protocol.

    Raises:
        ValueError: If the layer has not got it.
    """
    found = method(module, name)
    if found is None:
        where = f"`{path}`" if path else "the model itself"
        raise ValueError(
            f"`model` must have layers with the method `{name}`, which {purpose}; got"
            f" {where}, a {type(module).__name__} without one."
        )
    return found


def takes(function: Callable[..., Any], *keywords: str) -> bool:
    """Whether a function takes arguments by these names."""
    parameters = inspect.signature(function).parameters.values()
    # `**kwargs` takes them all.
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return True
    names = {one.name for one in parameters if one.kind is not one.POSITIONAL_ONLY}
    return names >= set(keywords)


def takes_draw(module: nn.Module) -> bool:
    """Whether a module takes a distribution, by ``reset_parameters(generator, draw=)``."""
    reset = method(module, "reset_parameters")
    return reset is not None and takes(reset, "draw")
