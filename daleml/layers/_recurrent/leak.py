r"""The leak of a circuit.

Its time step, its time constants, and what becomes of the state in a step.

.. math:: \alpha = \frac{dt}{\tau}, \qquad k = 1 - \alpha, \qquad \text{and noise is scaled by } \sqrt{2 \alpha}

The time constant is the fact. It is kept exactly, a float or float64, whatever the dtype of the
parameters; the leak :math:`\alpha`, the fraction kept :math:`k` and the scale of noise are
computed from it, and again after every cast.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from daleml import require
from daleml.layers._recurrent.time_constants import (
    PerUnit,
    agree,
    fraction,
    is_plain,
    out_of_range,
    require_short,
    shown,
    time_constants,
    version,
)
from daleml.layers.checked_attributes import Settings

_WITH_LEAK = 2
"""The version of a circuit's state dict that says whether it leaks; version 1 never says it."""


class Step(NamedTuple):
    """What a time step does to the state: each a number, or one for each unit.

    Attributes:
        leak: Fraction that is replaced.
        keep: Fraction that is kept.
        spread: Standard deviation of the noise that is added, over that of the state.
    """

    leak: PerUnit
    keep: PerUnit
    spread: PerUnit

    @classmethod
    def of(cls, leak: PerUnit) -> Step:
        """Compute the others from the leak, in its own precision."""
        return cls(leak, 1 - leak, (2 * leak) ** 0.5)

    def to(self, like: Tensor) -> Step:
        """Return it for tensors like another."""
        return Step(
            *(part.to(like) if isinstance(part, Tensor) else part for part in self)
        )


class Leaky(Settings):
    """A module whose state leaks, or not.

    What was given, ``tau_ms`` or ``leak``, is the fact, and the other follows from it and
    ``dt_ms``. One that has a gradient is kept as it is, and an ``nn.Parameter`` is registered
    under its name.
    """

    _version: int = _WITH_LEAK
    _n_units: int
    _leaks: bool
    dt_ms: float | None
    """Length of a time step in ms; None without a leak."""

    def _build_leak(
        self, dt_ms: Any, tau_ms: Any, size: int, like: dict[str, Any]
    ) -> None:
        """Set time step and time constants for the first time: both, or neither."""
        vars(self).update(
            _n_units=size,
            _tau=None,
            _rate=None,
            _derived=None,
            _seen=(0, 0),
            _leaks=False,
            dt_ms=None,
        )
        if dt_ms is None and tau_ms is None:
            return
        if dt_ms is None or tau_ms is None:
            missing, given = (
                ("dt_ms", "tau_ms") if dt_ms is None else ("tau_ms", "dt_ms")
            )
            raise ValueError(f"`{missing}` must be given where `{given}` is; got None.")
        dt_ms = require.positive("dt_ms", dt_ms)
        read = time_constants(tau_ms, size)
        require_short(dt_ms, read)
        vars(self)["dt_ms"] = dt_ms
        self._keep_fact("tau_ms", read, like)

    # -- what can be read
    # ----------------------------------------------------------------------------------------------

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
        return None if leak is None or self.dt_ms is None else self.dt_ms / leak

    @property
    def leak(self) -> PerUnit | None:
        """Fraction of the state that a step replaces, ``dt_ms / tau_ms``.

        None if the state is the rate.
        """
        self._follow_edits()
        derived = self._buffers.get("leak")
        return self._exact_leak() if derived is None else derived

    def _exact_leak(self) -> PerUnit | None:
        """Return the leak in the precision of what was given."""
        given = self._parameters.get("leak")
        if given is None:
            given = vars(self)["_rate"]
        if given is not None:
            return cast("PerUnit", given)
        tau = self._parameters.get("tau_ms")
        if tau is None:
            tau = vars(self)["_tau"]
        return None if tau is None else cast("float", self.dt_ms) / cast("PerUnit", tau)

    def _step(self, like: Tensor) -> Step | None:
        """Return what a step does to states like ``like``, on its device and in its dtype."""
        leak = self._buffers.get("leak")
        if (
            torch.compiler.is_compiling()
        ):  # what records operations knows nothing of edits
            if leak is not None:
                return Step.of(leak)
        else:
            self._follow_edits()
            leak = self._buffers.get("leak")
        derived = cast("Step | None", vars(self)["_derived"])
        if leak is None:
            exact = self._exact_leak()
            if exact is None:
                return None
            step = Step.of(exact)
            if not isinstance(exact, Tensor):
                return step
            self._require_learned(exact)
            return Step(
                *(cast("Tensor", part).expand(self._n_units).to(like) for part in step)
            )
        if (
            derived is None or leak is not derived.leak
        ):  # another stands in for it, as in torch.func.functional_call
            return Step.of(leak)
        if leak.device != like.device:
            return Step.of(cast("Tensor", self._exact_leak())).to(like)
        return derived

    def _require_learned(self, exact: Tensor) -> None:
        """Raise if learning, or what wrote into a time constant, took it where it could not be set to."""
        if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            return
        beyond = out_of_range(exact)
        if beyond is None:
            return
        if vars(self)["_rate"] is not None or "leak" in self._parameters:
            raise ValueError(
                f"`leak` must stay above 0 and at most 1 while it learns; got {beyond:g}:"
                " clamp it after each step, or learn what a sigmoid makes it of."
            )
        dt_ms = cast("float", self.dt_ms)
        raise ValueError(
            f"`tau_ms` must stay at least `dt_ms`, {dt_ms:g}, while it learns; got"
            f" {dt_ms / beyond:g}: clamp it after each step, as in"
            " `tau_ms.data.clamp_(min=dt_ms)`, or learn its logarithm and set `tau_ms` to"
            " the exponential before each call."
        )

    # -- what can be set
    # -----------------------------------------------------------------------------------------------

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
        self._keep_fact("leak", fraction(value, self._n_units), self._like())

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
        if before is None:  # a leak without a unit of time, which this gives it
            vars(self)["dt_ms"] = dt_ms
            return
        require_short(dt_ms, cast("PerUnit", self.tau_ms))
        given = self._parameters.get("leak")
        if given is not None:
            with torch.no_grad():
                given.mul_(dt_ms / before)
        elif vars(self)["_rate"] is not None:
            vars(self)["_rate"] = vars(self)["_rate"] * (dt_ms / before)
        vars(self)["dt_ms"] = dt_ms
        self._derive(self._like())

    # -- how it is kept
    # ------------------------------------------------------------------------------------------------

    def _keep_fact(self, name: str, value: Any, like: dict[str, Any]) -> None:
        """Keep the fact, in place of the one there was."""
        vars(self).update(_tau=None, _rate=None)
        for old in ("leak", "tau_ms"):
            self._parameters.pop(old, None)
        if isinstance(value, nn.Parameter):
            self._parameters[name] = value
        else:
            vars(self)["_tau" if name == "tau_ms" else "_rate"] = value
        self._derive(like)

    def _derive(self, like: dict[str, Any]) -> None:
        """Compute the leak, what is kept, and the scale of noise, of units that differ.

        Once, not in every step.
        """
        self._buffers.pop("leak", None)
        self._non_persistent_buffers_set.discard("leak")
        exact = self._exact_leak()
        vars(self).update(_derived=None, _leaks=exact is not None)
        if (
            isinstance(exact, Tensor)
            and is_plain(exact)
            and not isinstance(exact, nn.Parameter)
        ):
            parts = (cast("Tensor", part).to(**like) for part in Step.of(exact))
            derived = Step(*(part.clone() if part is exact else part for part in parts))
            vars(self)["_derived"] = derived
            self._buffers["leak"] = cast("Tensor", derived.leak)
            self._non_persistent_buffers_set.add("leak")
        vars(self)["_seen"] = self._versions()

    def _like(self) -> dict[str, Any]:
        """Return where the parameters are, and their dtype."""
        leak = self._buffers.get("leak")
        of = next(
            (
                p
                for n, p in self._parameters.items()
                if p is not None and n not in ("leak", "tau_ms")
            ),
            leak,
        )
        if of is None:
            return {"device": "cpu", "dtype": torch.get_default_dtype()}
        return {"device": of.device, "dtype": of.dtype}

    def _versions(self) -> tuple[int, int]:
        derived, tau = self.__dict__["_derived"], self.__dict__["_tau"]
        return version(None if derived is None else derived.leak), version(tau)

    def _follow_edits(self) -> None:
        """Take what was written into ``leak`` or ``tau_ms`` in place for what was meant."""
        derived = cast("Step | None", self.__dict__["_derived"])
        if derived is None or self.__dict__["_seen"] == self._versions():
            return
        leak, exact = cast("Tensor", derived.leak), cast("Tensor", self._exact_leak())
        like: dict[str, Any] = {"device": leak.device, "dtype": leak.dtype}
        of_leak, of_tau = (
            new != old
            for new, old in zip(self._versions(), vars(self)["_seen"], strict=True)
        )
        if of_tau and vars(self)["_tau"] is not None:
            require_short(
                cast("float", self.dt_ms),
                time_constants(vars(self)["_tau"], self._n_units),
            )
            self._derive(like)
        elif of_leak and not leak.is_meta and not torch.equal(exact.to(**like), leak):
            self._keep_fact("leak", fraction(leak, self._n_units), like)
        else:  # a copy, whose versions are counted anew
            vars(self)["_seen"] = self._versions()

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """Move or cast the module.

        What follows from the time constants is computed from them anew.
        """
        self._follow_edits()
        result = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        moved = self._buffers.get("leak")
        if moved is not None:
            self._derive({"device": moved.device, "dtype": moved.dtype})
        return result

    def __getstate__(self) -> dict[str, Any]:
        """Return what is copied and pickled.

        Of a time constant computed from what learns, its value alone.
        """
        self._follow_edits()
        state = self.__dict__.copy()
        for name in ("_tau", "_rate"):
            value = state[name]
            if (
                isinstance(value, Tensor) and not value.is_leaf
            ):  # torch copies no part of a graph
                state[name] = value.detach().clone()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Read a pickle; in older ones there is a leak, and no time constant."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        if "_seen" in state:
            # Pickles of the first edition do not say whether the circuit leaks.
            vars(self).setdefault("_leaks", self._exact_leak() is not None)
            return
        leak = self._buffers.pop("leak", vars(self).pop("leak", None))
        vars(self).update(
            _n_units=self.hidden_size,
            _tau=None,
            _rate=None,
            _derived=None,
            _seen=(0, 0),
            _leaks=False,
        )
        if leak is not None:
            self._keep_fact(
                "tau_ms", time_constants(self.dt_ms / leak, self._n_units), self._like()
            )

    # -- checkpoints
    # ---------------------------------------------------------------------------------------------------

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
            told["dt_ms"] = self.dt_ms  # what the fraction is a fraction of
        elif not trained:
            told["tau_ms"] = self.tau_ms
            if told["tau_ms"] is None:
                told["leak"] = self._exact_leak()
        return {
            name: torch.as_tensor(value, dtype=torch.float64, device="cpu")
            .detach()
            .clone()
            for name, value in told.items()
            if value is not None
        }

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
            if name not in self._parameters and isinstance(
                state_dict.get(prefix + name), Tensor
            ):
                saved[name] = state_dict.pop(prefix + name)
        says = int(local_metadata.get("version") or 1) >= _WITH_LEAK
        if (
            not saved
            and not says
            and any(prefix + name in state_dict for name in self._parameters)
        ):
            self._warn_unsaid(prefix)
        wrong = self._disagreement(prefix, saved, says=says)
        if wrong is not None:
            error_msgs.append(
                wrong
            )  # torch raises it when it has read the rest; nothing of this circuit is loaded
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
        if leak is not None and leak.is_meta:  # as after `load_state_dict(assign=True)`
            self._derive(self._like())

    def _warn_unsaid(self, prefix: str) -> None:
        """Warn that nothing is known of the time constants that weights were trained with, if the circuit leaks."""
        for name, value in self._facts().items():
            if (
                name == "dt_ms"
            ):  # of a leak that is a parameter, which torch reports if it is missing
                continue
            warnings.warn(
                f"{prefix}{name}: the checkpoint does not say it, as one without torch's"
                " metadata, of an earlier version or of another module; this circuit's,"
                f" {shown(value)}, stays.",
                stacklevel=2,
            )

    def _disagreement(
        self, prefix: str, saved: dict[str, Tensor], *, says: bool
    ) -> str | None:
        """Say in one sentence how the leak of a checkpoint differs from the module's.

        None if it does not.

        Time constants must agree; the time step may be another, since a circuit is often
        trained at one step and run at another. A checkpoint from before time constants were
        saved agrees with any.
        """
        own = self._facts()
        for name, value in saved.items():
            if name not in own:
                have = (
                    ", ".join(f"`{key}` {shown(one)}" for key, one in own.items())
                    or "no leak"
                )
                return (
                    f"{prefix}{name}: the checkpoint is of a circuit with `{name}`"
                    f" {shown(value)}, and this one has {have}; build it with the same"
                    " `dt_ms` and `tau_ms`."
                )
            fits = value.numel() == 1 or value.shape == (self._n_units,)
            if not fits or not agree(value, own[name]):
                return (
                    f"{prefix}{name}: the checkpoint has {shown(value)} and this circuit"
                    f" {shown(own[name])}; set `{name}` to the checkpoint's before loading"
                    " it, and to another afterwards if you mean it."
                )
        leak = self._exact_leak()
        trained = "leak" in self._parameters or "tau_ms" in self._parameters
        if (
            saved
            or not says
            or trained
            or leak is None
            or bool(torch.as_tensor(leak == 1).all())
        ):
            return None
        return (
            f"{prefix}tau_ms: the checkpoint is of a circuit without a leak, and this one"
            f" has `tau_ms` {shown(torch.as_tensor(self.tau_ms))}; load it into one built"
            " without `dt_ms` and `tau_ms`."
        )
