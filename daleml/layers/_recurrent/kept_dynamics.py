"""The dynamics of a circuit as an object that it keeps: what may be given, read, set and saved."""

from __future__ import annotations

import warnings
from typing import Any, cast

import torch
from torch import Tensor, nn

from daleml._support.devices import moved
from daleml.layers._recurrent.dynamics_loop import (
    checked_rates,
    checked_step,
    side_by_side,
)
from daleml.layers._recurrent.kept_leak import Step
from daleml.layers._recurrent.leak import Leaky
from daleml.layers._recurrent.nonlinearities import Nonlinearity, function
from daleml.layers._recurrent.time_constants import agree, shown_time
from daleml.layers.dynamics import Dynamics, MembraneLeak, TimeStep
from daleml.layers.dynamics.over_other import facts_of, hidden_from_circuit
from daleml.populations import Populations

_KIND = "dynamics"
"""The name under which a checkpoint keeps what kind of dynamics a circuit has."""
_FACT = "dynamics."
"""What the names of their parameters begin with in a checkpoint."""


class KeptDynamics(Leaky):
    """A module that leaks, or has dynamics of its own.

    Attributes:
        _has_dynamics: Whether there are dynamics other than the circuit's own leak.
        _state_size: Number of values in the state of a sequence, all variables together.
    """

    dynamics: Any
    """What moves the state; None for the circuit's own leak."""
    populations: Populations
    hidden_size: int
    nonlinearity: str | Nonlinearity
    _has_dynamics: bool = False
    _state_size: int

    def _build_dynamics(self, given: Any) -> None:
        """Keep dynamics for the first time; sizes and the time step are there."""
        vars(self)["dynamics"] = None
        vars(self)["_state_size"] = self.hidden_size
        self.dynamics = given

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute."""
        if name == "dynamics":
            value = self._readied(value)
            # Torch keeps a module among the modules, and anything else here.
            self._modules.pop(name, None)
            vars(self).pop(name, None)
            own = value is not None and type(value) is not MembraneLeak
            n_variables = len(value.state_names) if own else 1
            vars(self)["_has_dynamics"] = own
            vars(self)["_state_size"] = n_variables * self.hidden_size
        elif name == "dt_ms" and self._has_dynamics:
            _require_step(self.dynamics, value)
        elif name == "leak" and value is None and self._has_dynamics:
            # A circuit without a leak has no unit of time either.
            _require_step(self.dynamics, None)
        super().__setattr__(name, value)

    def _readied(self, given: Any) -> Any:
        """Return dynamics for the circuit's units, or raise if they are none."""
        if given is None:
            return None
        if isinstance(given, type) or not isinstance(given, Dynamics):
            kind = given.__name__ if isinstance(given, type) else type(given).__name__
            hint = f": give `{kind}(...)`" if isinstance(given, type) else ""
            raise TypeError(
                "`dynamics` must have `state_names`, `starts`, `step` and `rates`, as those"
                f" of daleml.layers.dynamics have; got {kind}{hint}."
            )
        hidden = hidden_from_circuit(given)
        if hidden is not None:
            raise TypeError(
                "`dynamics` must be an `nn.Module` where they have parameters, which would"
                f" neither learn nor be saved otherwise; got {type(given).__name__} with"
                f" some in `{hidden}`: derive its class from `nn.Module`."
            )
        for_units = getattr(given, "for_units", None)
        readied = given if for_units is None else for_units(self.populations)
        names: Any = readied.state_names
        if not isinstance(names, (tuple, list)) or not names:
            raise TypeError(
                "`dynamics` must have a tuple of names as `state_names`; got"
                f" {names!r}."
            )
        if len(set(names)) < len(names) or not all(isinstance(n, str) for n in names):
            raise ValueError(
                f"`dynamics` must have `state_names` that differ; got {tuple(names)}."
            )
        # A step would stop in the middle of a run, with a sentence about shapes.
        n_starts = len(readied.starts)
        if n_starts != len(names):
            raise ValueError(
                f"`dynamics` must have one of `starts` for each of {tuple(names)}; got"
                f" {n_starts}."
            )
        _require_step(readied, self.dt_ms)
        return readied

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Read a pickle; older ones have no dynamics but the leak."""
        super().__setstate__(state)
        vars(self).setdefault("_state_size", self.hidden_size)
        if "dynamics" not in self._modules:
            vars(self).setdefault("dynamics", None)

    # -- what can be read

    @property
    def _f(self) -> Nonlinearity:
        return function(self.nonlinearity)

    @property
    def state_names(self) -> tuple[str, ...]:
        """The names of the state variables, which lie side by side in ``hx`` and ``h_n``.

        ``("x",)`` of a plain circuit with a leak, ``("r",)`` without: the state is the rate.
        """
        if self._has_dynamics:
            return tuple(self._own_dynamics().state_names)
        return ("x",) if self._leaks else ("r",)

    def _own_dynamics(self) -> Dynamics:
        return cast("Dynamics", self.dynamics)

    def rates(self, state: Tensor) -> Tensor:
        """Return the rates of a state: ``f(x)``, or the state itself where it is the rate."""
        if self._has_dynamics:
            dynamics = self._own_dynamics()
            variables = side_by_side(self._whole(state), dynamics)
            return checked_rates(dynamics, variables, self._time_step(None))
        # Without a leak the state is the rate.
        if not self._leaks:
            return state
        return self._f(state)

    def transmitted(self, state: Tensor) -> Tensor:
        """Return what the units send through the recurrent weights in the step after a state."""
        if not self._has_dynamics:
            return self.rates(state)
        dynamics, sent = self._own_dynamics(), []

        def receive(given: Tensor) -> Tensor:
            sent.append(given)
            return torch.zeros_like(given)

        rows = self._whole(state).reshape(-1, self._state_size)
        time = self._time_step(self._step(rows) if self._leaks else None)
        checked_step(dynamics, side_by_side(rows, dynamics), receive, time)
        # Dynamics that send nothing would leave the units unconnected in silence.
        if not sent:
            raise ValueError(
                f"`step` of {type(dynamics).__name__} must call `receive` with what the"
                " units send; got no call."
            )
        return sent[0].reshape(*state.shape[:-1], self.hidden_size)

    def _whole(self, state: Tensor) -> Tensor:
        """Return a state, or raise if it does not hold all variables."""
        if state.shape[-1] != self._state_size:
            raise ValueError(
                f"`state` must hold {', '.join(self.state_names)} of {self.hidden_size}"
                f" units, {self._state_size} values; got {state.shape[-1]}."
            )
        return state

    # -- a step

    def _time_step(self, step: Step | None) -> TimeStep:
        """Return what dynamics are told of a step."""
        alpha = 1.0 if step is None else step.leak
        return TimeStep(self.dt_ms, alpha, self._f)

    def _starting_variables(
        self, rows: Tensor, n_sequences: int, learned: Tensor | None
    ) -> Tensor:
        """Return where all variables begin, the first where it was learned, side by side."""
        zeros = rows.new_zeros(n_sequences, self.hidden_size)
        variables = []
        for start in self._own_dynamics().starts:
            # Numbers that learn keep their gradient here, if the user's own module has any.
            if isinstance(start, Tensor):
                begun = moved(start, zeros)
            else:
                begun = zeros.new_full((), start)
            variables.append(begun.expand_as(zeros))
        if learned is not None:
            variables[0] = learned
        return torch.cat(variables, dim=-1)

    # -- checkpoints

    def _dynamics_facts(self) -> dict[str, Tensor]:
        """Return what a checkpoint says of the dynamics: nothing of the circuit's own leak."""
        if not self._has_dynamics:
            return {}
        dynamics = self._own_dynamics()
        kind = list(_kind(dynamics).encode())
        # On the CPU even inside `with torch.device("meta")`.
        found = {_KIND: torch.tensor(kind, dtype=torch.uint8, device="cpu")}
        for name, value in facts_of(dynamics).items():
            told = torch.as_tensor(value, dtype=torch.float64, device="cpu")
            found[_FACT + name] = told.detach().clone()
        return found

    def _save_to_state_dict(
        self, destination: Any, prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name, value in self._dynamics_facts().items():
            destination[prefix + name] = value

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        saved = {}
        for key in list(state_dict):
            name = key.removeprefix(prefix)
            is_fact = name.startswith(_FACT) and "dynamics" not in self._modules
            if key.startswith(prefix) and (name == _KIND or is_fact):
                saved[name] = state_dict.pop(key)
        wrong = self._other_dynamics(prefix, saved, "version" in local_metadata)
        if wrong is not None:
            # Torch raises it once it has read the rest; nothing of this circuit is loaded.
            error_msgs.append(wrong)
            return
        super()._load_from_state_dict(
            state_dict,
            prefix,
            local_metadata,
            strict,
            missing_keys,
            unexpected_keys,
            error_msgs,
        )

    def _other_dynamics(
        self, prefix: str, saved: dict[str, Tensor], says: bool
    ) -> str | None:
        """Say in one sentence how the dynamics of a checkpoint differ, if they do."""
        own = self._dynamics_facts()
        here = _kind(self._own_dynamics()) if own else "the leak alone"
        if _KIND in saved:
            # Bytes are exact in every floating-point type to which a state dict may be cast.
            characters = saved[_KIND].to(torch.uint8).tolist()
            there = bytes(characters).decode(errors="replace")
        elif own and not says:
            warnings.warn(
                f"{prefix}dynamics: the checkpoint does not say them, as one of another"
                f" module; this circuit's, {here}, stay.",
                stacklevel=2,
            )
            return None
        else:
            there = "the leak alone"
        if there != here:
            return (
                f"{prefix}dynamics: the checkpoint is of a circuit with {there}, and this"
                f" one has {here}; build it with the same `dynamics`."
            )
        for name, value in saved.items():
            mine = own.get(name)
            if name == _KIND or (mine is not None and agree(value, mine)):
                continue
            told = "none" if mine is None else shown_time(mine)
            return (
                f"{prefix}dynamics.{name.removeprefix(_FACT)}: the checkpoint has"
                f" {shown_time(value)} and this circuit {told}; load it into a circuit with"
                " the same `dynamics`, and set `dynamics` to others afterwards if you mean"
                " them."
            )
        return None


def _require_step(dynamics: Any, dt_ms: float | None) -> None:
    """Raise if a time step is impossible for dynamics."""
    look = getattr(dynamics, "require_step", None)
    if look is not None:
        look(dt_ms)


def shown_dynamics(dynamics: Any) -> str:
    """Show dynamics: those of a class that does not say how, by its name."""
    shown = repr(dynamics)
    # Python's own says where it lies in memory.
    if " object at 0x" in shown:
        return f"{type(dynamics).__name__}()"
    return shown


def _kind(dynamics: Any) -> str:
    """Return what kind of dynamics it is: the names of its class, and of what it stands over."""
    name = type(dynamics).__name__
    below = getattr(dynamics, "over", None)
    if below is None or isinstance(below, nn.Module):
        return name
    return f"{name} over {_kind(below)}"
