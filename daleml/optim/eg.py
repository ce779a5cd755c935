"""Exponentiated gradient: optimisers under which no weight can change sign."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from daleml import require
from daleml.optim import euclidean_steps, rules
from daleml.optim._fast.forms import Rule
from daleml.optim.dead_weights import Stuck, count_stuck, refuse_zeros
from daleml.optim.finite_steps import bounds
from daleml.optim.mirror import MomentumDescent
from daleml.optim.optimizer_base import MasteredOptimizer, check_forms, check_lr, plain
from daleml.optim.rules import Adaptive
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
        maximize: Whether to follow the gradient upwards.
        foreach: Whether to run each operation on all tensors at once; default: on CUDA only. On
            a CPU the default steps small tensors as one, and large ones in chunks that fit in
            cache: the same numbers, in a fraction of the time.
        fused: Whether to compile the whole update with ``torch.compile``: the fastest, after a
            first step of half a minute for a hundred tensors, which standard error announces. A
            few more for every new set of shapes.
        floor: The smallest magnitude that a step leaves a weight which is not zero, so that
            dying weights can come back; default: none but the smallest normal number.
            :meth:`stuck` counts those that lie there.
        capturable: Whether a CUDA graph may record the step: the number of the step then lies
            on the device, and a learning rate that is a tensor there is read at each replay. It
            is slower where no graph records it.

    Raises:
        ValueError: If a hyperparameter is negative or not finite, Nesterov's momentum has none
            to work with, a parameter is not real and floating-point, or all parameters are
            zero, where they would stay.
        DivergedError: From ``step`` on a CPU, if a gradient is NaN. It is a ``RuntimeError``;
            no weight becomes NaN.
        RuntimeError: From ``step``, if a gradient is sparse, or a CUDA graph records a step that
            is not ``capturable``.

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

        The rule itself is :func:`daleml.optim.rules.eg_`.

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
        capturable: bool = False,
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
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def potential(self, group: dict[str, Any]) -> Potential:
        """Return the negative entropy, whatever the group."""
        return NegativeEntropy()

    def _is_steady(self) -> bool:
        return self._asks_as(EG)

    def stuck(self) -> Stuck:
        """Count the weights that no step moves, see :class:`~daleml.optim.Stuck`."""
        return count_stuck(self)


class EGAdamW(MasteredOptimizer):
    r"""Exponentiated gradient along AdamW's direction: adaptive, and no weight changes sign.

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g, \qquad
        v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \qquad
        w \leftarrow w \exp\Bigl(-\eta \lambda
            - \eta \operatorname{sign}(w)
            \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}\Bigr)

    Args:
        params: Parameters, named parameters, or parameter groups. A group with
            ``euclidean=True`` takes the steps of ``torch.optim.AdamW`` instead: for biases and
            whatever has no fixed sign. ``param_groups`` sets it.
        lr: Learning rate :math:`\eta`: about the largest change of :math:`\ln |w|` in one step.
        betas: Decay rates of the two moments, each in [0, 1).
        eps: Added to the denominator.
        weight_decay: :math:`\lambda`, a pull on :math:`\ln |w|`, apart from the moments, as in
            AdamW: it multiplies every weight by :math:`e^{-\eta\lambda}`, whatever its size, and
            flips none.
        amsgrad: Whether to divide by the largest second moment so far.
        maximize: Whether to follow the gradient upwards.
        foreach: As in :class:`EG`.
        fused: As in :class:`EG`.
        floor: As in :class:`EG`.
        capturable: As in :class:`EG`.

    Raises:
        ValueError: If a hyperparameter is out of range, a parameter is not real and
            floating-point, or all parameters are zero, where they would stay.
        DivergedError: From ``step`` on a CPU, if a gradient is NaN. It is a ``RuntimeError``;
            no weight becomes NaN.
        RuntimeError: From ``step``, if a gradient is sparse, or a CUDA graph records a step that
            is not ``capturable``.

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

        :math:`\epsilon` is added after the bias of :math:`v` is corrected, as in torch. Keras, and
        ``ExponentiatedAdam`` of the Allen Institute's V1 models, add it before, which is the same
        as :math:`\epsilon / \sqrt{1 - \beta_2^t}` here: 32 times as much in the first step. It
        matters for gradients not far above :math:`\epsilon`. To have theirs, set it before
        every step ``t``, from 1 on: ``group["eps"] = 1e-7 / math.sqrt(1 - 0.999**t)``. The sign
        that theirs gives to zeros has no effect, since steps multiply.

    References:
        Cornford et al. 2024 (EG paper) and its released optimiser. Departure: decay is
        :math:`e^{-\eta\lambda}` where the paper's code multiplies by :math:`1 - \eta\lambda`,
        which flips signs beyond :math:`\eta\lambda = 1`.
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
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            # A list would be shared by all groups, and schedulers write to it.
            "betas": tuple(betas) if isinstance(betas, list) else betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "fused": fused,
            "floor": floor,
            "capturable": capturable,
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

    # The biases of Adam's moments depend on how many steps each parameter has taken.
    _counts_steps = True

    def _multiplies(self, group: dict[str, Any]) -> bool:
        return not group["euclidean"]

    def _rule(self, group: dict[str, Any], options: Adaptive) -> Rule:
        if group["euclidean"]:
            return euclidean_steps.adamw_
        return rules.eg_adamw_

    def _moments(self, group: dict[str, Any]) -> tuple[str, ...]:
        if group["amsgrad"]:
            return "exp_avg", "exp_avg_sq", "max_exp_avg_sq"
        return "exp_avg", "exp_avg_sq"

    def _steps_taken(self, state: dict[str, Any]) -> float:
        return float(state.get("step", 0.0))

    def _options(
        self, group: dict[str, Any], dtype: torch.dtype, taken: float
    ) -> Adaptive:
        return Adaptive(
            lr=plain(group),
            limits=bounds(dtype, group["floor"]),
            step_number=taken + 1,
            betas=tuple(group["betas"]),
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            maximize=group["maximize"],
        )


def _is_rate(beta: object) -> bool:
    return isinstance(beta, (int, float)) and 0 <= beta < 1
