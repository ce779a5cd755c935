r"""The leak of a circuit: its time step and its time constants, as a user sees them.

.. math::
    \alpha = \frac{dt}{\tau}, \qquad k = 1 - \alpha,
    \qquad \text{and noise is scaled by } \sqrt{2 \alpha}

The time constant is the fact. It is kept exactly, a float or float64, whatever the dtype of the
parameters; the leak :math:`\alpha`, the fraction kept :math:`k` and the scale of noise are
computed from it, and again after every cast.
"""

from __future__ import annotations

import warnings
from typing import Any, cast

import torch
from torch import Tensor

from daleml import require
from daleml.layers._recurrent.kept_leak import KeptLeak
from daleml.layers._recurrent.time_constants import (
    PerUnit,
    agree,
    leak_fraction,
    require_short,
    shown_time,
    time_constants,
)

_WITH_LEAK = 2
"""The version of a circuit's state dict that says whether it leaks; version 1 never says it."""


class Leaky(KeptLeak):
    """A module whose state leaks, or not; what can be read and set of it, and its checkpoints.

    What was given, ``tau_ms`` or ``leak``, is the fact, and the other follows from it and
    ``dt_ms``.
    """

    _version: int = _WITH_LEAK

    # -- what can be read

    @property
    def tau_ms(self) -> PerUnit | None:
        """Time constant in ms, of all units or one for each.

        None without a leak, or without a unit of time.
        """
        self._follow_edits()
        given = self._parameters.get("tau_ms")
        if given is None:
            given = vars(self)["_tau"]
        if given is not None:
            return cast("PerUnit", given)
        leak = self._exact_leak()
        if leak is None or self.dt_ms is None:
            return None
        return self.dt_ms / leak

    @property
    def leak(self) -> PerUnit | None:
        """Fraction of the state that a step replaces, ``dt_ms / tau_ms``.

        None if the state is the rate.
        """
        self._follow_edits()
        derived = self._buffers.get("leak")
        if derived is None:
            return self._exact_leak()
        return derived

    # -- what can be set

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; setting one of the three means it, the others follow."""
        if name == "leak":
            self._set_leak(value)
        elif name == "tau_ms":
            self._set_tau(value)
        elif name == "dt_ms":
            self._set_dt(value)
        else:
            super().__setattr__(name, value)

    def _set_leak(self, value: Any) -> None:
        self._follow_edits()
        if value is None:
            vars(self)["dt_ms"] = None
            self._keep_fact("leak", None, {})
            return
        self._keep_fact("leak", leak_fraction(value, self._n_units), self._like())

    def _set_tau(self, value: Any) -> None:
        self._follow_edits()
        if self.dt_ms is None:
            if value is not None:
                raise ValueError(
                    "`tau_ms` can be set only of a circuit that was built with `dt_ms`;"
                    f" got {value!r}."
                )
            return
        read = time_constants(value, self._n_units)
        require_short(self.dt_ms, read)
        self._keep_fact("tau_ms", read, self._like())

    def _set_dt(self, value: Any) -> None:
        self._follow_edits()
        if value is None and self.dt_ms is None:
            return
        if self._exact_leak() is None:
            raise ValueError(
                "`dt_ms` can be set only of a circuit that leaks, built with `dt_ms` and"
                f" `tau_ms`; got {value!r}."
            )
        dt_ms, before = require.positive("dt_ms", value), self.dt_ms
        if before is None:
            # The leak had no unit of time; this gives it one.
            vars(self)["dt_ms"] = dt_ms
            return
        require_short(dt_ms, cast("PerUnit", self.tau_ms))
        # A leak that was given is a fraction of the step, and grows with it.
        given = self._parameters.get("leak")
        if given is not None:
            with torch.no_grad():
                given.mul_(dt_ms / before)
        elif vars(self)["_rate"] is not None:
            vars(self)["_rate"] = vars(self)["_rate"] * (dt_ms / before)
        vars(self)["dt_ms"] = dt_ms
        self._derive(self._like())

    # -- checkpoints

    def _save_to_state_dict(
        self, destination: Any, prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name, value in self._facts().items():
            destination[prefix + name] = value

    def _facts(self) -> dict[str, Tensor]:
        """Return what a checkpoint says of the leak, beside the parameters: float64, on the CPU."""
        self._follow_edits()
        trained = [name for name in ("leak", "tau_ms") if name in self._parameters]
        told: dict[str, Any] = {}
        if trained == ["leak"]:
            # A fraction says nothing without the step that it is the fraction of.
            told["dt_ms"] = self.dt_ms
        elif not trained:
            told["tau_ms"] = self.tau_ms
            if told["tau_ms"] is None:
                told["leak"] = self._exact_leak()
        facts = {}
        for name, value in told.items():
            if value is not None:
                fact = torch.as_tensor(value, dtype=torch.float64, device="cpu")
                facts[name] = fact.detach().clone()
        return facts

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
        for name in ("dt_ms", "tau_ms", "leak"):
            value = state_dict.get(prefix + name)
            if name not in self._parameters and isinstance(value, Tensor):
                saved[name] = state_dict.pop(prefix + name)
        says = int(local_metadata.get("version") or 1) >= _WITH_LEAK
        is_of_a_circuit = any(prefix + name in state_dict for name in self._parameters)
        if not saved and not says and is_of_a_circuit:
            self._warn_unsaid(prefix)
        wrong = self._disagreement(prefix, saved, says=says)
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
        leak = self._buffers.get("leak")
        # A circuit made on meta is filled by `load_state_dict(assign=True)`.
        if leak is not None and leak.is_meta:
            self._derive(self._like())

    def _warn_unsaid(self, prefix: str) -> None:
        """Warn, of a circuit that leaks, that the checkpoint does not say its time constants."""
        for name, value in self._facts().items():
            # `dt_ms` is told of a leak that is a parameter, which torch reports if missing.
            if name != "dt_ms":
                warnings.warn(
                    f"{prefix}{name}: the checkpoint does not say it, as one without torch's"
                    " metadata, of an earlier version or of another module; this circuit's,"
                    f" {shown_time(value)}, stays.",
                    stacklevel=2,
                )

    def _disagreement(
        self, prefix: str, saved: dict[str, Tensor], *, says: bool
    ) -> str | None:
        """Say in one sentence how the leak of a checkpoint differs from the module's, if it does.

        Time constants must agree; the time step may be another, since a circuit is often
        trained at one step and run at another. A checkpoint from before time constants were
        saved agrees with any.
        """
        own = self._facts()
        for name, value in saved.items():
            # One is of a circuit with a unit of time, and the other is not.
            if name not in own:
                have = (
                    ", ".join(f"`{key}` {shown_time(one)}" for key, one in own.items())
                    or "no leak"
                )
                return (
                    f"{prefix}{name}: the checkpoint is of a circuit with `{name}`"
                    f" {shown_time(value)}, and this one has {have}; build it with the same"
                    " `dt_ms` and `tau_ms`."
                )
            fits = value.numel() == 1 or value.shape == (self._n_units,)
            if not fits or not agree(value, own[name]):
                return (
                    f"{prefix}{name}: the checkpoint has {shown_time(value)} and this circuit"
                    f" {shown_time(own[name])}; set `{name}` to the checkpoint's before loading"
                    " it, and to another afterwards if you mean it."
                )
        leak = self._exact_leak()
        trained = "leak" in self._parameters or "tau_ms" in self._parameters
        if saved or not says or trained or leak is None:
            return None
        # A leak of 1 replaces the whole state at every step, as a circuit without one does.
        if bool(torch.as_tensor(leak == 1).all()):
            return None
        return (
            f"{prefix}tau_ms: the checkpoint is of a circuit without a leak, and this one"
            f" has `tau_ms` {shown_time(torch.as_tensor(self.tau_ms))}; load it into one built"
            " without `dt_ms` and `tau_ms`."
        )
