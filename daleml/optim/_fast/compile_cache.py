"""Compile an update rule once for each set of tensors it is used on, and say so."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from daleml._support.compiling import compiled_copy
from daleml.potentials import is_plain


def run(
    rule: Callable[..., None],
    lists: Sequence[Sequence[Tensor]],
    options: Mapping[str, Any],
    changing: Sequence[str],
) -> None:
    """Call ``rule(*lists, **options)``, compiled as one body.

    The options named in ``changing`` are handed over as tensors of the weights' dtype, so that
    they may change from step to step. Others are compiled in, until one changes: from then on
    it is a tensor too. The first call for tensors of other shapes, or with other flags,
    compiles, and says on standard error that it does and how long it took.
    """
    # What is compiled in: shapes, which lists there are, and which branches options choose.
    shapes = _shapes(lists[0]), tuple(bool(tensors) for tensors in lists)
    flags = tuple(
        sorted(key for key, value in options.items() if value is None or value is True)
    )
    potential = _Same(options.get("potential"))
    seen = _seen(rule, shapes, flags, options.get("limits"), potential)
    for key, value in options.items():
        if key == "potential":
            continue
        if key in changing or seen.first.setdefault(key, value) != value:
            seen.changing.add(key)
    loose = {
        key: _tensors(options[key], lists[0][0].dtype) for key in sorted(seen.changing)
    }
    fixed = {key: value for key, value in options.items() if key not in seen.changing}
    named = dict(fixed)
    if "potential" in named:
        named["potential"] = potential
    signature = tuple(sorted(named.items()))
    _compiled(rule, shapes, signature, tuple(loose))(*lists, **fixed, **loose)


@dataclass(frozen=True)
class _Same:
    """A potential as a key.

    Equal ones of daleml's are one, one of yours is like no other, whatever it holds.
    """

    potential: Any

    def __hash__(self) -> int:
        return hash(self.potential) if self._by_value else id(self.potential)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Same):
            return NotImplemented
        if self._by_value and other._by_value:
            return bool(self.potential == other.potential)
        return self.potential is other.potential

    @property
    def _by_value(self) -> bool:
        return self.potential is None or is_plain(self.potential)


_known: dict[tuple[int, ...], Hashable] = {}


def _shapes(weights: Sequence[Tensor]) -> Hashable:
    """Return what a compiled body depends on, remembered: it is asked at every step.

    Should an id be used again for a tensor of another shape, torch compiles the body anew by
    itself.
    """
    # An id is cheap; shapes and strides of a hundred tensors take 100 microseconds.
    ids = tuple(map(id, weights))
    if ids not in _known:
        if len(_known) > 1024:
            _known.clear()
        _known[ids] = tuple((w.shape, w.stride(), w.dtype, w.device) for w in weights)
    return _known[ids]


@dataclass
class _Seen:
    first: dict[str, Any] = field(default_factory=dict)
    changing: set[str] = field(default_factory=set)


@functools.lru_cache(maxsize=256)
def _seen(*signature: Hashable) -> _Seen:
    """Return what is known of the options used with a signature."""
    return _Seen()


def _tensors(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, tuple):
        return tuple(_tensors(part, dtype) for part in value)
    return torch.as_tensor(value, dtype=dtype).reshape(())


@functools.lru_cache(maxsize=256)
def _compiled(rule: Callable[..., None], *signature: Hashable) -> Callable[..., None]:
    # torch gives up on a code object after eight sets of shapes, without a word.
    compiled = compiled_copy(rule)
    announced = False

    def call(*lists: Sequence[Tensor], **options: Any) -> None:
        nonlocal announced
        if announced:
            compiled(*lists, **options)
            return
        start = time.perf_counter()
        print(
            f"daleml: compiling {rule.__name__.strip('_')} for {_tensor_count(lists[0])}...",
            file=sys.stderr,
            flush=True,
        )
        compiled(*lists, **options)
        print(
            f"daleml: compiled in {time.perf_counter() - start:.1f} s.",
            file=sys.stderr,
            flush=True,
        )
        announced = True

    return call


def _tensor_count(tensors: Sequence[Tensor]) -> str:
    return (
        f"{len(tensors)} tensor{'s' * (len(tensors) != 1)} of"
        f" {sum(t.numel() for t in tensors):,} weights"
    )
