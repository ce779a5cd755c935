"""Exponentiated gradient: optimisers under which no weight can change sign."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.optimizer import ParamsT

from daleml import require
from daleml.optim._fast import compile_cache, update_lists
from daleml.optim._fast.guarded_exp import bounds, measured_headroom
from daleml.optim.dead_weights import Stuck, count_stuck, refuse_zeros
from daleml.optim.finite_steps import refuse_nan
from daleml.optim.mirror import MomentumDescent
from daleml.optim.optimizer_base import MasteredOptimizer, check_forms, check_lr, plain
from daleml.potentials import NegativeEntropy, Potential


class EG(MomentumDescent):
    r"""Exponentiated gradient: stochastic gradient descent in which no weight changes sign.

    .. math::
        u = g + \lambda \operatorname{sign}(w), \qquad
        b \leftarrow \mu b + (1 - d)\, u, \qquad
        w \leftarrow w \exp(-\eta \operatorname{sign}(w)\, b)

    A step changes a weight in proportion to itself, so weights stay near log-normal. It is
    mirror descent with the negative entropy. Signs never change: it keeps Dale's law where the
    weights start lawful.

    Args:
        params: Parameters, named parameters, or parameter groups. A group with
            ``euclidean=True`` takes the steps of ``torch.optim.SGD`` instead: for biases and
            whatever has no fixed sign. ``param_groups`` sets it.
        lr: Learning rate :math:`\eta`, a relative one: useful values are larger than for SGD.
        momentum: :math:`\mu`, on the gradient, hence in the dual coordinate.
        dampening: :math:`d`.
        weight_decay: :math:`\lambda`, a pull on :math:`\ln |w|`: alone, it multiplies every
            weight by :math:`e^{-\eta\lambda}`, whatever its size, and flips none. Before the
            momentum, as in SGD.
        nesterov: Whether to use Nesterov's momentum.
        maximize: Whether to climb.
        foreach: Whether to run each operation on all tensors at once; default: on CUDA only. On
            a CPU the default works on pieces that fit in cache: the same numbers, in a fraction
            of the time.
        fused: Whether to compile the whole update with ``torch.compile``: the fastest, after a
            first step of half a minute for a hundred tensors, which standard error announces. A
            few more for every new set of shapes.
        floor: The smallest magnitude that a step leaves a weight which is not zero, so that
            dying weights can come back; default: none but the smallest normal number.
            :meth:`stuck` counts those that lie there.

    Raises:
        ValueError: If a hyperparameter is negative or not finite, Nesterov's momentum has none
            to work with, a parameter is not real and floating-point, or all parameters are
            zero, where they would stay.
        DivergedError: From ``step`` on a CPU, if a gradient is NaN. It is a ``RuntimeError``;
            no weight becomes NaN.
        RuntimeError: From ``step``, if a gradient is sparse.

    Example:
        >>> import torch
        >>> from daleml.layers import DANNLinear
        >>> from daleml.optim import EG, param_groups
        >>> layer = DANNLinear(10, 5)
        >>> optimizer = EG(param_groups(layer, lr=0.5), lr=0.5)
        >>> layer(torch.rand(3, 10)).square().sum().backward()
        >>> optimizer.step()

    Notes:
        An exact zero stays zero: absent and pruned synapses stay absent, and a bias that starts
        at zero never learns, unless it is in a ``euclidean`` group. Results are kept between
        the smallest normal number of the dtype (in float16 the smallest of all) and the
        largest, and the exponent between ±88 (±709 in float64), so no step makes a living
        weight infinite or kills it; short of that the update is the formula. Infinite gradients
        are bounded so, too. A gradient of NaN is an error on a CPU, at which weights already
        stepped have taken a finite step and the others none; elsewhere, where asking costs a
        synchronisation, NaN goes through as in torch's optimisers, and
        :func:`~daleml.training.train` finds it at the end of an epoch.

        float16 and bfloat16 parameters are updated through a float32 master copy in the
        optimiser's state: otherwise steps below one part in a thousand would round away.

        The caller's ``.grad`` is left as it was. ``copy.deepcopy`` of any torch optimiser drops
        its hooks.

    References:
        Kivinen & Warmuth 1997, for the algorithm; Cornford et al. 2024 (EG paper) and its
        released optimiser, for momentum and decay. Departure: that code lets a long step
        overflow.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        floor: float = 0.0,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "fused": fused,
            "floor": floor,
        }
        super().__init__(params, defaults)

    def potential(self, group: dict[str, Any]) -> Potential:
        """Return the negative entropy, whatever the group."""
        return NegativeEntropy()

    def stuck(self) -> Stuck:
        """Count the weights that no step moves, see :class:`~daleml.optim.Stuck`."""
        return count_stuck(self)

    def _descend(
        self,
        group: dict[str, Any],
        lists: tuple[list[Tensor], ...],
        options: dict[str, Any],
    ) -> None:
        plain_eg = (
            type(self.potential(group)) is NegativeEntropy
        )  # a subclass may step under another potential
        if plain_eg and not group["fused"] and _whole_lists(group, lists[0][0]):
            refuse_nan(lists[1])
            update_lists.eg_foreach_(*lists, **options)
        else:
            super()._descend(group, lists, options)


class EGAdamW(MasteredOptimizer):
    r"""Exponentiated gradient along AdamW's direction: adaptive, and no weight changes sign.

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g, \qquad
        v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \qquad
        w \leftarrow w \exp\Bigl(-\eta \lambda
            - \eta \operatorname{sign}(w) \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}\Bigr)

    Args:
        params: Parameters, named parameters, or parameter groups. A group with ``euclidean=True`` takes the steps of
            ``torch.optim.AdamW`` instead: for biases and whatever has no fixed sign. ``param_groups`` sets it.
        lr: Learning rate :math:`\eta`: about the largest change of :math:`\ln |w|` in one step.
        betas: Decay rates of the two moments, each in [0, 1).
        eps: Added to the denominator.
        weight_decay: :math:`\lambda`, a pull on :math:`\ln |w|`, apart from the moments, as in AdamW: it multiplies
            every weight by :math:`e^{-\eta\lambda}`, whatever its size, and flips none.
        amsgrad: Whether to divide by the largest second moment so far.
        maximize: Whether to climb.
        foreach: As in :class:`EG`.
        fused: As in :class:`EG`.
        floor: As in :class:`EG`.

    Raises:
        ValueError: If a hyperparameter is out of range, a parameter is not real and floating-point, or all parameters
            are zero, where they would stay.
        DivergedError: From ``step`` on a CPU, if a gradient is NaN. It is a ``RuntimeError``; no weight becomes NaN.
        RuntimeError: From ``step``, if a gradient is sparse.

    Example:
        >>> import torch
        >>> from daleml.optim import EGAdamW
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, -1.0]))
        >>> optimizer = EGAdamW([weight], lr=0.1, weight_decay=0)
        >>> weight.sum().backward()
        >>> optimizer.step()
        >>> weight.data
        tensor([ 0.9048, -1.1052])

    Notes:
        Zeros, extreme steps and low precision: as in :class:`EG`.

    References:
        Cornford et al. 2024 (EG paper) and its released optimiser. Departure: decay is :math:`e^{-\eta\lambda}`
        where the paper's code multiplies by :math:`1 - \eta\lambda`, which flips signs beyond :math:`\eta\lambda = 1`.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        floor: float = 0.0,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": tuple(betas) if isinstance(betas, list) else betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "fused": fused,
            "floor": floor,
        }
        super().__init__(params, defaults)
        refuse_zeros(self)

    def _check_options(self, options: Mapping[str, Any]) -> None:
        check_lr(options["lr"])
        for name in ("eps", "weight_decay", "floor"):
            require.non_negative(name, options[name])
        betas = options["betas"]
        if not (
            isinstance(betas, (tuple, list))
            and len(betas) == 2
            and all(_is_rate(beta) for beta in betas)
        ):
            raise ValueError(f"`betas` must be two numbers in [0, 1); got {betas}.")
        check_forms(options)

    def stuck(self) -> Stuck:
        """Count the weights that no step moves, see :class:`~daleml.optim.Stuck`."""
        return count_stuck(self)

    def _update(
        self,
        group: dict[str, Any],
        parameters: list[Tensor],
        weights: list[Tensor],
        grads: list[Tensor],
    ) -> None:
        """Step together the weights that have taken as many steps before."""
        keys = ("exp_avg", "exp_avg_sq") + (
            ("max_exp_avg_sq",) if group["amsgrad"] else ()
        )
        alike: dict[float, list[int]] = {}
        for i, (parameter, weight) in enumerate(zip(parameters, weights, strict=True)):
            state = self.state[parameter]
            if "step" not in state:
                state["step"] = torch.tensor(0.0)
            for key in keys:
                if key not in state:  # amsgrad may be switched on later
                    state[key] = torch.zeros_like(weight)
            alike.setdefault(state["step"].item(), []).append(i)
        for count, chosen in alike.items():
            states = [self.state[parameters[i]] for i in chosen]
            moments = [[state[key] for state in states] for key in keys] + [[]] * (
                3 - len(keys)
            )
            lists = ([weights[i] for i in chosen], [grads[i] for i in chosen], *moments)
            self._step(
                group,
                lists,
                [state["step"] for state in states],
                count + 1,
                parameters[0].dtype,
            )

    def _step(
        self,
        group: dict[str, Any],
        lists: tuple[list[Tensor], ...],
        steps: list[Tensor],
        count: float,
        dtype: torch.dtype,
    ) -> None:
        options = {key: group[key] for key in ("eps", "weight_decay", "maximize")}
        options["lr"] = plain(group["lr"])
        if group["euclidean"]:
            beta1, beta2 = group["betas"]
            options |= {
                "amsgrad": group["amsgrad"],
                "beta1": beta1,
                "beta2": beta2,
                "foreach": False,
            }
            weights, grads, averages, squares, largest = lists
            refuse_nan(grads)
            adamw(weights, grads, averages, squares, largest, steps, **options)
            return
        torch._foreach_add_(steps, 1.0)
        options |= {"betas": group["betas"], "limits": bounds(dtype, group["floor"])}
        options["corrections"] = update_lists.adam_corrections(group["betas"], count)
        if group["fused"] or _whole_lists(group, lists[0][0]):
            refuse_nan(lists[1])
        if group["fused"]:
            self._fused_step(lists, options, dtype)
        elif _whole_lists(group, lists[0][0]):
            update_lists.eg_adamw_foreach_(*lists, **options)
        else:
            self._run(update_lists.eg_adamw_, lists, options | {"count": count})

    def _fused_step(
        self,
        lists: tuple[list[Tensor], ...],
        options: dict[str, Any],
        dtype: torch.dtype,
    ) -> None:
        """Run the compiled rule, without its guard, which takes half the time, as long as no weight is near a limit.

        How near is measured, and again when as far as steps can reach is used up. Weights that
        lie at their limits, and those whose headroom is not kept, have the rule with its guard.
        """
        weights, limits = lists[0], options["limits"]
        reach = math.inf
        if (
            weights[0].is_cpu and weights[0].dtype == dtype
        ):  # a master is written to before every step
            lr = float(options["lr"])
            reach = (
                1.01 * lr * update_lists.adam_reach(options["betas"], options["eps"])
                + lr * options["weight_decay"]
            )
        headroom = [-math.inf]
        if reach < math.inf:
            headroom = self._known_headroom(weights, limits)
            if -math.inf in headroom or 0 <= min(headroom) < reach:
                headroom = measured_headroom(weights, limits)
                if (
                    min(headroom) < 50 * reach
                ):  # measured every few steps, it would cost more than the guard
                    headroom = [-1.0] * len(weights)
        free = reach <= min(headroom)
        given = options | {"count": 0.0, "limits": None if free else limits}
        compile_cache.run(
            update_lists.eg_adamw_, lists, given, changing=("lr", "corrections")
        )
        if reach < math.inf:
            self._remember_headroom(
                weights, limits, [left - reach * free for left in headroom]
            )


def _is_rate(beta: object) -> bool:
    return isinstance(beta, (int, float)) and 0 <= beta < 1


def _whole_lists(group: dict[str, Any], weight: Tensor) -> bool:
    return weight.is_cuda if group["foreach"] is None else bool(group["foreach"])
