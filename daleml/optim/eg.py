"""Exponentiated gradient: optimisers under which no weight can change sign."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.optimizer import Optimizer, ParamsT
from torch.optim.sgd import sgd

from daleml import _checks
from daleml.optim import functional

_LOW_PRECISION = (torch.float16, torch.bfloat16)


class _SignPreserving(Optimizer):
    """What the EG optimisers share: checks, low-precision masters, and the walk over the parameters."""

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        if defaults["foreach"] and defaults["fused"]:
            raise ValueError("`foreach` and `fused` must not both be True; got foreach=True, fused=True.")
        super().__init__(params, {**defaults, "euclidean": False})

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("euclidean", False)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, after checking that every parameter in it is real and floating-point."""
        super().add_param_group(param_group)
        for parameter in self.param_groups[-1]["params"]:
            if not parameter.is_floating_point():
                self.param_groups.pop()
                raise ValueError(
                    f"`params` of {type(self).__name__} must be real floating-point tensors; got {parameter.dtype}."
                )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the optimiser's state, keeping float32 masters and moments of low-precision parameters as they are."""
        super().load_state_dict(state_dict)
        saved_ids = [i for group in state_dict["param_groups"] for i in group["params"]]
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        for i, parameter in zip(saved_ids, parameters, strict=True):
            for key, saved in state_dict["state"].get(i, {}).items():
                if not isinstance(saved, Tensor):
                    continue
                # torch casts state to the parameter's dtype, and may hand over the very tensors of the state dict
                cast = self.state[parameter][key]
                keep = parameter.dtype in _LOW_PRECISION and key != "step"
                self.state[parameter][key] = saved.to(parameter.device, copy=True) if keep else cast.clone()

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step.

        Args:
            closure: Re-evaluates the model and returns the loss.

        Raises:
            RuntimeError: If a gradient is sparse.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameters in self._alike(group):
                weights = [self._master(parameter) for parameter in parameters]
                grads = [parameter.grad.to(weight.dtype) for parameter, weight in zip(parameters, weights, strict=True)]
                self._update(group, parameters, weights, grads)
                for parameter, weight in zip(parameters, weights, strict=True):
                    if weight is not parameter:
                        parameter.copy_(weight)
        return loss

    def _update(
        self, group: dict[str, Any], parameters: list[Tensor], weights: list[Tensor], grads: list[Tensor]
    ) -> None:
        raise NotImplementedError

    def _alike(self, group: dict[str, Any]) -> Iterator[list[Any]]:
        """Yield the parameters that have a gradient, in lists of one dtype and one device."""
        alike: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            if parameter.grad.is_sparse:
                raise RuntimeError(f"{type(self).__name__} does not support sparse gradients.")
            alike.setdefault((parameter.dtype, parameter.device), []).append(parameter)
        yield from alike.values()

    def _master(self, parameter: Tensor) -> Tensor:
        """Return what is updated: the parameter, or the float32 copy of a low-precision one.

        A copy that no longer rounds to the parameter, because somebody else wrote to it, takes the parameter's value.
        """
        if parameter.dtype not in _LOW_PRECISION:
            return parameter
        state = self.state[parameter]
        if "master" not in state:
            state["master"] = parameter.float()
        master: Tensor = state["master"]
        stale = master.to(parameter.dtype) != parameter
        return master.copy_(torch.where(stale, parameter.float(), master))


class EG(_SignPreserving):
    r"""Exponentiated gradient: stochastic gradient descent in which no weight changes sign.

    .. math::
        u = g + \lambda \operatorname{sign}(w), \qquad
        b \leftarrow \mu b + (1 - d)\, u, \qquad
        w \leftarrow w \exp(-\eta \operatorname{sign}(w)\, b)

    A step changes a weight in proportion to itself, so weights stay near log-normal. It is mirror descent with the
    negative entropy. Signs never change: it keeps Dale's law where the weights start lawful.

    Args:
        params: Parameters, named parameters, or parameter groups. A group with ``euclidean=True`` takes the steps of
            ``torch.optim.SGD`` instead: for biases and whatever has no fixed sign. ``param_groups`` sets it.
        lr: Learning rate :math:`\eta`, a relative one: useful values are larger than for SGD.
        momentum: :math:`\mu`, on the gradient, hence in the dual coordinate.
        dampening: :math:`d`.
        weight_decay: :math:`\lambda`, a pull on :math:`\ln |w|`: alone, it multiplies every weight by
            :math:`e^{-\eta\lambda}`, whatever its size, and flips none. Before the momentum, as in SGD.
        nesterov: Whether to use Nesterov's momentum.
        maximize: Whether to climb.
        foreach: Whether to run each operation on all tensors at once; default: on CUDA only.
        fused: Whether to compile the whole update with ``torch.compile``, which takes seconds at the first step.

    Raises:
        ValueError: If a hyperparameter is negative or not finite, Nesterov's momentum has none to work with, or a
            parameter is not real and floating-point.
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
        An exact zero stays zero: absent and pruned synapses stay absent, and a bias that starts at zero never learns,
        unless it is in a ``euclidean`` group. Results are kept between the smallest normal number of the dtype (in
        float16 the smallest of all) and the largest, and the exponent between ±88 (±709 in float64), so no step makes a
        living weight infinite or kills it; short of that the update is the formula.

        float16 and bfloat16 parameters are updated through a float32 master copy in the optimiser's state: otherwise
        steps below one part in a thousand would round away.

        The caller's ``.grad`` is left as it was. ``copy.deepcopy`` of any torch optimiser drops its hooks.

    References:
        Kivinen & Warmuth 1997, for the algorithm; Cornford et al. 2024 (EG paper) and its released optimiser, for
        momentum and decay. Departure: that code lets a long step overflow.
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
    ) -> None:
        _check_lr(lr)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError(
                f"`nesterov` must come with momentum and no dampening; got momentum={momentum}, dampening={dampening}."
            )
        defaults = {
            "lr": lr,
            "momentum": _checks.non_negative("momentum", momentum),
            "dampening": _checks.number("dampening", dampening),
            "weight_decay": _checks.non_negative("weight_decay", weight_decay),
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def _update(
        self, group: dict[str, Any], parameters: list[Tensor], weights: list[Tensor], grads: list[Tensor]
    ) -> None:
        states = [self.state[parameter] for parameter in parameters]
        buffers = [state.get("momentum_buffer") for state in states]
        options = {key: group[key] for key in ("momentum", "dampening", "weight_decay", "nesterov", "maximize")}
        if group["euclidean"]:
            sgd(weights, grads, buffers, foreach=group["foreach"], lr=group["lr"], **options)
        else:
            limits = functional.bounds(parameters[0].dtype)
            # The first momentum step makes the buffers, so it is not worth compiling.
            ready = not group["momentum"] or all(buffer is not None for buffer in buffers)
            rule, lr = _choose(group, weights[0], functional.eg_, functional.eg_foreach_, ready)
            rule(weights, grads, buffers, lr=lr, limits=limits, **options)
        if group["momentum"]:
            for state, buffer in zip(states, buffers, strict=True):
                state["momentum_buffer"] = buffer


class EGAdamW(_SignPreserving):
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
        foreach: Whether to run each operation on all tensors at once; default: on CUDA only.
        fused: Whether to compile the whole update with ``torch.compile``, which takes seconds at the first step.

    Raises:
        ValueError: If a hyperparameter is out of range, or a parameter is not real and floating-point.
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
    ) -> None:
        _check_lr(lr)
        if not (isinstance(betas, (tuple, list)) and len(betas) == 2 and all(0 <= beta < 1 for beta in betas)):
            raise ValueError(f"`betas` must be two numbers in [0, 1); got {betas}.")
        defaults = {
            "lr": lr,
            "betas": tuple(betas),
            "eps": _checks.non_negative("eps", eps),
            "weight_decay": _checks.non_negative("weight_decay", weight_decay),
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def _update(
        self, group: dict[str, Any], parameters: list[Tensor], weights: list[Tensor], grads: list[Tensor]
    ) -> None:
        keys = ("exp_avg", "exp_avg_sq") + (("max_exp_avg_sq",) if group["amsgrad"] else ())
        states = [self.state[parameter] for parameter in parameters]
        for state, weight in zip(states, weights, strict=True):
            state.setdefault("step", torch.tensor(0.0))
            for key in keys:
                if key not in state:
                    state[key] = torch.zeros_like(weight)
        averages, squares = ([state[key] for state in states] for key in keys[:2])
        largest_squares = [state["max_exp_avg_sq"] for state in states] if group["amsgrad"] else []
        beta1, beta2 = group["betas"]
        options = {key: group[key] for key in ("eps", "weight_decay", "maximize")}
        if group["euclidean"]:
            steps = [state["step"] for state in states]
            options |= {"amsgrad": group["amsgrad"], "beta1": beta1, "beta2": beta2, "lr": group["lr"]}
            adamw(weights, grads, averages, squares, largest_squares, steps, foreach=group["foreach"], **options)
            return
        corrections: list[tuple[float | Tensor, float | Tensor]] = []
        for state in states:
            state["step"] += 1
            count = state["step"].item()
            corrections.append((1 - beta1**count, math.sqrt(1 - beta2**count)))
        if group["fused"]:  # as tensors, or every step would be compiled anew
            corrections = [(_scalar(first), _scalar(second)) for first, second in corrections]
        rule, lr = _choose(group, weights[0], functional.eg_adamw_, functional.eg_adamw_foreach_, ready=True)
        limits = functional.bounds(parameters[0].dtype)
        moments = averages, squares, largest_squares, corrections
        rule(weights, grads, *moments, lr=lr, betas=group["betas"], limits=limits, **options)


@functools.cache
def _compiled(rule: Callable[..., None]) -> Callable[..., None]:
    return torch.compile(rule, dynamic=False)


def _choose(
    group: dict[str, Any], weight: Tensor, loop: Callable[..., None], foreach: Callable[..., None], ready: bool
) -> tuple[Callable[..., None], float | Tensor]:
    """Pick the rule's form, and the learning rate in the form it takes: all give the same numbers to rounding."""
    if group["fused"] and ready:
        return _compiled(loop), _scalar(group["lr"])
    whole_lists = weight.is_cuda if group["foreach"] is None else group["foreach"]
    lr = group["lr"]
    return (foreach if whole_lists else loop), (lr.reshape(()) if isinstance(lr, Tensor) else lr)


def _scalar(value: float | Tensor) -> Tensor:
    """Make a number of a compiled rule's a tensor, in double precision like the Python float it stands for."""
    return torch.as_tensor(value, dtype=torch.float64).reshape(())


def _check_lr(lr: float | Tensor) -> None:
    if isinstance(lr, Tensor):
        if lr.numel() != 1:
            raise ValueError(f"`lr` must be a number or a tensor of one element; got shape {tuple(lr.shape)}.")
        lr = lr.item()
    _checks.non_negative("lr", lr)
