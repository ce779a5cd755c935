"""How weight matrices are divided by the populations that their synapses join."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from daleml._support.torch_values import is_module
from daleml.populations import Populations

if TYPE_CHECKING:
    from torch import nn

    from daleml.modules import SynapticWeight

By: TypeAlias = str | None
"""What weights are divided by: ``"population"``, the presynaptic one; ``"pathway"``; or None."""

_WAYS = ("population", "pathway")


def require_way(by: object) -> None:
    """Raise unless ``by`` is one of the two ways to divide a matrix, or None."""
    if by is not None and by not in _WAYS:
        raise ValueError(
            "`by` must be 'population', the presynaptic one, or 'pathway', such as"
            f" 'E->PV'; got {by!r}."
        )


def require_module(model: object, by: object) -> None:
    """Raise unless ``by`` is a way to divide, and ``model`` a module, whose layers have names."""
    require_way(by)
    if not is_module(model):
        raise TypeError(
            "`weights` must be a module, whose layers name populations; got"
            f" {type(model).__name__}."
        )


class Block(NamedTuple):
    """The synapses of a matrix from one population, and onto one where that is known.

    Attributes:
        label: Of the population, or of the pathway.
        post: Which rows of the matrix.
        pre: Which columns.
    """

    label: str
    post: slice
    pre: slice


def blocks(
    by: By, pre: Populations | None, post: Populations | None, shape: tuple[int, ...]
) -> list[Block]:
    """Divide a matrix ``(post, pre)``; what reads units of no known populations stays whole."""
    if pre is None or pre.size != shape[1]:
        # An empty label adds nothing to the name of the matrix.
        return [Block("", slice(None), slice(None))]
    # Of a kernel, a row is a tap, and of a read-out nobody knows which units inhibit.
    if by == "population" or post is None or post.size != shape[0]:
        return [Block(name, slice(None), pre[name]) for name in pre]
    found = []
    for source in pre:
        for target in post:
            found.append(Block(f"{source}->{target}", post[target], pre[source]))
    return found


def known_by_name(model: nn.Module) -> dict[str, tuple[nn.Module, SynapticWeight]]:
    """Return what the layers of a model say of their weights, by the name of the parameter."""
    from daleml import modules

    found = {}
    # Names are those of a state dict, by which stored matrices come.
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        for one in modules.known_weights(module, path):
            found[prefix + one.name] = module, one
    return found


def require_populations(known: Any) -> None:
    """Raise if no layer of a model names its populations."""
    if all(one.pre is None for one in known):
        raise ValueError(
            "`weights` must have a layer that names its populations, to be divided by them;"
            " got none."
        )
