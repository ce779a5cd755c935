"""Layers of several models at once, by products that are batched by hand.

Each form here does for the layers at one place of the models what their ``forward`` does for
one. It takes either what all models read, ``(batch, ...)``, or ``(models, batch, ...)``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from daleml.experiments._ensemble.layer_stack import LayerStack
from daleml.layers import DANNLinear, EILinear, Readout
from daleml.layers._shared import dann_parameters
from daleml.layers.functional import prefers_effective


class Activity(NamedTuple):
    """What runs through models: tensors, and whether all models have the same.

    Attributes:
        value: A tensor, or a tuple as recurrent layers return it.
        shared: Whether it has no dimension of models, since all of them read it.
    """

    value: Any
    shared: bool


class BatchedForm:
    """What the layers at one place of several models do, at once.

    Args:
        layers: The layers.
    """

    def __init__(self, layers: LayerStack) -> None:
        self.layers = layers

    def accepts(self, given: Activity) -> bool:
        """Whether it can run on an input; else each layer runs as itself."""
        return isinstance(given.value, Tensor)

    def __call__(self, given: Activity) -> Activity:
        """Run all layers."""
        raise NotImplementedError


def product(given: Activity, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Multiply by (models, post, pre), and add (models, post): (models, ..., post)."""
    x = given.value
    n_models, n_post, n_pre = weight.shape
    if given.shared:
        # What all read is one product with all weights, one below the other.
        flat = weight.reshape(n_models * n_post, n_pre)
        offset = None if bias is None else bias.reshape(-1)
        out = nn.functional.linear(x, flat, offset)
        by_model: Tensor = out.view(*out.shape[:-1], n_models, n_post)
        return by_model.movedim(-2, 0)
    rows = x.reshape(n_models, -1, n_pre)
    if bias is None:
        out = torch.bmm(rows, weight.mT)
    else:
        out = torch.baddbmm(bias[:, None], rows, weight.mT)
    return out.view(*x.shape[:-1], n_post)


class Dense(BatchedForm):
    """``nn.Linear`` and :class:`~daleml.layers.EILinear`."""

    def accepts(self, given: Activity) -> bool:
        """Whether the input is a tensor of as many units as the layers read."""
        x = given.value
        least = 1 if given.shared else 2
        fits = isinstance(x, Tensor) and x.ndim >= least
        return fits and x.shape[-1] == self.layers.first.in_features

    def __call__(self, given: Activity) -> Activity:
        """Run all layers."""
        layers, first = self.layers, self.layers.first
        if getattr(first, "excitatory_only", False):
            given = given._replace(value=given.value[..., first.populations.exc])
        out = product(given, layers.acting("weight"), layers.acting_or_none("bias"))
        return Activity(out, shared=False)


class ReadRates(Dense):
    """:class:`~daleml.layers.Readout`, which takes the pair that a circuit returns."""

    def accepts(self, given: Activity) -> bool:
        """Whether the input is a tensor, or a pair of which the first is one."""
        return super().accepts(_rates(given))

    def __call__(self, given: Activity) -> Activity:
        """Run all layers."""
        return super().__call__(_rates(given))


def _rates(given: Activity) -> Activity:
    value = given.value
    if isinstance(value, tuple) and len(value) == 2:
        return given._replace(value=value[0])
    return given


class DenseDANN(Dense):
    """:class:`~daleml.layers.DANNLinear`, subtractive or shunting."""

    def __call__(self, given: Activity) -> Activity:
        """Run all layers."""
        layers = self.layers
        bias = layers.acting_or_none("bias")
        names = ("weight_ex", "weight_ix", "weight_ei")
        if layers.first.shunting:
            return Activity(self._shunting(given, bias), shared=False)
        if self._prefers_effective(given):
            out = product(given, layers.composed(names), bias)
            return Activity(out, shared=False)
        excitation, to_interneurons, inhibition = map(layers.acting, names)
        rates = Activity(product(given, to_interneurons, None), shared=False)
        out = product(given, excitation, bias) - product(rates, inhibition, None)
        return Activity(out, shared=False)

    def _prefers_effective(self, given: Activity) -> bool:
        """Whether composing the weights costs less than going through the interneurons."""
        n_post, n_pre = self.layers.parameters["weight_ex"].shape[1:]
        n_inh = self.layers.parameters["weight_ix"].shape[1]
        rows = given.value.numel() // n_pre
        if not given.shared:
            rows //= len(self.layers)
        differentiated = given.value.requires_grad or not torch.is_grad_enabled()
        return prefers_effective(
            rows, n_post, n_pre, n_inh, input_gradient=differentiated
        )

    def _shunting(self, given: Activity, bias: Tensor | None) -> Tensor:
        """Excite, subtract inhibition, and divide by it."""
        layers = self.layers
        dann_parameters.look_once(layers.first, given.value)
        names = ("weight_ex", "weight_ix", "weight_ei", "alpha", "gain")
        ex, ix, ei, alpha, gain = map(layers.acting, names)
        rates = Activity(product(given, ix, None), shared=False)
        dividing = ei * alpha.exp()[:, None]
        shunt = product(rates, dividing, None).clamp(min=layers.first.eps)
        drive = product(given, ex, None) - product(rates, ei, None)
        y = _of_units(gain, drive) * drive / shunt
        return y if bias is None else y + _of_units(bias, y)


def _of_units(values: Tensor, like: Tensor) -> Tensor:
    """Return (models, units) in a shape that broadcasts against (models, ..., units)."""
    between = (1,) * (like.ndim - 2)
    return values.view(len(values), *between, -1)


class Elementwise(BatchedForm):
    """What does the same to every number, and has no parameters."""

    def __call__(self, given: Activity) -> Activity:
        """Run the first, which stands for all."""
        return given._replace(value=self.layers.first(given.value))


class Dropping(BatchedForm):
    """``nn.Dropout``, of which each model has a stream of its own."""

    def __call__(self, given: Activity) -> Activity:
        """Run all layers."""
        first = self.layers.first
        if not first.training or not first.p:
            return given
        x = given.value
        if given.shared:
            x = x.expand(len(self.layers), *x.shape)
        return Activity(self.layers.streams.dropped(x, first.p), shared=False)


class Flattening(BatchedForm):
    """``nn.Flatten``, behind the dimension of models."""

    def __call__(self, given: Activity) -> Activity:
        """Run all layers."""
        begin, end = self.layers.first.start_dim, self.layers.first.end_dim
        if not given.shared:
            begin, end = (dim + 1 if dim >= 0 else dim for dim in (begin, end))
        return given._replace(value=given.value.flatten(begin, end))


_ELEMENTWISE = (
    nn.ReLU,
    nn.Tanh,
    nn.Sigmoid,
    nn.Softplus,
    nn.GELU,
    nn.SiLU,
    nn.ELU,
    nn.SELU,
    nn.LeakyReLU,
    nn.ReLU6,
    nn.Hardtanh,
    nn.Softsign,
    nn.LogSigmoid,
    nn.Identity,
)
FORMS: dict[type[nn.Module], type[BatchedForm]] = {
    nn.Linear: Dense,
    EILinear: Dense,
    Readout: ReadRates,
    DANNLinear: DenseDANN,
    nn.Dropout: Dropping,
    nn.Flatten: Flattening,
    **dict.fromkeys(_ELEMENTWISE, Elementwise),
}
"""The form of each class: of exactly that class, since a subclass may do something else."""
