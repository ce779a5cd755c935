"""Three ways to keep Dale's law while learning, behind one interface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim import Optimizer

from daleml import law, signs
from daleml._signs import facts, scaled_learning, verification
from daleml.optim.eg import EG, EGAdamW
from daleml.optim.enforcement import enforce
from daleml.optim.magnitudes import Magnitude, magnitudes, rename_on_load
from daleml.optim.parameter_groups import param_groups

_EXPONENTIATED: dict[Any, Callable[..., Optimizer]] = {
    torch.optim.SGD: EG,
    torch.optim.AdamW: EGAdamW,
}


class Mechanism(Protocol):
    """The interface of the three: attach to a model, step, and detach."""

    def attach(
        self,
        model: nn.Module,
        lr: float,
        *,
        optimizer: Callable[..., Optimizer] = ...,
        **options: Any,
    ) -> Optimizer:
        """Make the model learn lawfully, and return the optimiser to step."""

    def detach(self, model: nn.Module) -> None:
        """Leave an ordinary lawful model."""


@dataclass(frozen=True)
class Projection:
    r"""Step with any torch optimiser, then move every weight onto its sign.

    :math:`w \leftarrow s \max(s w, 0)`.

    Weights that are pushed through zero stay there until they are pushed back: sparse networks,
    that learn as fast as unconstrained ones. Weight decay shrinks the weight by :math:`1 -
    \eta\lambda`.

    Example:
        >>> import torch
        >>> from daleml import Populations, signs
        >>> from daleml.layers import EILinear
        >>> from daleml.optim import Exponentiation, Projection, Reparametrization
        >>> for mechanism in (Projection(), Reparametrization(), Exponentiation()):
        ...     layer = EILinear(Populations(8, 2), 3)
        ...     optimizer = mechanism.attach(layer, lr=0.1, optimizer=torch.optim.SGD, momentum=0.9)
        ...     layer(torch.rand(4, 10)).sum().backward()
        ...     optimizer.step()
        ...     mechanism.detach(layer)
        ...     assert signs.check(layer)
    """

    def attach(
        self,
        model: nn.Module,
        lr: float,
        *,
        optimizer: Callable[..., Optimizer] = torch.optim.SGD,
        **options: Any,
    ) -> Optimizer:
        """Build the optimiser over ``param_groups`` and guard it.

        Args:
            model: A model with fixed signs.
            lr: Learning rate, before the corrections of the layers.
            optimizer: Any optimiser of torch: called with the groups, ``lr`` and ``options``.
            options: Passed on: ``momentum``, ``weight_decay``, ``betas``...

        Raises:
            ValueError: If no parameter of the model has fixed signs.
        """
        built = optimizer(_groups(model, lr), lr=lr, **options)
        enforce(built, model)
        return built

    def detach(self, model: nn.Module) -> None:
        """Do nothing: the guard belongs to the optimiser, and the model is an ordinary one."""


@dataclass(frozen=True)
class Reparametrization:
    r"""Learn a free parameter with any torch optimiser; the weight is its magnitude and a sign.

    .. math:: w = s |v|

    The gradient of :math:`v` is that of the weight, and its sign flips where :math:`v` goes
    through zero: weights bounce off zero. One that is exactly zero has no gradient, and stays.
    Weight decay shrinks the weight by :math:`1 - \eta\lambda`.

    Notes:
        Built on ``torch.nn.utils.parametrize``: the parameter is called
        ``parametrizations.weight.original``, a checkpoint of the plain model still loads, and
        the module is not pickled; ``deepcopy`` and state dicts work. Setting ``module.weight``
        to what breaks the law is refused. :meth:`detach` leaves the plain weight.

    Example:
        >>> import torch
        >>> from daleml.layers import EILinear
        >>> from daleml.optim import Reparametrization
        >>> layer = EILinear(4, 2, bias=False)
        >>> optimizer = Reparametrization().attach(layer, lr=0.1)
        >>> [name for name, _ in layer.named_parameters()]
        ['parametrizations.weight.original']
        >>> Reparametrization().detach(layer)
        >>> [name for name, _ in layer.named_parameters()]
        ['weight']
    """

    def attach(
        self,
        model: nn.Module,
        lr: float,
        *,
        optimizer: Callable[..., Optimizer] = torch.optim.SGD,
        **options: Any,
    ) -> Optimizer:
        """Reparametrise every parameter with fixed signs, and build the optimiser.

        See :meth:`Projection.attach`.

        Raises:
            ValueError: If no parameter of the model has fixed signs, or one is reparametrised
                already.
            DaleError: If a weight breaks the law.
        """
        # Called for its errors, before anything has changed.
        _groups(model, lr)
        signs.check(model).raise_for_violations()
        for name, _, _ in scaled_learning.scaled_weights(model):
            raise ValueError(
                f"`{name}` must have no factors on what its synapses learn to be"
                " reparametrised; got `lr_scale`: use `Projection`."
            )
        # Collected first: a parametrisation adds modules, and changes the names.
        found = []
        for full_name, _, _ in signs.named(model):
            path, _, name = full_name.rpartition(".")
            found.append((model.get_submodule(path), name))
        for module, name in found:
            if parametrize.is_parametrized(module, name):
                raise ValueError(
                    f"`model` must not be reparametrised already; got `{name}`, which is."
                )
        for module, name in found:
            present = cast("Tensor | None", getattr(module, name + law.PRESENT, None))
            weight = cast("Tensor", getattr(module, name))
            sign = law.broadcastable(
                cast("Tensor", getattr(module, name + law.SUFFIX)), weight
            ).clone()
            parametrize.register_parametrization(
                module, name, Magnitude(name, sign, present, _fixed(module, name))
            )
            hook = rename_on_load
            module.register_load_state_dict_pre_hook(hook)  # type: ignore[no-untyped-call]
        return optimizer(_groups(model, lr), lr=lr, **options)

    def detach(self, model: nn.Module) -> None:
        """Make reparametrised weights ordinary parameters again, of the values they have."""
        for module in list(model.modules()):
            for name in magnitudes(module):
                parametrize.remove_parametrizations(
                    module, name, leave_parametrized=True
                )


@dataclass(frozen=True)
class Exponentiation:
    r"""Learn by exponentiated gradient, which cannot change a sign.

    :class:`EG` for SGD, :class:`EGAdamW` for AdamW.

    Every weight changes in proportion to itself, so none reaches zero, and weights stay near
    log-normal. The learning rate is a relative one. Weight decay shrinks the weight by
    :math:`e^{-\eta\lambda}`.

    Example:
        >>> from daleml.layers import EILinear
        >>> from daleml.optim import Exponentiation
        >>> type(Exponentiation().attach(EILinear(4, 2), lr=0.1)).__name__
        'EG'
    """

    def attach(
        self,
        model: nn.Module,
        lr: float,
        *,
        optimizer: Callable[..., Optimizer] = torch.optim.SGD,
        **options: Any,
    ) -> Optimizer:
        """Build the optimiser over ``param_groups``: see :meth:`Projection.attach`.

        Raises:
            ValueError: If no parameter of the model has fixed signs, or ``optimizer`` is
                neither SGD nor AdamW.
        """
        if optimizer not in _EXPONENTIATED:
            raise ValueError(
                "`optimizer` must be torch.optim.SGD or AdamW; got"
                f" {getattr(optimizer, '__name__', optimizer)}."
            )
        built = _EXPONENTIATED[optimizer](_groups(model, lr), lr=lr, **options)
        # It keeps signs by itself, and knows nothing of factors on single synapses, or of those
        # that are fixed.
        if any(_goes_beyond_signs(one) for one in verification.fixed(model)):
            enforce(built, model)
        return built

    def detach(self, model: nn.Module) -> None:
        """Do nothing: the model is an ordinary one."""


def _goes_beyond_signs(one: verification.Fixed) -> bool:
    return one.fixed is not None or one.own in facts.learning(one.module)


def _fixed(module: nn.Module, name: str) -> tuple[Tensor, Tensor] | None:
    """Return copies of which synapses do not learn, and of their strengths."""
    which = module._buffers.get(name + law.FIXED)
    strengths = module._buffers.get(name + law.STRENGTHS)
    if which is None or strengths is None:
        return None
    return which.clone(), strengths.clone()


def _groups(model: nn.Module, lr: float) -> list[dict[str, Any]]:
    groups = param_groups(model, lr)
    if next(signs.named(model), None) is None:
        raise ValueError(
            "`model` must have a parameter whose signs are fixed; got"
            f" {type(model).__name__} without one."
        )
    return groups
