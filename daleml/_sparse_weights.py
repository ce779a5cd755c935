"""Sparse weights: parameters of one number for each synapse, seen as matrices ``(post, pre)``.

A sparse weight is a one-dimensional parameter with the usual name, in the order of a compressed
sparse row (CSR) matrix: sorted by the receiver, then by the sender, each pair once. Beside it
lie three buffers, which say where each synapse is::

    weight_hh_l0         (synapses,)  the strengths, signed
    weight_hh_l0_post    (synapses,)  int32, the unit that receives
    weight_hh_l0_pre     (synapses,)  int32, the unit that sends
    weight_hh_l0_shape   (2,)         int64, how many units receive and send

Signs, masks and factors of its synapses are vectors like the parameter itself, so that whatever
compares a parameter with its buffers works as it does on a matrix. Every tool that needs the
matrix asks here, and nowhere else: :func:`pattern` tells whether a parameter is sparse,
:func:`as_torch` and :func:`as_scipy` give it, and :func:`matrix_shape` is the shape of any weight.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from daleml._sparse_matrices import LARGEST_DENSE as LARGEST_DENSE
from daleml._sparse_matrices import block as block
from daleml._sparse_matrices import dense as dense
from daleml._sparse_matrices import dense_if_small as dense_if_small
from daleml._sparse_matrices import require_small as require_small
from daleml._sparse_matrices import to_scipy as to_scipy

if TYPE_CHECKING:
    from scipy.sparse import csr_array

POST, PRE, SHAPE = "_post", "_pre", "_shape"
"""How the names of the buffers end that say where the synapses of a sparse weight lie."""
BUFFERS = (POST, PRE, SHAPE)


@dataclass(frozen=True, eq=False)
class Pattern:
    """Where the synapses of one sparse weight lie.

    Attributes:
        post: The unit that receives, of each synapse, int32.
        pre: The unit that sends.
        shape: How many units receive, and how many send.
    """

    post: Tensor
    pre: Tensor
    shape: tuple[int, int]

    @property
    def size(self) -> int:
        """Number of synapses."""
        return self.post.numel()

    @cached_property
    def row_starts(self) -> Tensor:
        """Where the synapses onto each unit begin, and where the last ones end, int32."""
        return _starts(self.post, self.shape[0])

    @cached_property
    def by_sender(self) -> Tensor:
        """The synapses in the order of their senders: what sorts the transpose."""
        return torch.argsort(self.pre, stable=True)

    @cached_property
    def column_starts(self) -> Tensor:
        """Where the synapses that each unit makes begin in :attr:`by_sender`, int32."""
        return _starts(self.pre, self.shape[1])

    @cached_property
    def receivers(self) -> Tensor:
        """The unit that receives, of the synapses in the order of their senders."""
        return self.post.index_select(0, self.by_sender)

    def of_shape(self, n_post: int, n_pre: int) -> Pattern:
        """Return the same synapses among more units, which have none."""
        return Pattern(self.post, self.pre, (n_post, n_pre))

    def csr(self, values: Tensor) -> Tensor:
        """Return the matrix ``(post, pre)`` of some values, ``torch.sparse_csr``; as they derive.

        Args:
            values: One number for each synapse.
        """
        _quieten()
        # The indices have been looked at, so that torch need not.
        return torch.sparse_csr_tensor(
            self.row_starts, self.pre, values, self.shape, check_invariants=False
        )

    def cpu_csr(self, values: Tensor) -> Tensor:
        """Return the matrix of some values on the CPU: not every device has such matrices."""
        if values.device.type in ("cpu", "meta"):
            return self.csr(values)
        on_cpu = Pattern(self.post.cpu(), self.pre.cpu(), self.shape)
        return on_cpu.csr(values.cpu())

    def transposed_csr(self, values: Tensor) -> Tensor:
        """Return the transpose of the matrix of some values, ``torch.sparse_csr``."""
        _quieten()
        values = values.index_select(0, self.by_sender)
        across = (self.shape[1], self.shape[0])
        return torch.sparse_csr_tensor(
            self.column_starts, self.receivers, values, across, check_invariants=False
        )

    def scipy(self, values: Tensor) -> csr_array:
        """Return the matrix of some values as ``scipy.sparse.csr_array``, float64."""
        from scipy.sparse import csr_array

        data = values.detach().to("cpu", torch.float64).numpy()
        starts, pre = self.row_starts.cpu().numpy(), self.pre.cpu().numpy()
        return csr_array((data, pre, starts), shape=self.shape)

    def dense(self, values: Tensor) -> Tensor:
        """Return the matrix of some values, 0 where there is no synapse.

        Raises:
            ValueError: If it would not fit into half a gigabyte.
        """
        require_small(self.shape)
        # Not in place, so that values keep their derivatives.
        empty = values.new_zeros(self.shape)
        return empty.index_put((self.post.long(), self.pre.long()), values)

    def entries(self, matrix: Tensor) -> Tensor:
        """Return the entries of a dense matrix where the synapses are."""
        return matrix[
            self.post.long().to(matrix.device), self.pre.long().to(matrix.device)
        ]

    def same_as(self, other: Pattern) -> bool:
        """Whether two patterns have the same synapses."""
        if self.shape != other.shape or self.size != other.size:
            return False
        same_post = torch.equal(self.post.cpu(), other.post.cpu())
        return same_post and torch.equal(self.pre.cpu(), other.pre.cpu())


def of_arrays(post: Any, pre: Any, shape: tuple[int, int]) -> Pattern:
    """Return a pattern of indices that are sorted by receiver, then by sender, on the CPU."""
    columns = [
        torch.from_numpy(np.ascontiguousarray(each, dtype=np.int32))
        for each in (post, pre)
    ]
    return Pattern(columns[0], columns[1], (int(shape[0]), int(shape[1])))


# -- of a module


def is_sparse(module: nn.Module, name: str) -> bool:
    """Whether a parameter of a module is a sparse weight."""
    return name + SHAPE in module._buffers and name + POST in module._buffers


def register(module: nn.Module, name: str, pattern: Pattern, device: Any) -> None:
    """Write where the synapses of a parameter lie: three buffers, and a record of what was said."""
    recorded = {
        POST: pattern.post.int().cpu().numpy(),
        PRE: pattern.pre.int().cpu().numpy(),
        SHAPE: np.array(pattern.shape, dtype=np.int64),
    }
    if "_dale_sparse" not in module.__dict__:
        module._dale_sparse = {}  # type: ignore[assignment]
    module.__dict__["_dale_sparse"][name] = recorded
    for suffix, values in recorded.items():
        module.register_buffer(
            name + suffix, torch.from_numpy(values.copy()).to(device)
        )


def recorded(module: nn.Module, name: str) -> dict[str, NDArray[Any]] | None:
    """Return what was said of where the synapses of a parameter lie, by buffer; None if nothing."""
    found: dict[str, Any] = module.__dict__.get("_dale_sparse", {})
    return found.get(name)


def recorded_pattern(module: nn.Module, name: str) -> Pattern | None:
    """Return the pattern that was recorded, on the CPU, whatever the buffers hold by now."""
    kept = recorded(module, name)
    if kept is None:
        return None
    n_post, n_pre = kept[SHAPE].tolist()
    return of_arrays(kept[POST].copy(), kept[PRE].copy(), (n_post, n_pre))


def pattern(module: nn.Module, name: str) -> Pattern | None:
    """Return where the synapses of a parameter lie; None if it is no sparse weight.

    The buffers are looked at once: indices that are out of range, unsorted or doubled would
    otherwise become wrong numbers, or a crash in compiled code.

    Raises:
        ValueError: If the buffers hold no sparse matrix.
    """
    buffers = module._buffers
    post, pre = buffers.get(name + POST), buffers.get(name + PRE)
    if post is None or pre is None or name + SHAPE not in buffers:
        return None
    if _is_abstract(post):
        return Pattern(post, pre, _shape(module, name))
    # Torch counts writes, and a buffer that was replaced lies elsewhere.
    stamp = _stamp(post, pre)
    known = _patterns.setdefault(module, {})
    found = known.get(name)
    if found is not None and found[0] == stamp:
        return found[1]
    fresh = Pattern(post, pre, _shape(module, name))
    try:
        require_valid(name, fresh)
    except ValueError as error:
        raise ValueError(
            f"{error} Call `signs.restore_` to put back what was fixed."
        ) from None
    known[name] = stamp, fresh
    return fresh


_patterns: weakref.WeakKeyDictionary[
    nn.Module, dict[str, tuple[tuple[Any, ...], Pattern]]
] = weakref.WeakKeyDictionary()
"""Patterns whose buffers were looked at, with what tells these from others."""


def _stamp(post: Tensor, pre: Tensor) -> tuple[Any, ...]:
    stamp: list[Any] = []
    for buffer in (post, pre):
        n_writes = None if buffer.is_inference() else buffer._version
        stamp += [id(buffer), buffer.data_ptr(), n_writes, buffer.device]
    return tuple(stamp)


def _is_abstract(buffer: Tensor) -> bool:
    """Whether a buffer has no values that could be looked at: on meta, compiled or transformed."""
    if buffer.is_meta or torch.compiler.is_compiling():
        return True
    if type(buffer) is not Tensor:
        return True
    wrapped = torch._C._functorch
    return wrapped.is_batchedtensor(buffer) or wrapped.is_gradtrackingtensor(buffer)


def _shape(module: nn.Module, name: str) -> tuple[int, int]:
    kept = recorded(module, name)
    # A traced or exported copy of a module has the buffers alone.
    values = module._buffers[name + SHAPE] if kept is None else kept[SHAPE]
    n_post, n_pre = values.tolist()  # type: ignore[union-attr]
    return int(n_post), int(n_pre)


def sparse_weights(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Yield the sparse weights of a model: the module that has each, and its name there."""
    for module in model.modules():
        for name in module._parameters:
            if is_sparse(module, name):
                yield module, name


def matrix_shape(module: nn.Module, name: str) -> tuple[int, ...]:
    """Return the shape of a weight as a matrix, of a sparse one that of ``(post, pre)``."""
    if is_sparse(module, name):
        return _shape(module, name)
    weight: Tensor = getattr(module, name)
    return tuple(weight.shape)


def units_of(module: nn.Module, name: str, which: Tensor) -> list[int]:
    """Return the presynaptic units that are meant by entries of a sign buffer, flattened.

    Of a sparse weight an entry is a synapse, and its unit the one that sends.
    """
    entries = which.nonzero().flatten().cpu()
    kept = recorded(module, name)
    if kept is None:
        return entries.tolist()
    return np.unique(kept[PRE][entries.numpy()]).tolist()  # type: ignore[no-any-return]


def as_torch(module: nn.Module, name: str) -> Tensor:
    """Return a sparse weight of a module as ``torch.sparse_csr``, ``(post, pre)``; it derives."""
    return _known(module, name).csr(getattr(module, name))


def as_scipy(module: nn.Module, name: str) -> csr_array:
    """Return a sparse weight of a module as ``scipy.sparse.csr_array``, ``(post, pre)``."""
    return _known(module, name).scipy(getattr(module, name))


def _known(module: nn.Module, name: str) -> Pattern:
    found = pattern(module, name)
    if found is None:
        raise ValueError(
            f"`name` must name a sparse weight of {type(module).__name__}; got {name!r}."
        )
    return found


# -- of a state dict


def pattern_of_state(state: Mapping[str, Any], key: str) -> Pattern | None:
    """Return where the synapses of the weight ``key`` of a state dict lie; None if it is dense.

    Raises:
        ValueError: If what is saved is no sparse matrix.
    """
    plain = key.removesuffix("_orig")
    saved = [state.get(plain + suffix) for suffix in BUFFERS]
    if any(each is None for each in saved):
        return None
    post, pre, shape = (_whole_numbers(torch.as_tensor(each)) for each in saved)
    if shape.shape != (2,) or post.is_meta:
        return None
    n_post, n_pre = (int(size) for size in shape.tolist())
    found = Pattern(post.cpu(), pre.cpu(), (n_post, n_pre))
    require_valid(plain, found)
    return found


def _whole_numbers(saved: Tensor) -> Tensor:
    """Return indices as integers, where a cast of the whole state dict has rounded none of them."""
    if not saved.is_floating_point() or saved.is_meta or not saved.numel():
        return saved
    exact = 2 / torch.finfo(saved.dtype).eps
    if bool((saved != saved.trunc()).any()) or float(saved.abs().max()) >= exact:
        return saved
    return saved.long()


def require_valid(name: str, pattern: Pattern) -> None:
    """Raise unless indices are within the matrix, sorted, and each pair comes once.

    Raises:
        ValueError: If they are not.
    """
    for suffix, each, n_units in zip(
        (POST, PRE), (pattern.post, pattern.pre), pattern.shape, strict=True
    ):
        if each.shape != (pattern.size,) or each.is_floating_point():
            raise ValueError(
                f"`{name}{suffix}` must hold one index for each of {pattern.size}"
                f" synapses; got {each.dtype} of shape {tuple(each.shape)}."
            )
        if each.numel() and (int(each.min()) < 0 or int(each.max()) >= n_units):
            raise ValueError(
                f"`{name}{suffix}` must hold indices from 0 to {n_units - 1}; got"
                f" {int(each.min())} to {int(each.max())}."
            )
    # In 64 bits: the square of 139,255 units is beyond 32.
    place = pattern.post.long() * pattern.shape[1] + pattern.pre
    if not bool((place[1:] > place[:-1]).all()):
        raise ValueError(
            f"`{name}{POST}` and `{name}{PRE}` must be sorted by receiver, then by sender,"
            " each pair once; got another order."
        )


def _starts(units: Tensor, n_units: int) -> Tensor:
    """Return where the entries of each unit begin among sorted ones, and where the last end."""
    if units.is_meta:
        return units.new_empty(n_units + 1)
    counts = torch.bincount(units, minlength=n_units)
    starts = torch.zeros(n_units + 1, dtype=units.dtype, device=units.device)
    starts[1:] = counts.cumsum(0)
    return starts


_quiet = False


def _quieten() -> None:
    """Let torch say once, and to nobody, that its sparse rows are new."""
    global _quiet
    if _quiet:
        return
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        index = torch.zeros(1, dtype=torch.int32, device="cpu")
        torch.sparse_csr_tensor(
            torch.tensor([0, 1], dtype=torch.int32, device="cpu"),
            index,
            torch.ones(1, device="cpu"),
            (1, 1),
        )
    _quiet = True
