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
from daleml.layers._recurrent.tau_learning import (
    ANCHOR,
    NAME,
    LearnedTau,
    require_room,
    shown,
)
from daleml.layers._recurrent.time_constants import (
    PerUnit,
    agree,
    leak_fraction,
    require_short,
    shown_time,
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
        if vars(self)["_learned"] is not None:
            return self._learned_values()
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
        if vars(self)["_learned"] is not None:
            dt_ms = cast("float", self.dt_ms)
            return (dt_ms / self._learned_values()).to(**self._like())
        derived = self._buffers.get("leak")
        if derived is None:
            return self._exact_leak()
        return derived

    def _shown_tau(self) -> str:
        """Show time constants that learn."""
        return shown(self._learned_values(), vars(self)["_learned"].tied)

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
        if vars(self)["_learned"] is not None:
            raise ValueError(
                "`leak` cannot be set of a circuit whose time constants learn: set `tau_ms`;"
                f" got {value!r}."
            )
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
        read, _ = self._read_tau(value, self.dt_ms)
        learned = vars(self)["_learned"]
        if learned is None:
            self._keep_fact("tau_ms", read, self._like())
            return
        each = self._per_unit_values(read)
        begun = LearnedTau.of(each, learned.tied, self.dt_ms)
        self._keep_learned_fact(begun, self._like())
        # They begin anew at the values that are set.
        with torch.no_grad():
            self._tau_log().zero_()

    def _set_dt(self, value: Any) -> None:
        self._follow_edits()
        if value is None and self.dt_ms is None:
            return
        if not self._leaks:
            raise ValueError(
                "`dt_ms` can be set only of a circuit that leaks, built with `dt_ms` and"
                f" `tau_ms`; got {value!r}."
            )
        dt_ms, before = require.positive("dt_ms", value), self.dt_ms
        if before is None:
            # The leak had no unit of time; this gives it one.
            vars(self)["dt_ms"] = dt_ms
            return
        tau_ms = cast("PerUnit", self.tau_ms)
        require_short(dt_ms, tau_ms, self.populations)
        if vars(self)["_learned"] is not None:
            each = cast("Tensor", tau_ms)
            require_room(dt_ms, each)
            self._keep_learned(each, dt_ms)
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
        # Of time constants that learn, the values say what the parameter means at any time step.
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
        learned = vars(self)["_learned"] is not None
        # Pruned or parametrised, it has a longer name.
        has_learned = any(
            key.startswith(prefix) and NAME in key.removeprefix(prefix)
            for key in state_dict
        )
        if learned or has_learned:
            wrong = self._learned_disagreement(prefix, saved, has_learned=has_learned)
        else:
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
        each = saved.get("tau_ms")
        # What computes the parameter is loaded later, and has the anchor that it was built with.
        adopts = learned and NAME in self._parameters
        if adopts and each is not None and each.shape == (self._n_units,):
            values = each.detach().to("cpu", torch.float64)
            self._keep_learned(values, cast("float", self.dt_ms))
        leak = self._buffers.get("leak", self._buffers.get(ANCHOR))
        # A circuit made on meta is filled by `load_state_dict(assign=True)`.
        if leak is not None and leak.device != self._like()["device"]:
            self._derive(self._like())

    def _warn_unsaid(self, prefix: str) -> None:
        """Warn, of a circuit that leaks, that the checkpoint does not say its time constants."""
        learned = vars(self)["_learned"]
        if learned is not None:
            begun = shown_time(learned.anchor)
            warnings.warn(
                f"{prefix}tau_ms: the checkpoint does not say it, as one without torch's"
                f" metadata or of another module; its `{NAME}`, if it has one, is read as if"
                f" 0 meant {begun} at a `dt_ms` of {self.dt_ms:g}, as it does here.",
                stacklevel=2,
            )
            return
        for name, value in self._facts().items():
            # `dt_ms` is told of a leak that is a parameter, which torch reports if missing.
            if name != "dt_ms":
                warnings.warn(
                    f"{prefix}{name}: the checkpoint does not say it, as one without torch's"
                    " metadata, of an earlier version or of another module; this circuit's,"
                    f" {shown_time(value)}, stays.",
                    stacklevel=2,
                )

    def _learned_disagreement(
        self, prefix: str, saved: dict[str, Tensor], *, has_learned: bool
    ) -> str | None:
        """Say in one sentence why time constants cannot be taken over, of which some learn."""
        if vars(self)["_learned"] is None:
            return (
                f"{prefix}{NAME}: the checkpoint is of a circuit whose time constants learn,"
                " and those of this one are fixed; build it with `train_tau=True`."
            )
        # A fixed time constant says nothing of where the parameter, and its optimiser, would be.
        if not has_learned:
            # Of another module, nothing is in it; torch says what is missing.
            if not saved:
                return None
            return (
                f"{prefix}tau_ms: the checkpoint is of a circuit whose time constants are"
                " fixed, and those of this one learn; build it with `train_tau=False`, or"
                " load it into such a one and set `tau_ms` of this one to its."
            )
        each = saved.get("tau_ms")
        # Where the parameter does not fit, torch says so.
        if each is None or each.is_meta or each.shape != (self._n_units,):
            return None
        dt_ms = cast("float", self.dt_ms)
        if not float(each.min()) > dt_ms:
            return (
                f"{prefix}tau_ms: the checkpoint has {shown_time(each)}, and time constants"
                f" that learn must be above `dt_ms`, here {dt_ms:g}; set a shorter one before"
                " loading it."
            )
        tied = vars(self)["_learned"].tied
        if tied is not None and not tied.fits(each):
            return (
                f"{prefix}tau_ms: the checkpoint has several values for units that have one"
                f" time constant here ({', '.join(tied.keys)}); build the circuit with the"
                " same `tau_ms`."
            )
        return None

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
