"""The base of daleml's optimisers: checks, state dicts, and the step by its plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

import torch
from torch import Tensor
from torch.autograd import profiler
from torch.optim import optimizer as torch_optimizer
from torch.optim.optimizer import Optimizer, ParamsT

from daleml import require
from daleml._support.devices import is_capturing
from daleml._support.keyword_names import meant
from daleml._support.sharded_tensors import local
from daleml.optim._fast import forms, traced_steps
from daleml.optim._fast.guarded_exp import Headroom
from daleml.optim._fast.step_plan import StepPlan
from daleml.optim.enforcement import enforce
from daleml.optim.masters import LOW_PRECISION
from daleml.optim.parameter_groups import ParamGroups

_OF_SCHEDULERS = ("initial_", "base_", "max_", "min_", "swa_")
"""How options begin that torch's schedulers keep in groups."""

Step = TypeVar("Step", bound=Callable[..., Any])


def _calls_hooks(step: Step) -> Step:
    """Mark a step as one that calls its hooks itself: torch wraps any other.

    Torch's wrapper opens a record for the profiler at every step, whether one runs or not: that
    takes 25 microseconds, a quarter of the step of a network of a hundred units.
    """
    step.__dict__["hooked"] = True
    return step


class MasteredOptimizer(Optimizer):
    """A torch optimiser whose rule sees float32 or float64 weights only, and one gradient each."""

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self._forget()
        self._check_options(defaults)
        super().__init__(params, {**defaults, "euclidean": False})
        # Parameters alone do not tell by which factors their synapses learn.
        if isinstance(params, ParamGroups) and params.scaled_model is not None:
            enforce(self, params.scaled_model)

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A copy has no attributes yet and is given all; `load_state_dict` gives no defaults.
        known = state if "defaults" in state else vars(self)
        # Copied, since torch adds an option to them that these optimisers do not have.
        defaults = dict(known["defaults"])
        super().__setstate__(state)
        self._forget()
        for group in self.param_groups:
            for key, value in defaults.items():
                group.setdefault(key, value)

    def _forget(self) -> None:
        """Drop what is known of the weights and of which go together: it is worked out anew."""
        self._headroom = Headroom()
        self._plan: StepPlan | None = None

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, after checking its options and that its parameters are real numbers."""
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
            # Torch has taken the group in by now, and a caller may go on without it.
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

    def state_dict(self) -> dict[str, Any]:
        """Return the state as torch does, each tensor with memory of its own.

        Moments of small tensors lie together, see :mod:`daleml.optim._fast.step_plan`.
        """
        content = super().state_dict()
        states = {}
        for key, state in content["state"].items():
            states[key] = {name: _apart(value) for name, value in state.items()}
        return {**content, "state": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the optimiser's state; float32 masters and moments of low precision stay float32.

        Raises:
            ValueError: If groups that ``param_groups`` made come in another order: their rates
                would be exchanged.
        """
        self._require_order(state_dict["param_groups"])
        super().load_state_dict(state_dict)
        self._forget()
        saved_ids = [i for group in state_dict["param_groups"] for i in group["params"]]
        parameters = []
        for group in self.param_groups:
            parameters += group["params"]
        for i, parameter in zip(saved_ids, parameters, strict=True):
            for key, saved in state_dict["state"].get(i, {}).items():
                if not isinstance(saved, Tensor):
                    continue
                # Torch casts state to the parameter's dtype, and may hand over the very
                # tensors of the state dict.
                cast = self.state[parameter][key]
                keep = parameter.dtype in LOW_PRECISION and key != "step"
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
    @_calls_hooks
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step.

        Args:
            closure: Re-evaluates the model and returns the loss.

        Raises:
            RuntimeError: If a gradient is sparse.
        """
        is_observed = (
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or torch_optimizer._global_optimizer_pre_hooks
            or torch_optimizer._global_optimizer_post_hooks
            or profiler._is_profiler_enabled
        )
        # The step of a subclass of yours is wrapped by torch, which has called the hooks then.
        if is_observed and type(self).step is MasteredOptimizer.step:
            return _observed_step(self, closure)
        return self._step(closure)

    def _step(self, closure: Callable[[], float] | None = None) -> float | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        # A decorator, or a context, would cost a tenth of the step of a small network.
        was_enabled = torch.is_grad_enabled()
        torch.set_grad_enabled(False)
        if torch.compiler.is_compiling():
            traced_steps.step(self)
            torch.set_grad_enabled(was_enabled)
            return loss
        try:
            if self._is_capturable():
                traced_steps.step(self)
                return loss
            plan = self._plan
            if plan is None or not plan.holds(self):
                plan = self._plan = StepPlan(self)
            for part in plan.parts:
                part.step(self)
        finally:
            torch.set_grad_enabled(was_enabled)
        return loss

    def _is_capturable(self) -> bool:
        """Whether to take a step that a CUDA graph can record, or raise if one is recorded."""
        flags = [group.get("capturable", False) for group in self.param_groups]
        if is_capturing() and not all(flags):
            raise RuntimeError(
                f"`capturable` of {type(self).__name__} must be True in every group where a"
                " CUDA graph records the step; got False: each replay would repeat the"
                " numbers of this one step."
            )
        return any(flags)

    def _init_group(
        self, group: dict[str, Any], is_first: bool, *columns: list[Tensor]
    ) -> None:
        # By this name torch's compiler knows what it runs and does not trace.
        traced_steps.init_group(self, group, is_first, columns)

    # -- what a plan asks, see daleml.optim._fast.alike.Planned

    _counts_steps = False

    def _rule(self, group: dict[str, Any], options: Any) -> forms.Rule:
        raise NotImplementedError

    def _is_steady(self) -> bool:
        return True

    def _moments(self, group: dict[str, Any]) -> tuple[str, ...]:
        raise NotImplementedError

    def _steps_taken(self, state: dict[str, Any]) -> float:
        raise NotImplementedError

    def _options(self, group: dict[str, Any], dtype: torch.dtype, taken: float) -> Any:
        raise NotImplementedError


# With the hooks, and with the name that a profiler shows.
_observed_step = Optimizer.profile_hook_step(MasteredOptimizer._step)


def _apart(value: Any) -> Any:
    """Return a tensor without the rest of the memory that it is a view of."""
    if isinstance(value, Tensor) and local(value)._is_view():
        return value.clone()
    return value


def plain(group: Mapping[str, Any]) -> float | Tensor:
    """Return the learning rate of a group as rules take it.

    A float, or a scalar where it lies on a device that is costly to ask, or is to be read anew
    by whoever has recorded the step.
    """
    lr: float | Tensor = group["lr"]
    if not isinstance(lr, Tensor):
        return lr
    is_recorded = torch.compiler.is_compiling() or group.get("capturable")
    if is_recorded or not lr.is_cpu:
        return lr.reshape(())
    return lr.item()


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
    if (
        require.flag("capturable", options.get("capturable", False))
        and options["fused"]
    ):
        raise ValueError(
            "`capturable` and `fused` must not both be True; got capturable=True, fused=True."
        )
    if options.get("foreach") and options["fused"]:
        raise ValueError(
            "`foreach` and `fused` must not both be True; got foreach=True, fused=True."
        )
