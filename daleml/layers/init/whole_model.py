"""One initialisation for all the weights of a model."""

from __future__ import annotations

import functools
import inspect
import math
import warnings
from collections.abc import Callable, Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from daleml import law, modules, require
from daleml.layers.init import draws
from daleml.layers.init.drawn_signs import with_signs_drawn


@torch.no_grad()
def lognormal_model_(
    model: nn.Module,
    gain: float = 1.0,
    ratio: float = 1.5,
    *,
    generator: torch.Generator | None = None,
) -> nn.Module:
    r"""Draw the weights of a whole model log-normal, in place.

    .. math::
        |w| \sim \operatorname{Lognormal}, \qquad
        \frac{\text{mean } |w|}{\text{sd } |w|} = k, \qquad
        \operatorname{E} w^2 = \frac{\text{gain}^2}{\text{fan in}}

    Signs are those fixed by ``signs.fix``, and elsewhere drawn for each synapse, + or - alike.
    Layers of daleml, and yours that have ``redraw_`` (:class:`daleml.modules.DaleLayer`), are
    drawn by their own balanced rules instead, with log-normal magnitudes of the same ratio.

    Args:
        model: Weights of ``nn.Linear``, convolutions, ``nn.RNN``, ``GRU``, ``LSTM`` and their
            cells, of daleml's layers and yours, of subclasses of all these, and any matrix
            whose signs are fixed. Biases, normalisations and embeddings are left alone; so are
            other matrices, such as those of attention, and a warning names them.
        gain: Square root of the variance of a pre-activation, for inputs of variance 1; of
            torch's layers only.
        ratio: :math:`k`, mean over standard deviation of the magnitudes.
        generator: Source of randomness; default: torch's global one.

    Returns:
        The model.

    Raises:
        TypeError: If ``model`` is not a module.
        ValueError: If ``gain`` or ``ratio`` is not above 0, the model has no such weight, a
            layer has no shape before its first forward pass, or a layer of the protocol cannot
            be drawn anew.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Linear(200, 100), nn.ReLU(), nn.Linear(100, 10))
        >>> net = lognormal_model_(net)
        >>> bool((net[0].weight != 0).all())
        True

    Notes:
        For daleml's layers, whose rules are stated for a ratio of 1, means are multiplied by
        what keeps the variance of pre-activations: :math:`k` for a DANN, and :math:`\sqrt{(2\pi
        - 1) / (\pi (1 + 1 / k^2) - 1)}` for column EI, which rectified Gaussian inputs drive.

    References:
        Cornford et al. 2024 (EG paper), initialisation. There every sign is drawn.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` must be a module; got {type(model).__name__}.")
    require.positive("gain", gain)
    require.positive("ratio", ratio)
    modules.require_shapes(model)
    # All layers are asked before any is drawn, so that one that refuses leaves the model whole.
    redraws = {}
    for path, module in model.named_modules():
        if modules.speaks(module):
            redraws[path] = _own_redraw(path, module, ratio, generator)
    left_alone: list[str] = []
    drawn = 0
    for path, module in model.named_modules():
        if path in redraws:
            redraws[path]()
            drawn += 1
        for name, weight, of_layer in _matrices(module, path):
            if of_layer or _stored(module, name, law.SUFFIX) is not None:
                _fill(module, name, weight, gain, ratio, generator)
                drawn += 1
            else:
                left_alone.append(f"{path}.{name}".lstrip("."))
    if not drawn:
        raise ValueError(
            f"`model` must have a weight to draw; got {type(model).__name__} without one."
        )
    left_alone += [path for path, _ in modules.kept_otherwise(model)]
    if left_alone:
        warnings.warn(
            f"`lognormal_model_` left alone {', '.join(left_alone)}, of which it does not"
            " know whether they are synaptic weights: fix their signs (`signs.fix`) to"
            " have them drawn.",
            stacklevel=3,
        )
    return model


def _own_redraw(
    path: str, module: nn.Module, ratio: float, generator: torch.Generator | None
) -> Callable[[], object]:
    """Return a call that draws a layer of the protocol by its own rule.

    Raises:
        ValueError: If it has none.
    """
    draw = functools.partial(_lognormal, ratio)
    redraw = modules.method(module, "redraw_")
    if redraw is None and modules.takes_draw(module):
        reset = modules.required(
            module, path, "reset_parameters", "draws the weights anew"
        )
        return functools.partial(reset, generator, draw=draw)
    redraw = modules.required(module, path, "redraw_", "draws the weights anew")
    if not modules.takes(redraw, "draw", "ratio", "generator"):
        raise ValueError(
            f"`redraw_` of {type(module).__name__} must take the keywords `draw`, `ratio`"
            f" and `generator`; got {inspect.signature(redraw)}."
        )
    return functools.partial(redraw, draw=draw, ratio=ratio, generator=generator)


def _lognormal(
    ratio: float,
    tensor: Tensor,
    mean: float,
    /,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    return draws.lognormal_(tensor, mean, ratio, generator=generator)


def _matrices(module: nn.Module, path: str) -> Iterator[tuple[str, Tensor, bool]]:
    """Yield the matrices that no layer's own rule draws, and whether torch's table knows them."""
    of_torch: tuple[modules.SynapticWeight, ...] = ()
    # A layer of the protocol may lack a method that is not needed to draw it.
    if not modules.speaks(module):
        of_torch = modules.synaptic_weights(module, path)
    for one in of_torch:
        if parametrize.is_parametrized(module, one.name):
            yield one.name, cast("Tensor", getattr(module, one.name)), True
            continue
        # Pruning keeps what is learned under another name.
        for stored in (one.name, f"{one.name}_orig"):
            if stored in module._parameters:
                yield stored, module.get_parameter(stored), True
                break
    for name, parameter in modules.other_matrices(module, path):
        yield name, parameter, bool(of_torch)


def _stored(module: nn.Module, name: str, suffix: str) -> Tensor | None:
    """Return what ``signs.fix`` stored beside a parameter, which pruning may have renamed since."""
    return module._buffers.get(modules.plain_name(module, name) + suffix)


def _fill(
    module: nn.Module,
    name: str,
    weight: Tensor,
    gain: float,
    ratio: float,
    generator: torch.Generator | None,
) -> None:
    stored = _stored(module, name, law.SUFFIX)
    present = _stored(module, name, law.PRESENT)
    mean = gain / math.sqrt(modules.fan_in(module, name) * (1 + 1 / ratio**2))
    if stored is None:
        where = weight.device if generator is None else generator.device
        # Without fixed signs, each synapse draws its own.
        coins = torch.randint(2, weight.shape, generator=generator, device=where)
        sign = (2 * coins - 1).to(weight)
    else:
        sign = law.broadcastable(stored, weight).to(weight)
        sign = with_signs_drawn(sign.expand_as(weight), generator)
    drawn = torch.empty_like(weight)
    draws.lognormal_(drawn, mean, ratio, generator=generator).mul_(sign)
    if present is not None:
        drawn *= present
    which = _stored(module, name, law.FIXED)
    if which is not None:
        # Fixed synapses keep their strengths.
        drawn = torch.where(which.bool(), weight, drawn)
    # What a parametrisation computes is set through its `right_inverse`.
    if isinstance(weight, nn.Parameter):
        weight.copy_(drawn)
        return
    try:
        setattr(module, name, drawn)
    except (NotImplementedError, RuntimeError):
        raise ValueError(
            f"`model` must have weights that can be set; got a {type(module).__name__}"
            f" whose `{name}` is computed by a parametrisation without `right_inverse`."
        ) from None
