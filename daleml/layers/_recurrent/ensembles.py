"""Circuits that ``torch.func.stack_module_state`` stacks: whether one of them can stand for all.

It stacks tensors alone, and a transform runs the first circuit with the tensors of each. Settings
that are no tensors, as the numbers of dynamics, would be the first's in all of them. So a circuit
keeps a digest of its settings as a buffer, which is stacked too, and compares.
"""

from __future__ import annotations

import hashlib
from typing import Any

import torch

from daleml.layers._recurrent.disturbances import Disturbed
from daleml.layers._shared.functorch_tensors import is_wrapped

DIGEST = "settings_digest"
"""The buffer that tells circuits of other settings apart; no checkpoint has it."""
_NUMBERS = ("noise", "input_noise", "rate_noise", "noise_in_eval", "eps")
_SETTINGS = ("dt_ms", "tau_ms", "leak", "dynamics", "nonlinearity", *_NUMBERS)


class Stackable(Disturbed):
    """A circuit that may be the first of an ensemble, and refuses to stand for others."""

    _notes_settings: bool = False

    def _note_settings(self) -> None:
        """Keep a digest of the settings."""
        vars(self)["_notes_settings"] = True
        self._buffers.pop(DIGEST, None)
        device = self._like()["device"]
        # What is loaded into a circuit on meta could not bring it along.
        if device == torch.device("meta"):
            device = "cpu"
        value = torch.tensor(self._settings_digest(), dtype=torch.int8, device=device)
        vars(self)["_digest"] = value
        self.register_buffer(DIGEST, value, persistent=False)

    def _is_stood_in(self) -> bool:
        """Whether tensors of another circuit may stand in for this one's."""
        if torch._C._are_functorch_transforms_active():
            return True
        return self._buffers.get(DIGEST) is not vars(self).get("_digest")

    def _settings_digest(self) -> list[int]:
        shown: Any = self.nonlinearity
        if not isinstance(shown, str):
            shown = getattr(shown, "__qualname__", type(shown).__name__)
        told = [shown, self.state_names]
        told += [getattr(self, name, None) for name in _NUMBERS]
        for name, value in self._dynamics_facts().items():
            told.append((name, value.flatten().tolist()))
        learned = vars(self)["_learned"]
        if learned is not None and learned.tied is not None:
            told.append(learned.tied.group)
        if learned is not None or self._has_dynamics:
            told.append(self.dt_ms)
        # One for each unit is a buffer, and what is learned a parameter: both are stacked.
        if learned is None and isinstance(self.leak, float):
            told.append(self.leak)
        digest = hashlib.sha256(repr(told).encode()).digest()
        # Small numbers, which averages of models leave as they are.
        return [byte // 2 for byte in digest[:8]]

    def _require_alike(self) -> None:
        """Raise if other circuits are run as this one whose settings are not this one's."""
        found = self._buffers.get(DIGEST)
        if found is None or found.is_meta or torch.compiler.is_compiling():
            return
        own = torch.tensor(self._settings_digest(), dtype=torch.int8, device="cpu")
        differs = (found != own.to(found.device)).any()
        while is_wrapped(differs):
            differs = torch._C._functorch.get_unwrapped(differs)
        # What records operations has no values.
        if type(differs) is torch.Tensor and bool(differs.any()):
            raise ValueError(
                "`models` of an ensemble must be circuits of the same nonlinearity, noise,"
                " `dt_ms`, time constants and dynamics, since the first stands for all; got"
                " others: give time constants one for each unit, or run each circuit by"
                " itself."
            )

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute."""
        super().__setattr__(name, value)
        # The constructor notes them once, at its end.
        if name in _SETTINGS and self._notes_settings:
            self._note_settings()

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        result = super()._apply(fn, recurse)
        # Memory that was emptied is filled.
        if self._notes_settings:
            self._note_settings()
        return result

    def _load_from_state_dict(self, *given: Any, **named: Any) -> None:
        super()._load_from_state_dict(*given, **named)
        # `load_state_dict(assign=True)` may bring parameters on another device.
        if self._notes_settings:
            self._note_settings()
