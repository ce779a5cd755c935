"""One initialisation for all the weights of a model."""

from __future__ import annotations

import functools
import math
from typing import cast

import torch
from torch import Tensor, nn

from daleml import _checks, law
from daleml.layers import init

_TORCH = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
    nn.RNN, nn.GRU, nn.LSTM, nn.RNNCell, nn.GRUCell, nn.LSTMCell,
)  # fmt: skip


@torch.no_grad()
def lognormal_model_(
    model: nn.Module, gain: float = 1.0, ratio: float = 1.5, *, generator: torch.Generator | None = None
) -> nn.Module:
    r"""Draw the weights of a whole model log-normal, in place.

    .. math::
        |w| \sim \operatorname{Lognormal}, \qquad
        \frac{\text{mean } |w|}{\text{sd } |w|} = k, \qquad
        \operatorname{E} w^2 = \frac{\text{gain}^2}{\text{fan in}}

    Signs are those fixed by ``signs.fix``, and elsewhere drawn for each synapse, + or - alike. Layers of daleml are
    drawn by their own balanced rules instead, with log-normal magnitudes of the same ratio.

    Args:
        model: Weights of ``nn.Linear``, convolutions, ``nn.RNN``, ``GRU``, ``LSTM`` and their cells, and of daleml's
            layers. Biases, normalisations and embeddings are left alone.
        gain: Square root of the variance of a pre-activation, for inputs of variance 1; of torch's layers only.
        ratio: :math:`k`, mean over standard deviation of the magnitudes.
        generator: Source of randomness; default: torch's global one.

    Returns:
        The model.

    Raises:
        TypeError: If ``model`` is not a module.
        ValueError: If ``gain`` or ``ratio`` is not above 0, or the model has no such weight.

    Example:
        >>> from torch import nn
        >>> from daleml.layers import init
        >>> net = init.lognormal_model_(nn.Sequential(nn.Linear(200, 100), nn.ReLU(), nn.Linear(100, 10)))
        >>> bool((net[0].weight != 0).all())
        True

    Notes:
        For daleml's layers, whose rules are stated for a ratio of 1, means are multiplied by what keeps the variance of
        pre-activations: :math:`k` for a DANN, and
        :math:`\sqrt{(2\pi - 1) / (\pi (1 + 1 / k^2) - 1)}` for column EI, which rectified Gaussian inputs drive.

    References:
        Cornford et al. 2024 (EG paper), initialisation. There every sign is drawn.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` must be a module; got {type(model).__name__}.")
    _checks.positive("gain", gain)
    _checks.positive("ratio", ratio)
    drawn = 0
    for module in model.modules():
        reset = getattr(module, "reset_parameters", None)
        if type(module).__module__.startswith("daleml.layers") and reset is not None:
            dann = "DANN" in type(module).__name__
            reset(generator, draw=_balanced_draw(ratio, dann=dann))
            for name, parameter in module.named_parameters(recurse=False):
                if name.startswith("alpha"):  # inhibition has grown by as much: the mean shunt stays 1
                    parameter.sub_(math.log(ratio))
            drawn += 1
        elif isinstance(module, _TORCH):
            for name, parameter in module.named_parameters(recurse=False):
                if parameter.ndim > 1:
                    _fill(module, name, parameter, gain, ratio, generator)
                    drawn += 1
    if not drawn:
        raise ValueError(f"`model` must have a weight to draw; got {type(model).__name__} without one.")
    return model


def _fill(
    module: nn.Module, name: str, weight: Tensor, gain: float, ratio: float, generator: torch.Generator | None
) -> None:
    transposed = isinstance(module, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d))
    fan_in = weight.numel() // weight.shape[1 if transposed else 0]
    mean = gain / math.sqrt(fan_in * (1 + 1 / ratio**2))
    stored = getattr(module, name + law.SUFFIX, None)
    if stored is None:
        where = weight.device if generator is None else generator.device
        coins = torch.randint(2, weight.shape, generator=generator, device=where)
        sign = (2 * coins - 1).to(weight)
    else:
        sign = law.broadcastable(cast("Tensor", stored), weight).to(weight)
    init.lognormal_(weight, mean, ratio, generator=generator).mul_(sign)
    present = getattr(module, name + law.PRESENT, None)
    if present is not None:
        weight.mul_(cast("Tensor", present))


def _balanced_draw(ratio: float, *, dann: bool) -> init.Draw:
    pi = math.pi
    factor = ratio if dann else math.sqrt((2 * pi - 1) / (pi * (1 + 1 / ratio**2) - 1))
    return functools.partial(_scaled_draw, ratio, factor)


def _scaled_draw(
    ratio: float, factor: float, tensor: Tensor, mean: float, /, *, generator: torch.Generator | None = None
) -> Tensor:
    return init.lognormal_(tensor, mean * factor, ratio, generator=generator)
