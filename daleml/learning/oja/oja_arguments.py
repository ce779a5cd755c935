"""Checks of what :class:`daleml.learning.Oja` is given: coefficients, activations, activities."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from daleml import require
from daleml.learning.oja.activation_chains import Activation, Chain, following
from daleml.learning.oja.plastic_weights import PlasticWeight


def activity_rows(
    one: PlasticWeight, pre: Tensor, post: Tensor
) -> tuple[Tensor, Tensor]:
    """Return activities as rows of what a weight reads and drives, or raise if they do not fit."""
    n_post, n_pre = one.weight().shape
    for name, activity, size in (("pre", pre, n_pre), ("post", post, n_post)):
        require.tensor(name, activity)
        if not activity.ndim or activity.shape[-1] != size:
            raise ValueError(
                f"`{name}` must have {size} units, those of `{one.name}`; got shape"
                f" {tuple(activity.shape)}."
            )
    if pre.shape[:-1] != post.shape[:-1]:
        raise ValueError(
            f"`post` must have the leading dimensions of `pre`, {tuple(pre.shape[:-1])};"
            f" got {tuple(post.shape[:-1])}."
        )
    if not pre.numel():
        raise ValueError(
            f"`pre` must have at least one row; got shape {tuple(pre.shape)}."
        )
    return pre.detach().reshape(-1, n_pre), post.detach().reshape(-1, n_post)


def coefficients_by_weight(
    coefficients: float | Mapping[str, float], found: dict[str, PlasticWeight]
) -> dict[str, float]:
    """Return one coefficient per weight, from those of layers or weights.

    Args:
        coefficients: One for all weights, or by the name of a weight or a layer.
        found: All plastic weights of the model.
    """
    if not isinstance(coefficients, Mapping):
        return dict.fromkeys(found, require.non_negative("coefficients", coefficients))
    chosen: dict[str, float] = {}
    for key, value in coefficients.items():
        coefficient = require.non_negative(f"coefficients[{key!r}]", value)
        # A layer's name stands for all weights that it has.
        names = [name for name, one in found.items() if key in (name, one.layer)]
        if not names:
            raise ValueError(
                f"`coefficients` must name weights ({', '.join(found)}) or their layers;"
                f" got {key!r}."
            )
        # A later key overrides an earlier one, so that a weight can be singled out.
        chosen |= dict.fromkeys(names, coefficient)
    if not chosen:
        raise ValueError("`coefficients` must name at least one weight; got none.")
    return chosen


def checked_coefficients(
    coefficients: Mapping[str, float], known: Mapping[str, PlasticWeight]
) -> dict[str, float]:
    """Return coefficients that anyone may have changed, or raise if one is none.

    Args:
        coefficients: By the name of the weight.
        known: The weights that could be named at construction.
    """
    checked = {}
    for name, coefficient in coefficients.items():
        if name not in known:
            raise ValueError(
                "`coefficients` must name weights it had at construction"
                f" ({', '.join(known)}); got {name!r}."
            )
        key = f"coefficients[{name!r}]"
        checked[name] = require.non_negative(key, coefficient)
    return checked


def require_agreement(coefficients: Mapping[str, float], names: list[str]) -> None:
    """Raise unless all names of one parameter have the same coefficient."""
    first = names[0]
    for name in names:
        if coefficients[name] != coefficients[first]:
            raise ValueError(
                f"`coefficients` must agree on `{first}` and `{name}`, which are one"
                f" parameter; got {coefficients[first]:g} and {coefficients[name]:g}."
            )


def activations_by_layer(
    given: Activation | Mapping[str, Activation] | None,
    model: nn.Module,
    plastic: dict[str, PlasticWeight],
) -> dict[str, Activation]:
    """Return what makes rates of each dense layer's output.

    Args:
        given: One function for all dense layers, or by the name of the layer. For those that
            it leaves out, the activation modules that follow the layer.
        model: The model.
        plastic: The weights that Oja's rule changes.
    """
    layers = {one.layer: one.module for one in plastic.values() if one.path == "dense"}
    if given is not None and not layers:
        raise ValueError(
            "`activation` must be left out where no dense layer is plastic, since a"
            f" circuit's rates are known; got {given!r}."
        )
    if not (given is None or isinstance(given, Mapping)):
        if not callable(given):
            raise TypeError(
                f"`activation` must be a function or a mapping of them; got {given!r}."
            )
        return dict.fromkeys(layers, given)
    chosen = dict(given or {})
    for layer, activation in chosen.items():
        if layer not in layers:
            raise ValueError(
                f"`activation` must name dense layers ({', '.join(sorted(layers))}); got"
                f" {layer!r}."
            )
        if not callable(activation):
            raise TypeError(
                f"`activation[{layer!r}]` must be a function; got {activation!r}."
            )
    chains = following(model)
    for layer in layers.keys() - chosen.keys():
        chain = chains.get(layers[layer], Chain())
        if chain.unclear:
            raise ValueError(
                f"`activation` must be given for `{layer}`, since {chain.unclear} follows"
                " it, of which no rates are known; got none."
            )
        chosen[layer] = chain
    return chosen
