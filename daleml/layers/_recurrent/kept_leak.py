"""Storage of a circuit's leak: what was given, exactly, and what follows from it."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from daleml import require
from daleml._support.devices import asks_now
from daleml.layers._recurrent import tau_learning
from daleml.layers._recurrent.tau_learning import LearnedTau
from daleml.layers._recurrent.time_constants import (
    PerUnit,
    is_plain,
    leak_fraction,
    out_of_range,
    require_short,
    time_constants,
    version,
)
from daleml.layers._shared.checked_attributes import CheckedAttributes
from daleml.populations import Populations

_OF_TIME = ("leak", "tau_ms", tau_learning.NAME)
"""The parameters that say what the leak is."""


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
        parts = [part.to(like) if isinstance(part, Tensor) else part for part in self]
        return Step(*parts)


class KeptLeak(CheckedAttributes):
    """A module that keeps a time step, and time constants or a leak, and computes the others.

    What was given, ``tau_ms`` or ``leak``, is the fact. One that has a gradient is kept as it
    is, and an ``nn.Parameter`` is registered under its name. A leak that differs between units
    is computed from it once, in the precision of the parameters, and stands in a buffer. Time
    constants that learn by ``train_tau`` are made of a parameter at every step, see
    :mod:`~daleml.layers._recurrent.tau_learning`.
    """

    _n_units: int
    _leaks: bool
    populations: Populations
    train_tau: bool = False
    """Whether time constants learn."""
    dt_ms: float | None
    """Length of a time step in ms; None without a leak."""

    def _build_leak(
        self, dt_ms: Any, tau_ms: Any, train_tau: Any, like: dict[str, Any]
    ) -> None:
        """Set time step and time constants for the first time: both, or neither."""
        trains = require.flag("train_tau", train_tau)
        # Written past `__setattr__`, which would take them for settings.
        vars(self).update(
            _n_units=self.populations.size,
            _tau=None,
            _rate=None,
            _learned=None,
            _derived=None,
            _seen=(0, 0),
            _leaks=False,
            dt_ms=None,
            train_tau=trains,
        )
        if dt_ms is None and tau_ms is None:
            if trains:
                raise ValueError(
                    "`train_tau` must be False without `dt_ms` and `tau_ms`, which say where"
                    " learning begins; got True."
                )
            return
        if dt_ms is None or tau_ms is None:
            missing, given = "tau_ms", "dt_ms"
            if dt_ms is None:
                missing, given = given, missing
            raise ValueError(f"`{missing}` must be given where `{given}` is; got None.")
        dt_ms = require.positive("dt_ms", dt_ms)
        read, tied = self._read_tau(tau_ms, dt_ms)
        vars(self)["dt_ms"] = dt_ms
        if trains:
            each = self._per_unit_values(read)
            self._keep_learned_fact(LearnedTau.of(each, tied, dt_ms), like)
            vars(self)["_leaks"] = True
        else:
            self._keep_fact("tau_ms", read, like)

    def _read_tau(
        self, given: Any, dt_ms: float
    ) -> tuple[PerUnit, tau_learning.Tied | None]:
        """Read time constants, and which units have one in common, if they go by population."""
        tied = None
        if tau_learning.is_by_population(given):
            given, tied = tau_learning.by_population(given, self.populations, dt_ms)
        read = time_constants(given, self._n_units)
        require_short(dt_ms, read, self.populations)
        return read, tied

    def _per_unit_values(self, read: PerUnit) -> Tensor:
        """Return one time constant for each unit, float64 on the CPU, of values alone."""
        if isinstance(read, Tensor) and not is_plain(read):
            raise ValueError(
                "`tau_ms` must be numbers where `train_tau` is True; got a tensor with a"
                " gradient: leave `train_tau` out to learn what it is computed from."
            )
        each = torch.as_tensor(read, dtype=torch.float64, device="cpu")
        return each.expand(self._n_units).clone()

    def _register_tau(self, factory: dict[str, Any]) -> None:
        """Give the module the parameter of its time constants, where they learn."""
        learned = vars(self)["_learned"]
        if learned is not None:
            log = nn.Parameter(torch.zeros(len(learned.anchor), **factory))
            self.register_parameter(tau_learning.NAME, log)

    def _reset_tau(self) -> None:
        """Put time constants that learn back to where they were given."""
        learned = vars(self)["_learned"]
        if learned is None:
            return
        tau_learning.require_room(cast("float", self.dt_ms), learned.given)
        self._keep_learned_fact(
            LearnedTau(learned.given, learned.given, learned.tied), self._like()
        )
        with torch.no_grad():
            self._tau_log().zero_()

    def _tau_log(self) -> Tensor:
        """Return the parameter of time constants that learn."""
        log = self._parameters.get(tau_learning.NAME)
        # `getattr` finds one that is parametrised.
        return getattr(self, tau_learning.NAME) if log is None else log

    def _learned_values(self) -> Tensor:
        """Return the time constants that were learned, float64 on the CPU, without a graph."""
        learned: LearnedTau = vars(self)["_learned"]
        log = self._tau_log().detach()
        # A circuit on meta has no values but those that it was given.
        if log.is_meta:
            log = torch.zeros_like(log, device="cpu")
        each = learned.values(log, cast("float", self.dt_ms))
        return each.to("cpu", torch.float64)

    def _keep_learned(self, each: Tensor, dt_ms: float) -> None:
        """Let the parameter, as it is, mean given time constants at a given time step."""
        learned: LearnedTau = vars(self)["_learned"]
        log = self._tau_log().detach()
        if not log.is_meta:
            anchored = learned.anchored(each, log, dt_ms)
            self._keep_learned_fact(anchored, self._like())

    def _keep_learned_fact(self, learned: LearnedTau, like: dict[str, Any]) -> None:
        """Keep what is known of time constants that learn, and their anchor as a buffer too."""
        anchor = learned.buffer(like["device"])
        vars(self)["_learned"] = learned
        self._buffers[tau_learning.ANCHOR] = anchor
        self._non_persistent_buffers_set.add(tau_learning.ANCHOR)

    def _exact_leak(self) -> PerUnit | None:
        """Return the leak in the precision of what was given."""
        given = self._parameters.get("leak")
        if given is None:
            given = vars(self)["_rate"]
        if given is not None:
            return cast("PerUnit", given)
        learned = vars(self)["_learned"]
        if learned is not None:
            dt_ms = cast("float", self.dt_ms)
            # The buffer, which is where the parameter is; it may be another, as in
            # `torch.func.functional_call`.
            anchor = self._buffers.get(tau_learning.ANCHOR)
            each: Tensor = learned.values(self._tau_log(), dt_ms, anchor)
            return dt_ms / each
        tau = self._parameters.get("tau_ms")
        if tau is None:
            tau = vars(self)["_tau"]
        if tau is None:
            return None
        return cast("float", self.dt_ms) / cast("PerUnit", tau)

    def _keep_fact(self, name: str, value: Any, like: dict[str, Any]) -> None:
        """Keep the fact, in place of the one there was."""
        # There is one fact: a time constant, or a leak.
        vars(self).update(_tau=None, _rate=None)
        for old in ("leak", "tau_ms"):
            self._parameters.pop(old, None)
        if isinstance(value, nn.Parameter):
            self._parameters[name] = value
        else:
            vars(self)["_tau" if name == "tau_ms" else "_rate"] = value
        self._derive(like)

    def _derive(self, like: dict[str, Any]) -> None:
        """Compute a leak that differs between units, and what follows from it, once."""
        self._buffers.pop("leak", None)
        self._non_persistent_buffers_set.discard("leak")
        # What learns is computed at every step.
        learned = vars(self)["_learned"]
        if learned is not None:
            self._keep_learned_fact(learned, like)
            return
        exact = self._exact_leak()
        vars(self).update(_derived=None, _of_number=None, _leaks=exact is not None)
        if isinstance(exact, float):
            vars(self)["_of_number"] = Step.of(exact)
        # A leak that learns has to be computed at every step.
        if isinstance(exact, Tensor) and is_plain(exact):
            leak, keep, spread = (
                cast("Tensor", part).to(**like) for part in Step.of(exact)
            )
            # The buffer may be written to, and the fact must not be.
            derived = Step(leak.clone() if leak is exact else leak, keep, spread)
            vars(self)["_derived"] = derived
            self._buffers["leak"] = cast("Tensor", derived.leak)
            self._non_persistent_buffers_set.add("leak")
        vars(self)["_seen"] = self._versions()

    def _like(self) -> dict[str, Any]:
        """Return where the parameters are, and their dtype."""
        for name, parameter in self._parameters.items():
            if parameter is not None and name not in _OF_TIME:
                return {"device": parameter.device, "dtype": parameter.dtype}
        leak = self._buffers.get("leak")
        if leak is None:
            return {"device": "cpu", "dtype": torch.get_default_dtype()}
        return {"device": leak.device, "dtype": leak.dtype}

    def _versions(self) -> tuple[int, int]:
        kept = self.__dict__
        derived = kept["_derived"]
        of_leak = 0 if derived is None else version(derived.leak)
        return of_leak, version(kept["_tau"])

    def _follow_edits(self) -> None:
        """Obey what was written into ``leak`` or ``tau_ms`` in place."""
        derived = cast("Step | None", self.__dict__["_derived"])
        if derived is None or self.__dict__["_seen"] == self._versions():
            return
        leak, exact = cast("Tensor", derived.leak), cast("Tensor", self._exact_leak())
        like: dict[str, Any] = {"device": leak.device, "dtype": leak.dtype}
        (of_leak, of_tau), seen = self._versions(), vars(self)["_seen"]
        if of_tau != seen[1] and vars(self)["_tau"] is not None:
            require_short(
                cast("float", self.dt_ms),
                time_constants(vars(self)["_tau"], self._n_units),
            )
            self._derive(like)
        elif of_leak != seen[0] and self._was_written(leak, exact):
            self._keep_fact("leak", leak_fraction(leak, self._n_units), like)
        else:
            # This is a copy, whose versions are counted anew.
            vars(self)["_seen"] = self._versions()

    @staticmethod
    def _was_written(leak: Tensor, exact: Tensor) -> bool:
        """Whether the leak is another than what follows from the fact."""
        if leak.is_meta:
            return False
        return not torch.equal(exact.to(device=leak.device, dtype=leak.dtype), leak)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """Move or cast the module; what follows from its time constants is computed anew."""
        self._follow_edits()
        before = None
        if vars(self)["_learned"] is not None:
            dtype = self._tau_log().dtype
            before = self._learned_values()
        # The cast of a buffer rounds; computing it from the fact rounds once.
        result = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        # A cast rounds the parameter of time constants, which stay what they are.
        if before is not None and self._tau_log().dtype != dtype:
            self._keep_learned(before, cast("float", self.dt_ms))
        moved = self._buffers.get("leak", self._buffers.get(tau_learning.ANCHOR))
        if moved is not None:
            self._derive({"device": moved.device, "dtype": moved.dtype})
        return result

    def __getstate__(self) -> dict[str, Any]:
        """Return what is copied and pickled: of a time constant with a graph, its value."""
        self._follow_edits()
        state = self.__dict__.copy()
        for name in ("_tau", "_rate"):
            value = state[name]
            # Torch copies no part of a graph.
            if isinstance(value, Tensor) and not value.is_leaf:
                state[name] = value.detach().clone()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Read a pickle; in older ones there is a leak, and no time constant."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        vars(self).setdefault("_learned", None)
        if "_seen" in state:
            # Pickles of the first edition do not say whether the circuit leaks.
            vars(self).setdefault("_leaks", self._exact_leak() is not None)
            return
        # The first circuits kept the leak alone, as a buffer or a number.
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

    # -- what a step does

    def _step(self, like: Tensor) -> Step | None:
        """Return what a step does to states like ``like``, on its device and in its dtype."""
        # Most circuits have one number, which nothing but a setting changes.
        of_number = cast("Step | None", self.__dict__.get("_of_number"))
        if of_number is not None:
            return of_number
        if torch.compiler.is_compiling():
            # What records operations knows nothing of edits.
            leak = self._buffers.get("leak")
            if leak is not None:
                return Step.of(leak)
        else:
            self._follow_edits()
            leak = self._buffers.get("leak")
        if leak is None:
            return self._step_of_exact_leak(like)
        derived = cast("Step | None", vars(self)["_derived"])
        if derived is None or leak is not derived.leak:
            # Another stands in for the buffer, as in `torch.func.functional_call`.
            return Step.of(leak)
        if leak.device != like.device:
            return Step.of(cast("Tensor", self._exact_leak())).to(like)
        return derived

    def _step_of_exact_leak(self, like: Tensor) -> Step | None:
        """Return the step of a leak that is one number, or learns."""
        exact = self._exact_leak()
        if exact is None:
            return None
        step = Step.of(exact)
        if not isinstance(exact, Tensor):
            return step
        self._require_learned(exact)
        each = [cast("Tensor", part).expand(self._n_units).to(like) for part in step]
        return Step(*each)

    def _require_learned(self, exact: Tensor) -> None:
        """Raise if learning, or a write into a time constant, took it out of its range."""
        if torch.compiler.is_compiling() or torch._C._is_tracing():
            return
        if not exact.is_cpu and not asks_now(vars(self)):
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
        if vars(self)["_learned"] is not None:
            reached = dt_ms / beyond if beyond else float("inf")
            raise ValueError(
                f"`tau_ms` must stay finite while it learns; got {reached:g}: give it a"
                " smaller learning rate, as in `optim.param_groups(model, lr, tau_lr=...)`."
            )
        raise ValueError(
            f"`tau_ms` must stay at least `dt_ms`, {dt_ms:g}, while it learns; got"
            f" {dt_ms / beyond:g}: clamp it after each step, as in"
            " `tau_ms.data.clamp_(min=dt_ms)`, or learn its logarithm and set `tau_ms` to"
            " the exponential before each call."
        )
