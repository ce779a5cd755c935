"""States of random generators, and of schedulers within others, which stay objects of their run."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch.optim.lr_scheduler import LRScheduler

# By name, so that no file can call anything else of numpy's.
_BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")


def read_generator(generator: Any) -> Any:
    """Return the state of a random generator, or of a scheduler, as plain values and tensors."""
    if isinstance(generator, torch.Generator):
        return {"device": str(generator.device), "state": generator.get_state()}
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    if isinstance(generator, LRScheduler):
        return dict(generator.state_dict())
    return generator.getstate()


def write_generator(generator: Any, state: Any) -> None:
    """Give a random generator the state that :func:`read_generator` returned."""
    if isinstance(generator, torch.Generator):
        generator.set_state(state["state"])
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    elif isinstance(generator, LRScheduler):
        generator.load_state_dict(state)
    else:
        generator.setstate(state)


def new_generator(kind: str, state: Any) -> Any:
    """Return a new random generator of a kind, to be given its state later."""
    if kind == "torch._C.Generator":
        return torch.Generator(state["device"])
    if kind == "random.Random":
        return random.Random()
    if state["bit_generator"] not in _BIT_GENERATORS:
        raise ValueError(f"there is no random generator {state['bit_generator']!r}")
    if kind == "numpy.random.mtrand.RandomState":
        return np.random.RandomState()
    if kind == "numpy.random._generator.Generator":
        return np.random.Generator(getattr(np.random, state["bit_generator"])())
    raise ValueError(f"there is no type {kind!r}")
