"""Attributes of a layer that look like settings: obeyed when they are set, or refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

from torch import Tensor, nn

from daleml import require
from daleml._support.keyword_names import Keywords, meant
from daleml.populations import Populations

AttributeCheck: TypeAlias = Callable[[str, Any], Any]
"""Takes an attribute's name and the value given, and returns what to keep, or raises."""

_GIVEN_ONCE = {
    **dict.fromkeys(
        ("mask", "input_mask", "layer_mask", "autapses"),
        "which is built with it: fix another by `signs.fix(..., present=, replace=True)`,"
        " see `signs`",
    ),
    **dict.fromkeys(
        ("fixed", "input_fixed"),
        "which is built with it: fix others by `signs.fix(..., fixed=, replace=True)`, see"
        " `signs`",
    ),
    **dict.fromkeys(
        ("lr_scale", "input_lr_scale"),
        "which is built with it: give others by `signs.fix(..., lr_scale=, replace=True)`,"
        " see `signs`",
    ),
    **dict.fromkeys(
        ("strength", "input_strength", "input_signed"),
        "which is built with it: build another",
    ),
    "signs": "which is built with them: fix others by `signs.fix(..., replace=True)`",
    "train_initial_state": "which is built with it: build another",
    "dtype": "whose parameters have one: cast it by `.to(dtype)`",
    "device": "whose parameters have one: move it by `.to(device)`",
}
"""What a layer is given once, by name, and what a user may do afterwards instead."""


class CheckedAttributes(Keywords, nn.Module):
    """A module that reads a new value of an attribute as carefully as its constructor does.

    Attributes:
        _checked: The attributes that may be set at any time, and what checks each.
        _fixed: Those that cannot be set once they are there: the parameters were made for them.
        _settable: Others that may be set at any time.
        _closed: Whether a class itself, and no subclass of it, refuses new attributes that look
            like settings.
        _told: Those that a checkpoint tells in its metadata, since weights were trained with them.
    """

    _checked: ClassVar[Mapping[str, AttributeCheck]] = {}
    _fixed: ClassVar[frozenset[str]] = frozenset()
    _settable: ClassVar[tuple[str, ...]] = ()
    _closed: ClassVar[bool] = False
    _told: ClassVar[tuple[str, ...]] = ()

    def __prepare_scriptable__(self) -> nn.Module:
        """Say why not, where ``torch.jit.script`` asks for what it is to compile."""
        raise TypeError(
            "`torch.jit.script` must be given modules in its subset of Python; got"
            f" {type(self).__name__}: use `torch.export`, `torch.compile`, or"
            " `torch.jit.trace`."
        )

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, or say in one sentence why not."""
        # The constructor sets it first; afterwards, setting it to what it is changes nothing.
        if name in self._fixed and name in self.__dict__:
            if not _same(self.__dict__[name], value):
                kind = type(self).__name__
                raise AttributeError(
                    f"`{name}` cannot be set, since the parameters of this {kind} were made"
                    f" for it: build another; got {value!r}."
                )
            return
        self._require_obeyed(name, value)
        check = self._checked.get(name)
        if check is not None:
            value = check(name, value)
        super().__setattr__(name, value)

    def _require_obeyed(self, name: str, value: Any) -> None:
        """Raise if a new attribute is by its name a setting, which nothing would obey."""
        # A subclass of the user's may call its own attributes what it likes.
        closed = vars(type(self)).get("_closed", False)
        if (
            not closed
            or name.startswith("_")
            or isinstance(value, (nn.Module, nn.Parameter))
            or hasattr(self, name)
        ):
            return
        kind = type(self).__name__
        if name in _GIVEN_ONCE:
            raise AttributeError(
                f"`{name}` cannot be set of {kind}, {_GIVEN_ONCE[name]}; got"
                f" {type(value).__name__}."
            )
        settable = [*self._checked, *self._settable]
        if name in settable or name in self._fixed:
            return
        near = meant(name, settable)
        if near is not None:
            raise AttributeError(
                f"`{name}` is no setting of {kind}; did you mean `{near}`? Got {value!r}."
            )

    # -- checkpoints

    def _tells(self) -> dict[str, Any]:
        """Return the settings that a checkpoint tells: names and numbers, not functions."""
        told = {}
        for name in self._told:
            value = getattr(self, name, None)
            # Only names that somebody gave can disagree.
            if isinstance(value, Populations) and value.types is not None:
                value = value.described()
            # Without a shunt, nothing is divided.
            acts = name != "eps" or getattr(self, "shunting", False)
            if acts and isinstance(value, (str, float)):
                told[name] = value
        return told

    def _save_to_state_dict(
        self, destination: Any, prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        metadata = getattr(destination, "_metadata", {}).get(prefix[:-1])
        if metadata is not None:
            metadata.update(self._tells())

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
        for name, own in self._tells().items():
            # A checkpoint without metadata says nothing, and agrees.
            saved = local_metadata.get(name, own)
            if saved != own:
                advice = "set it to the checkpoint's"
                # The order of given units is that of what a circuit was built from.
                if name in self._fixed or name == "order":
                    advice = "build one with the checkpoint's"
                warnings.warn(
                    f"{prefix}{name}: the checkpoint is of a module with {saved!r}, and"
                    f" this one has {own!r}, which stays: {advice} unless another is"
                    " meant.",
                    stacklevel=2,
                )
        super()._load_from_state_dict(
            state_dict,
            prefix,
            local_metadata,
            strict,
            missing_keys,
            unexpected_keys,
            error_msgs,
        )


def _same(one: object, other: object) -> bool:
    return one is other or (type(one) is type(other) and bool(one == other))


def positive_or_none(name: str, value: Any) -> float | None:
    """Accept a number above 0, or None."""
    if value is None:
        return None
    return require.positive(name, value)


def require_no_state(input: Any) -> None:
    """Raise if a layer is shown what a recurrent layer returns: its rates and its state."""
    if isinstance(input, list) and not any(isinstance(one, Tensor) for one in input):
        raise TypeError(
            "`input` must be a tensor; got a list: write `torch.tensor(input)`."
        )
    if isinstance(input, (tuple, list)):
        raise TypeError(
            f"`input` must be a tensor; got a {type(input).__name__} of {len(input)}: of"
            " what a recurrent layer returns, (rates, state), pass the first, as in"
            " `layer(rnn(x)[0])`, or end the model with a `Readout`, which takes both."
        )
