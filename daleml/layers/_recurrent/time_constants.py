"""Time constants and leaks as a user gives them: read, checked, compared and shown."""

from __future__ import annotations

import math
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from daleml import require
from daleml.layers._shared.functorch_tensors import is_wrapped
from daleml.populations import Populations

PerUnit: TypeAlias = "float | Tensor"
"""A number for all units, or a tensor of one for each."""


def time_constants(given: Any, size: int) -> PerUnit:
    """Read ``tau_ms``: a float, or float64 on the CPU, or as it is if it has a gradient."""
    try:
        # A truth value would be read as one millisecond.
        if is_boolean(given):
            raise TypeError
        each = torch.as_tensor(
            given, dtype=torch.float64, device=_device_of(given)
        ).detach()
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"`tau_ms` must be a number, or one per unit; got {type(given).__name__}."
        ) from None
    if each.ndim and each.shape != (size,):
        raise ValueError(
            f"`tau_ms` must be a number or one for each of the {size} units; got shape"
            f" {tuple(each.shape)}."
        )
    learned = isinstance(given, Tensor) and not is_plain(given)
    # What has no values to look at is taken as it is.
    if learned and (given.is_meta or is_wrapped(given)):
        return cast("Tensor", given)
    _require_positive(each)
    if learned:
        return cast("Tensor", given)
    return each.cpu().clone() if each.ndim else float(each)


def _require_positive(each: Tensor) -> None:
    shortest = float(each.min())
    if not (math.isfinite(shortest) and shortest > 0 and bool(each.isfinite().all())):
        raise ValueError(f"`tau_ms` must be finite and above 0; got {shortest:g}.")


def require_short(
    dt_ms: float, tau_ms: PerUnit, populations: Populations | None = None
) -> None:
    """Raise if a time step is longer than a time constant, and say whose it is."""
    shortest, whose = tau_ms, ""
    if isinstance(tau_ms, Tensor):
        if tau_ms.is_meta or is_wrapped(tau_ms):
            return
        shortest = float(tau_ms.detach().min())
        if populations is not None and tau_ms.ndim:
            whose = f", that of {_name_of(int(tau_ms.argmin()), populations)!r}"
    # A leak of 1 comes back from dt / (dt / tau) with rounding.
    if dt_ms > shortest * (1 + 1e-12):
        raise ValueError(
            f"`dt_ms` must be at most `tau_ms`; got {dt_ms:g} and {shortest:g}{whose}."
        )


def _name_of(unit: int, populations: Populations) -> str:
    """Return the name of the population that a unit is of."""
    found = [name for name in populations.names if unit < populations[name].stop]
    return found[0]


def leak_fraction(leak: Any, size: int) -> PerUnit:
    """Read ``leak``: a float, or float64 on the CPU, or as it is if it has a gradient."""
    given = _number_or_tensor(leak)
    if not isinstance(given, Tensor):
        lowest = highest = given
    else:
        if not given.is_floating_point():
            raise TypeError(
                f"`leak` must be a floating-point tensor; got {given.dtype}."
            )
        if given.ndim and given.shape != (size,):
            raise ValueError(
                f"`leak` must be a number or one for each of the {size} units; got shape"
                f" {tuple(given.shape)}."
            )
        if given.is_meta or is_wrapped(given):
            return given
        lowest, highest = float(given.detach().min()), float(given.detach().max())
    # Written so that NaN is refused too.
    if not (lowest > 0 and highest <= 1):
        wrong = highest if lowest > 0 else lowest
        raise ValueError(f"`leak` must be above 0 and at most 1; got {wrong:g}.")
    if not isinstance(given, Tensor):
        return lowest
    if not is_plain(given):
        return given
    if not given.ndim:
        return float(given)
    return given.detach().to("cpu", torch.float64).clone()


def _number_or_tensor(leak: Any) -> PerUnit:
    if isinstance(leak, Tensor):
        return leak
    try:
        return require.number("leak", leak)
    except TypeError:
        # It may be a sequence, of one number for each unit.
        pass
    try:
        if is_boolean(leak):
            raise TypeError
        return torch.as_tensor(leak, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"`leak` must be a number, or one per unit; got {type(leak).__name__}."
        ) from None


def out_of_range(leak: Tensor) -> float | None:
    """Return a value of a leak that is not above 0 and at most 1, but for rounding, if any."""
    if leak.is_meta or is_wrapped(leak):
        return None
    lowest, highest = (float(end) for end in leak.detach().aminmax())
    # Written so that NaN is out of range too.
    if not lowest > 0:
        return lowest
    if highest <= 1 + 4 * torch.finfo(leak.dtype).eps:
        return None
    return highest


def is_plain(given: Tensor) -> bool:
    """Whether a tensor is values only: nothing could want its derivative."""
    if given.requires_grad or isinstance(given, nn.Parameter) or is_wrapped(given):
        return False
    return forward_ad.unpack_dual(given).tangent is None  # type: ignore[no-untyped-call]


def is_boolean(given: Any) -> bool:
    """Whether a value, or one of several, is true or false and not a number."""
    dtype = getattr(given, "dtype", None)
    if dtype is not None:
        return str(dtype) in ("bool", "torch.bool")
    if isinstance(given, (list, tuple)):
        return any(map(is_boolean, given))
    return isinstance(given, bool)


def _device_of(given: Any) -> torch.device | str:
    """Return where to read a value: a number on the CPU, whatever the default device is."""
    return given.device if isinstance(given, Tensor) else "cpu"


def version(given: Any) -> int:
    """Return how often a tensor was written to in place; 0 where torch does not count."""
    if not isinstance(given, Tensor) or given.is_inference() or is_wrapped(given):
        return 0
    return given._version


def agree(saved: Tensor, own: Tensor) -> bool:
    """Whether time constants are the same but for the precision that they were saved in."""
    if saved.ndim and own.ndim and saved.shape != own.shape:
        return False
    tolerance = 0.0
    if saved.is_floating_point():
        tolerance = 4 * torch.finfo(saved.dtype).eps
    difference = (saved.detach().to("cpu", torch.float64) - own).abs()
    return bool((difference <= tolerance * own.abs()).all())


def shown_time(value: Tensor) -> str:
    """Show one number, or how far several range."""
    low, high = float(value.detach().min()), float(value.detach().max())
    if value.numel() == 1 or low == high:
        return f"{low:g}"
    return f"{low:g} to {high:g} ({value.numel()} units)"
