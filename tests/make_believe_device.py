"""A device that is none: its tensors lie on the CPU, say that they lie elsewhere, and are as strict.

What CUDA refuses is refused: operands on two devices, a generator of another device, a tensor made
into an array. What makes the host wait for a device is counted, with the line of daleml that asks
for it. A second kind has no float64, as Apple's MPS.

``install`` registers the device as torch's ``privateuseone``, which cannot be undone: call it in a
process of its own.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils import backend_registration
from torch.utils._pytree import tree_leaves

import daleml
from daleml._support import devices

NAME = "elsewhere"
_PACKAGE = str(Path(daleml.__file__).parent)
_NOWHERE = "no line of daleml"

_MAY_MIX = {
    "copy_",
    "_to_copy",
    "index",
    "index_put",
    "index_put_",
    "_index_put_impl_",
    "_foreach_copy_",
    "_pack_padded_sequence",
}
"""Operations that take tensors of two devices: copies, indices, and lengths of sequences."""

_ASKS = {
    "_local_scalar_dense": "item",
    "nonzero": "nonzero",
    "masked_select": "masked_select",
    "equal": "equal",
    "_unique2": "unique",
    "unique_dim": "unique",
    "unique_consecutive": "unique",
    "repeat_interleave": "repeat_interleave",
    "bincount": "bincount",
    "linalg_eigvals": "linalg",
    "linalg_eig": "linalg",
    "_linalg_svd": "linalg",
    "_linalg_eigh": "linalg",
}
"""Operations whose result, or its size, the host has to wait for."""


class RefusedError(RuntimeError):
    """What the device would refuse."""


class Waits:
    """How often the host waited for the device, by what it asked and by who asked."""

    def __init__(self) -> None:
        self.by_kind: Counter[str] = Counter()
        self.by_place: Counter[str] = Counter()

    @property
    def total(self) -> int:
        return self.by_kind.total()

    def note(self, kind: str) -> None:
        self.by_kind[kind] += 1
        self.by_place[f"{kind} at {place()}"] += 1


def place() -> str:
    """Return the line of daleml that is running, innermost first."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename.startswith(_PACKAGE):
            file = Path(frame.f_code.co_filename).relative_to(_PACKAGE)
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return _NOWHERE


class _State:
    """What is being counted and what the device lacks, for the whole process."""

    waits = Waits()
    has_float64 = True


class Elsewhere(torch.Tensor):
    """A tensor of the device, around one of the CPU that holds its values."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor, requires_grad: bool = False) -> Elsewhere:
        return torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=torch.device(NAME, 0),
            requires_grad=requires_grad,
        )

    def __init__(self, inner: torch.Tensor, requires_grad: bool = False) -> None:
        self.inner = inner

    def _set_data(self, value: Any) -> None:
        torch.Tensor.data.__set__(self, value)  # type: ignore[attr-defined]
        self.inner = value.inner

    # What a module's cast writes into a parameter has values inside, too.
    data = property(torch.Tensor.data.__get__, _set_data)  # type: ignore[attr-defined]
    # Code that asks for CUDA is to run as it would there.
    is_cuda = property(lambda self: _State.has_float64)

    def data_ptr(self) -> int:
        return self.inner.data_ptr()

    def tolist(self) -> Any:
        _State.waits.note("tolist")
        return self.inner.detach().tolist()

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"can't convert {NAME}:0 device type tensor to numpy. Use Tensor.cpu() at"
            f" {place()}"
        )

    __array__ = numpy

    def untyped_storage(self) -> Any:
        return self.inner.untyped_storage()

    def __format__(self, spec: str) -> str:
        _State.waits.note("item")
        return format(self.inner.detach(), spec)

    def __repr__(self, *args: Any, **kwargs: Any) -> str:
        return f"Elsewhere({self.inner!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        copied: Any = Elsewhere(self.inner.detach().clone(), self.requires_grad)
        if isinstance(self, torch.nn.Parameter):
            copied = torch.nn.Parameter(copied, self.requires_grad)
        copied.__dict__.update(
            {k: v for k, v in self.__dict__.items() if k not in copied.__dict__}
        )
        memo[id(self)] = copied
        return copied

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(func, args, kwargs or {})


def _is_here(device: Any) -> bool:
    return device is not None and torch.device(device).type == NAME


def _inside(value: Any, ours: list[Elsewhere], others: list[Any]) -> Any:
    """Return arguments with the tensors inside; sort what they hold into ours and others."""
    # By hand, which is several times as fast as torch's trees.
    if isinstance(value, Elsewhere):
        ours.append(value)
        return value.inner
    if isinstance(value, (list, tuple)):
        return type(value)([_inside(one, ours, others) for one in value])
    if isinstance(value, (torch.Tensor, torch.Generator)):
        others.append(value)
    return value


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run an operation on the tensors inside, refuse what is to be refused, and count waits."""
    ours: list[Elsewhere] = []
    others: list[Any] = []
    inside = _inside(args, ours, others)
    options = {key: _inside(one, ours, others) for key, one in kwargs.items()}
    target = kwargs.get("device")
    is_here = bool(ours) if target is None else _is_here(target)
    if not ours and not is_here:
        return func(*args, **kwargs)
    name = func._schema.name.split("::")[-1]
    tensors = [one for one in others if isinstance(one, torch.Tensor)]
    if ours:
        _refuse_mixed(name, tensors)
    if is_here:
        _refuse_generators(name, others)
    _count(name, args, kwargs, ours, tensors, is_here)
    if _is_here(target):
        options["device"] = torch.device("cpu")
    if "pin_memory" in options:
        options["pin_memory"] = False
    result = func(*inside, **options)
    if name == "_pack_padded_sequence":
        # How many sequences each step has is always on the CPU.
        return Elsewhere(result[0]), result[1]
    return _wrapped(name, result, ours, is_here)


def _refuse_mixed(name: str, others: list[torch.Tensor]) -> None:
    """Raise if an operation has operands on the CPU, too; a number as a tensor may be one."""
    if name in _MAY_MIX:
        return
    shapes = [tuple(one.shape) for one in others if one.ndim]
    if shapes:
        raise RefusedError(
            f"{name}: Expected all tensors to be on the same device, but found at least two"
            f" devices, {NAME}:0 and cpu, {shapes}, at {place()}"
        )


def _refuse_generators(name: str, given: list[Any]) -> None:
    """Raise if daleml draws with a generator of another device; a test's own lines may."""
    for one in given:
        if isinstance(one, torch.Generator) and place() != _NOWHERE:
            raise RefusedError(
                f"{name}: Expected a '{NAME}' device type for generator but found"
                f" '{one.device.type}', at {place()}"
            )


def _count(
    name: str,
    args: Any,
    kwargs: dict[str, Any],
    ours: list[Elsewhere],
    others: list[torch.Tensor],
    is_here: bool,
) -> None:
    """Note what the host waits for: values, sizes that depend on values, and copies."""
    waits = _State.waits
    if ours and name in _ASKS:
        waits.note(_ASKS[name])
    if name in ("index", "index_put_", "_index_put_impl_") and ours:
        indices = [one for one in tree_leaves(args[1]) if one is not None]
        if any(one.dtype in (torch.bool, torch.uint8) for one in indices):
            waits.note("index by a mask")
        if any(not isinstance(one, Elsewhere) for one in indices):
            waits.note("to the device")
    if kwargs.get("non_blocking") or (name == "copy_" and args[2:] == (True,)):
        return
    if name == "_to_copy":
        if ours and not is_here:
            waits.note("from the device")
        if others and is_here:
            waits.note("to the device")
    if name == "copy_":
        here, source = args[0], args[1]
        if isinstance(source, Elsewhere) and not isinstance(here, Elsewhere):
            waits.note("from the device")
        if isinstance(here, Elsewhere) and not isinstance(source, Elsewhere):
            waits.note("to the device")


def _wrapped(name: str, result: Any, ours: list[Elsewhere], is_here: bool) -> Any:
    """Return results as tensors of the device, and what was written to as what was given."""
    written = {id(one.inner): one for one in ours}

    def wrap(one: Any) -> Any:
        if isinstance(one, (list, tuple)):
            return type(one)([wrap(each) for each in one])
        if not isinstance(one, torch.Tensor) or isinstance(one, Elsewhere):
            return one
        if id(one) in written:
            return written[id(one)]
        if not is_here:
            return one
        if not _State.has_float64 and one.dtype in (torch.float64, torch.complex128):
            raise RefusedError(
                f"{name}: Cannot convert a tensor to {one.dtype}, which the device does not"
                f" support, at {place()}"
            )
        return Elsewhere(one)

    return wrap(result)


class _Module(backend_registration._DummyBackendModule):
    """What torch asks of a device's module beside that."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16]

    def get_rng_state(self, device: Any = None) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, device: Any = None) -> None:
        pass


_FACTORIES = torch.library.Library("aten", "IMPL")


def _factory(name: str) -> Any:
    """Return how the device makes a tensor of no values; torch makes all others of these."""
    operation, overload = name.split(".") if "." in name else (name, "default")
    on_cpu = getattr(getattr(torch.ops.aten, operation), overload)

    def make(*args: Any, **kwargs: Any) -> Elsewhere:
        kwargs.update(device=torch.device("cpu"), pin_memory=False)
        return _wrapped(name, on_cpu(*args, **kwargs), [], is_here=True)

    return make


def _copy_from(source: Any, target: Any, non_blocking: bool = False) -> Any:
    """Copy to, from or within the device, where torch does not ask the tensors themselves."""
    if not non_blocking:
        if not isinstance(source, Elsewhere):
            _State.waits.note("to the device")
        if not isinstance(target, Elsewhere):
            _State.waits.note("from the device")
    inner = [
        one.inner if isinstance(one, Elsewhere) else one for one in (source, target)
    ]
    inner[1].copy_(inner[0])
    return target


def is_supported() -> bool:
    """Whether this torch can have such a device."""
    return hasattr(backend_registration, "_setup_privateuseone_for_python_backend")


def install() -> torch.device:
    """Register the device for the rest of this process, and return it."""
    backend_registration._setup_privateuseone_for_python_backend(
        rename=NAME, backend_module=_Module()
    )
    for name in ("empty.memory_format", "empty_strided"):
        _FACTORIES.impl(name, _factory(name), "PrivateUse1")
    _FACTORIES.impl("_copy_from", _copy_from, "PrivateUse1")
    return torch.device(NAME, 0)


@contextmanager
def without_float64() -> Iterator[None]:
    """Within the block the device is as MPS is: it has no float64, and is not CUDA."""
    _State.has_float64 = False
    devices._probed.cache_clear()
    try:
        yield
    finally:
        _State.has_float64 = True
        devices._probed.cache_clear()


@contextmanager
def counted() -> Iterator[Waits]:
    """Count how often the host waits for the device within the block."""
    before, _State.waits = _State.waits, Waits()
    try:
        with _warned():
            yield _State.waits
    finally:
        _State.waits = before


@contextmanager
def _warned() -> Iterator[None]:
    """Count what CUDA warns of, where the device is that."""
    if NAME != "cuda":
        yield
        return
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")
            for one in found:
                if "synchroniz" in str(one.message):
                    _State.waits.note("a wait")


def use(real: str) -> None:
    """Let the calls run on a device that there is; there only CUDA tells what is waited for."""
    global NAME
    NAME = real
    _State.has_float64 = real != "mps"
    # As exact as a CPU, with which results are compared.
    torch.backends.cudnn.allow_tf32 = False


def is_real() -> bool:
    """Whether there is such a device."""
    return NAME != "elsewhere"


def has_float64() -> bool:
    """Whether the device has it now."""
    return _State.has_float64
