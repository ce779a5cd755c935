"""The weights of a cell, composed once for many steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from daleml import law
from daleml.layers._shared.functorch_tensors import is_wrapped

StepMatrices = tuple[Any, Any]
"""What multiplies the input, and what multiplies the state."""


class Composition:
    """What multiplies input and state of a cell, for as long as what it is made of is the same.

    It is used again only where it is what composing anew would give: every matrix and mask is
    the tensor that was composed and was not written to since, and gradients flow as they would.
    What is written into ``.data`` is not seen, since torch does not count it.

    Args:
        module: The cell.
        matrices: The names of the parameters that the weights are composed of.
        compose: Composes them.
    """

    def __init__(
        self,
        module: nn.Module,
        matrices: Sequence[str],
        compose: Callable[[], StepMatrices],
    ) -> None:
        self._module, self._compose = module, compose
        facts = (law.PRESENT, law.FIXED, law.STRENGTHS)
        self._names = []
        for name in matrices:
            self._names.append((name, [name + suffix for suffix in facts]))
        self._begin()

    def weights(self) -> StepMatrices:
        """Return both weights: those that were composed, or others composed for this call."""
        if not self._is_current():
            return self._compose()
        # Values outlive the graph that a backward pass freed; only a rollout with a graph of its
        # own needs a new one.
        if self._spent and torch.is_grad_enabled():
            # A transform wraps what is composed inside of it, for as long as it runs.
            if torch._C._are_functorch_transforms_active():
                return self._compose()
            # What `torch.utils.checkpoint` runs twice is a rollout. It counts the tensors that
            # are saved, and must not count those of composing, which is not run again.
            with torch.autograd.graph.saved_tensors_hooks(_same, _same):
                self._begin()
        return self._weights

    def _begin(self) -> None:
        self._weights = self._compose()
        self._with_graph = torch.is_grad_enabled()
        self._in_inference = torch.is_inference_mode_enabled()
        self._sources = self._read_sources()
        self._may_last = bool(self._sources) and all(map(_is_counted, self._sources))
        self._spent: set[int] = set()
        if not self._may_last:
            return
        self._facts = _facts(self._sources)
        # These hold on to the memory, so that no other tensor may come to lie at its address.
        self._pinned = [source.detach() for source in self._sources]
        for weight in self._weights:
            # A weight that is a parameter itself has no graph that a backward pass could free.
            if weight.grad_fn is not None:
                look: Any = weight.register_hook
                look(_hook(self._spent, id(weight), self._module))

    def _is_current(self) -> bool:
        """Whether composing anew would give the same weights, and the same gradients."""
        if not self._may_last:
            return False
        sources = self._read_sources()
        # Others may be wrapped by a transform, and then have no address to ask for.
        if list(map(id, sources)) != list(map(id, self._sources)):
            return False
        if _facts(sources) != self._facts:
            return False
        # Autograd refuses tensors that were made in inference mode.
        if self._in_inference and not torch.is_inference_mode_enabled():
            return False
        lacks_graph = torch.is_grad_enabled() and not self._with_graph
        return not lacks_graph or not any(source.requires_grad for source in sources)

    def _read_sources(self) -> list[Tensor]:
        """Return the matrices and masks; none if pruning or a parametrisation computes one."""
        parameters, buffers = self._module._parameters, self._module._buffers
        found: list[Tensor] = []
        for name, facts in self._names:
            matrix = parameters.get(name)
            if matrix is None:
                return []
            found.append(matrix)
            for fact in facts:
                buffer = buffers.get(fact)
                if buffer is None:
                    # What is fixed has a mask, too.
                    break
                found.append(buffer)
        return found


def _facts(sources: list[Tensor]) -> list[tuple[int, int, bool]]:
    """Return of each tensor its address, how often it was written to, and whether it learns."""
    # A cast of the cell, and `prune.remove`, put other values into the same tensor, which torch
    # does not count.
    return [(one.data_ptr(), one._version, one.requires_grad) for one in sources]


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _is_counted(tensor: Tensor) -> bool:
    """Whether torch counts how often a tensor is written to, and its values have an address."""
    if tensor.is_inference() or type(tensor) not in (Tensor, nn.Parameter):
        return False
    # Only a transform wraps tensors; torch's compiler can tell that there is none.
    return not (torch._C._are_functorch_transforms_active() and is_wrapped(tensor))


def _hook(spent: set[int], key: int, module: nn.Module) -> Callable[[Tensor], None]:
    """Return what notes that a backward pass freed a weight's graph, and refuses the next one."""
    kind = type(module).__name__

    def note(_: Tensor) -> None:
        if key in spent:
            raise RuntimeError(
                f"`{kind}.composed()` must be gone back through once, since backward frees"
                " what composed the weights; got a second backward: add the losses up,"
                " pass `retain_graph=True` to the first, or open a block for each."
            )
        # `retain_graph=True`, or `create_graph=True`, keeps it for another pass.
        if not torch._C._autograd._get_current_graph_task_keep_graph():
            spent.add(key)

    return note
