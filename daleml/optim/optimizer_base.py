"""What the optimisers of daleml share.

Checks, float32 masters of low-precision weights, and the walk over groups.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

from daleml import require
from daleml._support.keyword_names import meant

_LOW_PRECISION = (torch.float16, torch.bfloat16)
_OF_SCHEDULERS = ("initial_", "base_", "max_", "min_", "swa_")
"""How options begin that torch's schedulers keep in groups."""


class MasteredOptimizer(Optimizer):
    """A torch optimiser whose rule sees float32 or float64 weights only, in lists of one dtype and one device."""

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self._headroom: dict[Tensor, tuple[Hashable, float]] = {}
        self._check_options(defaults)
        super().__init__(params, {**defaults, "euclidean": False})

    def __setstate__(self, state: dict[str, Any]) -> None:
        known = (
            state if "defaults" in state else vars(self)
        )  # a copy has no attributes yet
        defaults = dict(
            known["defaults"]
        )  # to which torch adds an option that these optimisers have not
        super().__setstate__(state)
        self._headroom = {}
        for group in self.param_groups:
            for key, value in defaults.items():
                group.setdefault(key, value)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, after checking its options, and that every parameter in it is real and floating-point."""
        self._require_known(param_group)
        super().add_param_group(param_group)
        try:
            self._check_options(self.param_groups[-1])
            for parameter in self.param_groups[-1]["params"]:
                if not parameter.is_floating_point():
                    raise ValueError(
                        f"`params` of {type(self).__name__} must be real floating-point"
                        f" tensors; got {parameter.dtype}."
                    )
        except (TypeError, ValueError):
            self.param_groups.pop()
            raise

    def _require_known(self, group: Any) -> None:
        """Raise if an option of a group is a misspelt one.

        Torch takes any, and schedulers add their own.
        """
        for name in group if isinstance(group, dict) else ():
            if (
                name in self.defaults
                or name in ("params", "param_names")
                or name.startswith(_OF_SCHEDULERS)
            ):
                continue
            near = meant(name, [*self.defaults, "params"])
            if near is not None:
                raise TypeError(
                    f"`params` of {type(self).__name__} has a group with the option"
                    f" `{name}`; did you mean `{near}`?"
                )

    def _check_options(self, options: Mapping[str, Any]) -> None:
        """Raise if a hyperparameter, of the defaults or of a group, is out of range."""
        raise NotImplementedError

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the optimiser's state, keeping float32 masters and moments of low-precision parameters as they are.

        Raises:
            ValueError: If groups that ``param_groups`` made come in another order: their rates
                would be exchanged.
        """
        self._require_order(state_dict["param_groups"])
        super().load_state_dict(state_dict)
        self._headroom = {}
        saved_ids = [i for group in state_dict["param_groups"] for i in group["params"]]
        parameters = [
            parameter for group in self.param_groups for parameter in group["params"]
        ]
        for i, parameter in zip(saved_ids, parameters, strict=True):
            for key, saved in state_dict["state"].get(i, {}).items():
                if not isinstance(saved, Tensor):
                    continue
                # torch casts state to the parameter's dtype, and may hand over the very tensors
                # of the state dict
                cast = self.state[parameter][key]
                keep = parameter.dtype in _LOW_PRECISION and key != "step"
                self.state[parameter][key] = (
                    saved.to(parameter.device, copy=True) if keep else cast.clone()
                )

    def _require_order(self, saved: list[dict[str, Any]]) -> None:
        there, here = (
            [group.get("role") for group in groups]
            for groups in (saved, self.param_groups)
        )
        if (
            len(there) == len(here)
            and None not in there
            and None not in here
            and there != here
        ):
            raise ValueError(
                "`state_dict` must have its groups in the order of the optimiser's,"
                f" {', '.join(map(str, here))}; got {', '.join(map(str, there))}."
            )

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
                grads = [parameter.grad for parameter in parameters]
                if weights[0] is parameters[0]:
                    self._update(group, parameters, weights, grads)
                    continue
                self._update(
                    group,
                    parameters,
                    weights,
                    [grad.to(torch.float32) for grad in grads],
                )
                torch._foreach_copy_(parameters, weights)
        return loss

    def _update(
        self,
        group: dict[str, Any],
        parameters: list[Tensor],
        weights: list[Tensor],
        grads: list[Tensor],
    ) -> None:
        """Change the weights, the parameters themselves or their masters, in place."""
        raise NotImplementedError

    def _run(
        self,
        rule: Callable[..., None],
        lists: Sequence[Sequence[Tensor]],
        options: Mapping[str, Any],
    ) -> None:
        """Call a rule of :mod:`daleml.optim._fast.update_lists`, with the headroom its last call left the weights.

        It holds as long as nobody else has written to a weight since, which torch counts (but
        for writing through ``.data``).
        """
        headroom = self._known_headroom(lists[0], options["limits"])
        rule(*lists, **options, headroom=headroom)
        self._remember_headroom(lists[0], options["limits"], headroom)

    def _known_headroom(
        self, weights: Sequence[Tensor], limits: tuple[float, float]
    ) -> list[float]:
        headroom = []
        for weight in weights:
            written, left = self._headroom.get(weight, (None, 0.0))
            headroom.append(left if written == _stamp(weight, limits) else -math.inf)
        return headroom

    def _remember_headroom(
        self,
        weights: Sequence[Tensor],
        limits: tuple[float, float],
        headroom: Sequence[float],
    ) -> None:
        self._headroom.update(
            {
                weight: (_stamp(weight, limits), left)
                for weight, left in zip(weights, headroom, strict=True)
            }
        )

    def _alike(self, group: dict[str, Any]) -> Iterator[list[Any]]:
        """Yield the parameters that have a gradient, in lists of one dtype and one device."""
        alike: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            if parameter.grad.is_sparse:
                raise RuntimeError(
                    f"{type(self).__name__} does not support sparse gradients."
                )
            alike.setdefault((parameter.dtype, parameter.device), []).append(parameter)
        yield from alike.values()

    def _master(self, parameter: Tensor) -> Tensor:
        """Return what is updated: the parameter, or the float32 copy of a low-precision one.

        A copy that no longer rounds to the parameter, because somebody else wrote to it, takes
        the parameter's value.
        """
        if parameter.dtype not in _LOW_PRECISION:
            return parameter
        state = self.state[parameter]
        if "master" not in state:
            state["master"] = parameter.float()
        master: Tensor = state["master"]
        stale = master.to(parameter.dtype) != parameter
        return master.copy_(torch.where(stale, parameter.float(), master))


def _stamp(weight: Tensor, limits: tuple[float, float]) -> Hashable:
    return weight._version, weight.data_ptr(), limits


def plain(lr: float | Tensor) -> float | Tensor:
    """Return a learning rate as rules take it.

    A float, or a scalar where it lies on a device that is costly to ask.
    """
    if not isinstance(lr, Tensor):
        return lr
    return lr.item() if lr.is_cpu else lr.reshape(())


def check_lr(lr: float | Tensor) -> None:
    """Raise unless ``lr`` is a number of at least 0, or a tensor of one such number."""
    if isinstance(lr, Tensor):
        if lr.numel() != 1:
            raise ValueError(
                "`lr` must be a number or a tensor of one element; got shape"
                f" {tuple(lr.shape)}."
            )
        lr = lr.item()
    require.non_negative("lr", lr)


def check_forms(options: Mapping[str, Any]) -> None:
    """Raise if two forms of the same rule are asked for."""
    if options.get("foreach") and options["fused"]:
        raise ValueError(
            "`foreach` and `fused` must not both be True; got foreach=True, fused=True."
        )
