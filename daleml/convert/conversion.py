"""Conversion of an ordinary torch model to Dale's law: ``dalify``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, NoReturn

import torch
from torch import Tensor, nn

from daleml import law, modules, require, signs
from daleml.convert.conversion_report import DalifyReport, Verdict
from daleml.convert.conversion_steps import (
    Conversion,
    Request,
    full_name,
    matches,
)
from daleml.convert.unit_signs import is_convertible
from daleml.layers import init

__all__ = ["Dalified", "DalifyReport", "Verdict", "dalify"]


class Dalified(NamedTuple):
    """A lawful model, and the report of how it became so: the pair that ``dalify`` returns.

    Args:
        model: The model.
        report: The report.

    Example:
        >>> import torch
        >>> from daleml import dalify
        >>> net = torch.nn.Sequential(torch.nn.Linear(10, 5), torch.nn.ReLU())
        >>> model, report = dalify(net, example=torch.rand(8, 10))
        >>> model is net, bool(report)
        (True, True)
    """

    model: nn.Module
    report: DalifyReport

    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        """Refuse to be called like the model, which is one half of the pair.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            "`dalify` returns the pair `(model, report)`; call its `model`: `model, report"
            " = dalify(net)`."
        )

    def __getattr__(self, name: str) -> NoReturn:
        # Who forgets to unpack the pair asks it for what a model has.
        hint = ""
        if hasattr(nn.Module, name) and not name.startswith("_"):
            hint = (
                " `dalify` returns the pair `(model, report)`: unpack it, `model, report ="
                " dalify(net)`."
            )
        raise AttributeError(f"'Dalified' object has no attribute {name!r}.{hint}")


def dalify(
    model: nn.Module,
    inhibitory: float = 0.2,
    *,
    inputs: float | None = 0.0,
    example: Tensor | Sequence[object] | None = None,
    exempt: Sequence[str] = (),
    draw: init.Draw = init.exponential_,
    generator: torch.Generator | None = None,
) -> Dalified:
    """Make an ordinary torch model obey Dale's law, in place, and report on every parameter.

    Every weight of ``Linear``, convolutions, ``RNN``, ``GRU``, ``LSTM``, their cells and
    subclasses gets one sign per presynaptic unit, and is drawn anew so that the variance of its
    pre-activations is what it was: each output unit of each layer is excitatory or inhibitory,
    and has that sign wherever it is read. Which units a weight reads, through pooling,
    flattening, concatenation and residual connections, is found by sending the units' signs
    through the model. Layers of daleml, and yours that satisfy
    :class:`daleml.modules.DaleLayer`, stay as they are: their units have the signs that the
    layer says, and the units they read those that are fixed there. What keeps the law from then
    on is the optimiser: ``EG``, or any other under ``optim.enforce``.

    Args:
        model: Any module. It is changed; copy it first to keep the original.
        inhibitory: Fraction of every layer's units that inhibit.
        inputs: Fraction of the model's own input units, and of embeddings, that inhibit; None
            if they have no sign, so that weights that read them are exempt.
        example: Input to run the model on, a tensor or the sequence of its arguments, of the
            kind it will see; default: Gaussian noise, of a shape guessed from the first layer.
        exempt: Names of modules or parameters to leave as they are, by ``fnmatch`` patterns:
            ``("head.*",)``.
        draw: Distribution of the magnitudes.
        generator: Source of randomness for the weights; default: torch's global one.

    Returns:
        ``(model, report)``. ``print(report)`` shows a line for each parameter; ``bool(report)``
        is false if any could not be made lawful.

    Raises:
        TypeError: If ``model`` is not a module.
        ValueError: If it is dalified already, has no weight to fix, a layer has no shape before
            its first forward pass or only some methods of the protocol, or a fraction is
            outside [0, 1]. Nothing is changed then.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from daleml import dalify, signs
        >>> net = nn.Sequential(nn.Conv2d(3, 10, 3), nn.ReLU(), nn.Flatten(), nn.Linear(360, 5))
        >>> net, report = dalify(net, example=torch.rand(8, 3, 8, 8))
        >>> print(signs.check(net))
        Dale's law holds: 2 parameters, 363 units, 2,070 synapses.
        >>> bool(report)
        True

    Notes:
        The variance is matched on the example, in the model's own mode, layer by layer in the
        order they run. So is each unit's mean, by the balance of its excitation and inhibition
        and, where there is one, its bias. On inputs of another kind or size the ratio differs:
        kernels whose taps have one sign respond more to smooth images than the signed ones they
        replace. So give an example that is like the data. Gains of normalisations are fixed
        non- negative; the mean they subtract is inhibition that is no synapse. Biases and
        embeddings are exempt. Weights below inputs that can be negative (standardised pixels,
        tanh) are lawful, but the sign of a synapse means little for a negative rate: the report
        names them.

    References:
        Song, Yang & Wang 2016 and Cornford et al. 2021 (ICLR), for column EI. The conversion is
        ours.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` must be a module; got {type(model).__name__}.")
    require.fraction("inhibitory", inhibitory)
    if inputs is not None:
        require.fraction("inputs", inputs)
    modules.require_shapes(model)
    _refuse_twice(model)
    # Asked for once, so that a layer with half of the protocol is refused before any change.
    for path, module in model.named_modules():
        if modules.speaks(module):
            modules.synaptic_weights(module, path)
            modules.output_signs(module, path)
    given = _example(example)
    _require_exempt(model, exempt)
    request = Request(inhibitory, inputs, given, tuple(exempt), draw, generator)
    return Dalified(model, Conversion(model, request).run())


def _example(example: Tensor | Sequence[object] | None) -> tuple[object, ...] | None:
    """Return the arguments of a call of the model; None if none are given."""
    if example is None:
        return None
    if isinstance(example, Tensor):
        return (example,)
    if not isinstance(example, (tuple, list)):
        raise TypeError(
            "`example` must be a tensor, or a tuple of the model's arguments; got"
            f" {type(example).__name__}: write `torch.as_tensor(example)`."
        )
    return tuple(example)


def _require_exempt(model: nn.Module, exempt: Sequence[str]) -> None:
    """Raise if a name to leave as it is names nothing.

    The weight that it was meant for would be changed.
    """
    if isinstance(exempt, str):
        raise TypeError(
            f"`exempt` must be a sequence of names; got {exempt!r}: write `[{exempt!r}]`."
        )
    names = [name for name, _ in model.named_modules(remove_duplicate=False)]
    names += [name for name, _ in model.named_parameters(remove_duplicate=False)]
    # A report names a pruned weight as the layer does, not as its parameter is called.
    for path, module in model.named_modules(remove_duplicate=False):
        for spec in modules.synaptic_weights(module, path):
            names.append(full_name(path, spec.name))
    for pattern in exempt:
        if not any(matches(name, pattern) for name in names):
            raise ValueError(
                f"`exempt` must name modules or parameters of `model`; got {pattern!r},"
                " which names none."
            )


def _refuse_twice(model: nn.Module) -> None:
    """Raise if there is nothing to convert, or if signs are fixed already."""
    fixed = {id(parameter) for _, parameter, _ in signs.named(model)}
    n_weights = 0
    for path, module in model.named_modules():
        if not is_convertible(module):
            continue
        for spec in modules.synaptic_weights(module):
            n_weights += 1
            has_signs = hasattr(module, spec.name + law.SUFFIX)
            if has_signs or id(getattr(module, spec.name)) in fixed:
                raise ValueError(
                    f"`model` must not be dalified twice; got {type(model).__name__}, where"
                    f" the signs of `{full_name(path, spec.name)}` are fixed already."
                )
    if not n_weights:
        raise ValueError(
            f"`model` must have a layer with weights to fix; got {type(model).__name__}"
            " without one."
        )
