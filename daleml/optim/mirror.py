"""Mirror descent: gradient steps in the dual coordinate of a potential."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from daleml import require
from daleml.optim import euclidean_steps, rules, saved_potentials
from daleml.optim._fast.forms import Rule
from daleml.optim.dead_weights import Stuck, count_stuck, refuse_zeros
from daleml.optim.finite_steps import bounds
from daleml.optim.optimizer_base import MasteredOptimizer, check_forms, check_lr, plain
from daleml.optim.rules import Descent
from daleml.potentials import NegativeEntropy, Potential


class MomentumDescent(MasteredOptimizer):
    """The common part of mirror descent and of exponentiated gradient, its best-known case.

    Under the negative entropy a group may have a ``floor``.
    """

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        super().__init__(params, defaults)
        refuse_zeros(self)

    def _check_options(self, options: Mapping[str, Any]) -> None:
        check_lr(options["lr"])
        for name in ("momentum", "weight_decay"):
            require.non_negative(name, options[name])
        require.number("dampening", options["dampening"])
        momentum, dampening = options["momentum"], options["dampening"]
        if options["nesterov"] and (momentum <= 0 or dampening != 0):
            raise ValueError(
                "`nesterov` must come with momentum and no dampening; got"
                f" momentum={momentum}, dampening={dampening}."
            )
        require.non_negative("floor", options.get("floor", 0.0))
        check_forms(options)

    def potential(self, group: dict[str, Any]) -> Potential:
        """Return the potential that a group steps under."""
        raise NotImplementedError

    def _multiplies(self, group: dict[str, Any]) -> bool:
        """Whether the weights of a group change in proportion to themselves, as under EG."""
        if group["euclidean"]:
            return False
        return isinstance(self.potential(group), NegativeEntropy)

    def _rule(self, group: dict[str, Any], options: Descent) -> Rule:
        if group["euclidean"]:
            return euclidean_steps.sgd_
        return rules.mirror_rule(options.potential)

    def _is_steady(self) -> bool:
        return False

    def _asks_as(self, owner: type[MomentumDescent]) -> bool:
        """Whether potentials are asked for as by a class: yours may differ at every step."""
        # By the method that it finds: one may also be put on the optimiser itself.
        return getattr(self.potential, "__func__", None) is owner.potential

    def _moments(self, group: dict[str, Any]) -> tuple[str, ...]:
        if group["momentum"]:
            return ("momentum_buffer",)
        return ()

    def _steps_taken(self, state: dict[str, Any]) -> float:
        return float("momentum_buffer" in state)

    def _options(
        self, group: dict[str, Any], dtype: torch.dtype, taken: float
    ) -> Descent:
        # A potential of yours is not asked about a group that has none.
        potential: Potential = NegativeEntropy()
        if not group["euclidean"]:
            potential = self.potential(group)
        return Descent(
            lr=plain(group),
            limits=bounds(dtype, group.get("floor", 0.0)),
            potential=potential,
            momentum=group["momentum"],
            dampening=group["dampening"],
            # A decay of zero would cost a pass over the weights.
            weight_decay=group["weight_decay"] or None,
            nesterov=group["nesterov"],
            maximize=group["maximize"],
            fresh=bool(group["momentum"]) and not taken,
        )


class MirrorDescent(MomentumDescent):
    r"""Mirror descent: gradient steps in the dual coordinate of a potential.

    .. math::
        u = g + \lambda\, w\, \phi''(w), \qquad
        b \leftarrow \mu b + (1 - d)\, u, \qquad
        \nabla\phi(w) \leftarrow \nabla\phi(w) - \eta\, b

    With ``Euclidean()`` or ``PNorm(2)`` it is ``torch.optim.SGD``, with ``NegativeEntropy()``
    it is :class:`~daleml.optim.EG`. Of the potentials only the negative entropy keeps every
    sign, hence Dale's law; under the others weights pass through zero, and a lawful model needs
    the guard, :func:`~daleml.optim.enforce`.

    Args:
        params: Parameters, named parameters, or parameter groups. A group may have its own
            ``potential``; one with ``euclidean=True`` takes the steps of ``torch.optim.SGD``.
            ``param_groups`` sets it.
        lr: Learning rate :math:`\eta`, in the unit of the dual coordinate: it does not carry
            over between potentials.
        potential: :math:`\phi`, of :mod:`daleml.potentials`, or your own: its ``step`` is what
            moves a weight.
        momentum: :math:`\mu`, on the gradient, hence in the dual coordinate.
        dampening: :math:`d`.
        weight_decay: :math:`\lambda`: a pull in the dual that shrinks all weights by one share,
            whatever their size. Alone, it divides every weight by :math:`1 + \eta\lambda` or
            so: torch's decay in the Euclidean case, :math:`e^{-\eta\lambda}` under the negative
            entropy. Before the momentum, as in SGD.
        nesterov: Whether to use Nesterov's momentum.
        maximize: Whether to follow the gradient upwards.
        fused: Whether to compile the whole update with ``torch.compile``: see
            :class:`~daleml.optim.EG`.
        capturable: As in :class:`~daleml.optim.EG`.

    Raises:
        TypeError: If ``potential`` is not a potential.
        ValueError: If a hyperparameter is negative or not finite, Nesterov's momentum has none
            to work with, a parameter is not real and floating-point, or under the negative
            entropy all parameters are zero.
        DivergedError: From ``step`` on a CPU, if a gradient is NaN. It is a ``RuntimeError``;
            no weight becomes NaN.
        RuntimeError: From ``step``, if a gradient is sparse, or a CUDA graph records a step that
            is not ``capturable``.

    Example:
        >>> import torch
        >>> from daleml.optim import MirrorDescent
        >>> from daleml.potentials import PNorm
        >>> weight = torch.nn.Parameter(torch.tensor([4.0, 1.0]))
        >>> optimizer = MirrorDescent([weight], lr=1.0, potential=PNorm(3))
        >>> (7 * weight[0]).backward()
        >>> optimizer.step()  # 4² - 7 = 3²
        >>> weight.data
        tensor([3., 1.])

    Notes:
        The potential is part of the state dict, as plain data, and loading restores it. One of
        your own must be the optimiser's already: its class is never looked up by name.

        Zeros, extreme steps and low precision under the negative entropy: as in
        :class:`~daleml.optim.EG`. Under the others, too, infinite steps are bounded, and
        results kept within their dtype.

    References:
        Nemirovski & Yudin 1983; Pogodin et al. 2024 (geometry of plasticity). Departure: their
        code decays along :math:`\lambda w` in the dual under every potential, an L2 penalty:
        add that to the loss if it is meant.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor,
        potential: Potential = NegativeEntropy(),  # noqa: B008 - a frozen value
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        fused: bool | None = None,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "potential": potential,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "fused": fused,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _check_options(self, options: Mapping[str, Any]) -> None:
        _check(options["potential"])
        super()._check_options(options)

    def state_dict(self) -> dict[str, Any]:
        """Return the state, with potentials as plain data."""
        state = super().state_dict()
        for group in state["param_groups"]:
            if isinstance(group.get("potential"), Potential):
                group["potential"] = saved_potentials.described(group["potential"])
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state, potentials included.

        Raises:
            ValueError: If it was saved under a potential of your own other than the
                optimiser's; it must be built with that.
        """
        groups = [dict(group) for group in state_dict["param_groups"]]
        for i, group in enumerate(groups):
            if isinstance(group.get("potential"), dict):
                live = (
                    self.param_groups[i]
                    if i < len(self.param_groups)
                    else self.defaults
                )
                group["potential"] = saved_potentials.restored(
                    group["potential"], live["potential"]
                )
        super().load_state_dict({**state_dict, "param_groups": groups})

    def potential(self, group: dict[str, Any]) -> Potential:
        """Return the potential that a group steps under."""
        return _check(group["potential"])

    def _is_steady(self) -> bool:
        return self._asks_as(MirrorDescent)

    def stuck(self) -> Stuck:
        """Count what the negative entropy cannot move, see :class:`~daleml.optim.Stuck`."""
        return count_stuck(self)


def _check(potential: object) -> Potential:
    if not isinstance(potential, Potential):
        raise TypeError(
            f"`potential` must be one of daleml.potentials; got {potential!r}."
        )
    return potential
