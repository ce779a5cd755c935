"""The order of dimensions of trials, and a look at what a model's recurrent layers are shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from daleml.tasks.trials import Trials


@contextmanager
def time_first(model: nn.Module, shown: Any) -> Iterator[None]:
    """Refuse, while a model runs, a recurrent layer that takes trials for its time steps.

    Trials are time first. A layer with ``batch_first=True`` that is shown them as they are
    would run from trial to trial, and give answers of the right shape.

    Args:
        model: The model.
        shown: What its answers are judged by; anything but ``Trials`` is not looked at.

    Raises:
        ValueError: If there is such a layer.
    """
    with ExitStack() as stack:
        # A compiled model would be compiled again for the sake of a hook.
        compiled = hasattr(model, "_orig_mod")
        if isinstance(shown, Trials) and not compiled:
            for name, module in model.named_modules():
                if _reads_batch_first(module):
                    refusal = _refusal(name, shown)
                    stack.enter_context(module.register_forward_pre_hook(refusal))
        yield


def _reads_batch_first(module: nn.Module) -> bool:
    """Whether a module runs along the second dimension of its input."""
    if isinstance(module, nn.MultiheadAttention):
        # Attention looks at all steps at once.
        return False
    return getattr(module, "batch_first", False) is True


def _refusal(name: str, trials: Trials) -> Any:
    n_steps, n_trials = trials.inputs.shape[:2]

    def look(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        given = arguments[0] if arguments else None
        if not isinstance(given, Tensor) or given.ndim != 3:
            return
        if tuple(given.shape[:2]) != (n_steps, n_trials):
            return
        # As many trials as steps may have been transposed.
        if n_steps == n_trials and given is not trials.inputs:
            return
        where = f"`{name}`" if name else "it"
        raise ValueError(
            f"`model` must read trials along time, (time, trials, ...); got {where}, a"
            f" {type(module).__name__} with `batch_first=True`, which would take trials for"
            " time steps: build it with `batch_first=False`."
        )

    return look
