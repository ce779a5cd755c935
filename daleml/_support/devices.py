"""Where numbers are drawn and computed, whatever device they are for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
Result = TypeVar("Result")
CPU = torch.device("cpu")

_ASKED = "_n_calls_on_device"
"""The name of the attribute that counts how often something might have asked a device."""
_CALLS_UNASKED = 64
"""One call in so many asks."""


def drawn_(
    draw: Callable[..., Tensor],
    tensor: Tensor,
    *numbers: float,
    generator: torch.Generator | None,
) -> Tensor:
    """Fill a tensor by a draw, made where the generator is.

    One generator on the CPU then serves models on any device, with the same numbers; torch
    refuses to draw with a generator of another device.

    Args:
        draw: Fills a tensor, called as ``draw(tensor, *numbers, generator=generator)``.
        tensor: The tensor to fill.
        numbers: What else it takes, such as a mean.
        generator: Source of randomness; None for torch's global one of the tensor's device.

    Returns:
        The tensor.
    """
    # A tensor on meta takes no numbers, and torch refuses a generator there.
    if tensor.is_meta:
        return tensor
    if generator is None or generator.device == tensor.device:
        return draw(tensor, *numbers, generator=generator)
    like = torch.empty_like(tensor, device=generator.device)
    return tensor.copy_(draw(like, *numbers, generator=generator))


def place_of(generator: torch.Generator | None) -> torch.device:
    """Return where a generator draws; the CPU without one, whatever torch's default device is."""
    return CPU if generator is None else generator.device


def by_default(device: torch.device) -> AbstractContextManager[Any]:
    """Return a block in which tensors are made on a device, unless something else is asked for."""
    if torch.get_default_device() == device:
        return nullcontext()
    return device


def on_the_cpu(function: Callable[P, Result]) -> Callable[P, Result]:
    """Let a function make its tensors on the CPU, whatever torch's default device is."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> Result:
        with by_default(CPU):
            return function(*args, **kwargs)

    return run


def moved(value: Tensor, like: Tensor) -> Tensor:
    """Return a tensor where another is, and in its dtype; on CUDA the host does not wait.

    What is moved must not be written to afterwards.
    """
    return value.to(like.device, like.dtype, non_blocking=like.is_cuda)


def is_capturing() -> bool:
    """Whether a CUDA graph is being recorded, in which asking for a value is an error."""
    cuda: Any = torch.cuda
    return bool(cuda.is_initialized() and cuda.is_current_stream_capturing())


def asks_now(counts: dict[str, Any]) -> bool:
    """Whether to ask a device for values at this call: at the first, then at few.

    Asking waits for the device.

    Args:
        counts: Where the calls are counted, such as the attributes of a module.
    """
    if is_capturing():
        return False
    n_calls = counts.get(_ASKED, 0)
    counts[_ASKED] = n_calls + 1
    return bool(n_calls % _CALLS_UNASKED == 0)


def widest(device: torch.device) -> torch.dtype:
    """Return the widest floating-point type of a device: MPS has no float64."""
    if device.type in ("cpu", "cuda", "meta"):
        return torch.float64
    return _probed(device.type)


@functools.cache
def _probed(kind: str) -> torch.dtype:
    try:
        torch.zeros((), dtype=torch.float64, device=kind)
    except (TypeError, RuntimeError):
        return torch.float32
    return torch.float64
