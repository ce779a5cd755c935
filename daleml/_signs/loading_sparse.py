"""Sparse weights of a checkpoint as it is read: of the same synapses, of others, or a matrix.

A checkpoint of a dense circuit is read by a sparse one, and the other way round, if both have the
same synapses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from daleml import _sparse_weights, law
from daleml._signs import facts, parameter_lookup, sparse_verification
from daleml._signs.loading_fixed import Incoming
from daleml._sparse_weights import BUFFERS, Pattern


def _key(incoming: Incoming) -> str:
    """Return the weight's name in the checkpoint."""
    return incoming.prefix + parameter_lookup.resolve(incoming.module, incoming.name)[0]


def _plain(incoming: Incoming) -> str:
    """Return what stands before the names of its buffers in the checkpoint."""
    return incoming.prefix + incoming.name


def settle(incoming: Incoming) -> bool:
    """Bring a checkpoint's weight to the form of the module's; False if it is refused."""
    if _settled(incoming):
        return True
    # After an error torch still copies what it finds in the state dict.
    put_own(incoming)
    weight = parameter_lookup.resolve(incoming.module, incoming.name)[1]
    incoming.state[_key(incoming)] = weight
    return False


def _settled(incoming: Incoming) -> bool:
    module, state = incoming.module, incoming.state
    own = _sparse_weights.recorded_pattern(module, incoming.name)
    saved = state.get(_key(incoming))
    if not isinstance(saved, Tensor) or saved.is_meta:
        return True
    theirs = None
    try:
        theirs = _sparse_weights.pattern_of_state(state, _plain(incoming))
    except ValueError as error:
        incoming.errors.append(str(error))
    else:
        if theirs is None and own is not None and _is_torn(incoming):
            return False
        if own is None:
            return theirs is None or _to_matrix(incoming, theirs, saved)
        if theirs is None:
            return _of_matrix(incoming, own, saved)
        return own.same_as(theirs) or _of_others(incoming, own, theirs, saved)
    return False


def _is_torn(incoming: Incoming) -> bool:
    """Whether some of what says where synapses lie is missing, and the rest is there; it is told.

    A checkpoint of parameters alone has none of it, which torch tells by what is missing.
    """
    names = [_plain(incoming) + suffix for suffix in BUFFERS]
    lost = [name for name in names if name not in incoming.state]
    if len(lost) not in (1, 2):
        return False
    incoming.errors.append(
        f"{_key(incoming)}: the checkpoint must say where its synapses lie; `{lost[0]}` is"
        " missing: save the whole `state_dict()` again."
    )
    return True


def put_own(incoming: Incoming) -> None:
    """Let torch read where the module's own synapses lie."""
    recorded = _sparse_weights.recorded(incoming.module, incoming.name) or {}
    saved = incoming.state.get(_key(incoming))
    for suffix in BUFFERS:
        own = incoming.module._buffers.get(incoming.name + suffix)
        if own is None:
            incoming.state.pop(_plain(incoming) + suffix, None)
            continue
        # With `assign=True` torch keeps what stands here: it must have values, and lie where
        # the weight will.
        if isinstance(saved, Tensor) and saved.device != own.device:
            known = recorded.get(suffix)
            own = own if known is None else torch.from_numpy(known.copy())
            own = own.to(saved.device)
        incoming.state[_plain(incoming) + suffix] = own


def _to_matrix(incoming: Incoming, theirs: Pattern, saved: Tensor) -> bool:
    """Make a matrix of a sparse weight, for a module that has one."""
    state, plain = incoming.state, _plain(incoming)
    _, weight = parameter_lookup.resolve(incoming.module, incoming.name)
    if weight.shape != theirs.shape or saved.shape != (theirs.size,):
        return True
    state[_key(incoming)] = theirs.dense(saved)
    exists = theirs.dense(torch.ones(theirs.size, dtype=torch.int8))
    for suffix in (law.PRESENT, law.FIXED, law.STRENGTHS):
        values = state.get(plain + suffix)
        if isinstance(values, Tensor):
            state[plain + suffix] = theirs.dense(values)
    state.setdefault(plain + law.PRESENT, exists)
    signs = state.get(plain + law.SUFFIX)
    if isinstance(signs, Tensor) and signs.shape == (theirs.size,):
        stored = incoming.module._buffers.get(incoming.name + law.SUFFIX)
        # Of a unit that sends nothing the checkpoint does not tell.
        of_units = torch.ones(theirs.shape[1], dtype=torch.int8)
        if stored is not None and stored.shape == of_units.shape:
            of_units = stored.to("cpu", torch.int8).clone()
        of_units[theirs.pre.long()] = signs.cpu().to(torch.int8)
        state[plain + law.SUFFIX] = of_units
    for suffix in BUFFERS:
        del state[plain + suffix]
    return True


def _of_matrix(incoming: Incoming, own: Pattern, saved: Tensor) -> bool:
    """Take the synapses of a sparse weight from a matrix, which may have no other ones."""
    state, plain = incoming.state, _plain(incoming)
    # Torch says what is wrong with a matrix of other units, or a vector without its indices.
    if tuple(saved.shape) != own.shape:
        return True
    values = own.entries(saved)
    n_more = int(saved.count_nonzero()) - int(values.count_nonzero())
    present = state.pop(plain + law.PRESENT, None)
    fewer = isinstance(present, Tensor) and not bool(own.entries(present).bool().all())
    if incoming.adopt and (n_more or fewer):
        exists = saved != 0 if not isinstance(present, Tensor) else present != 0
        post, pre = exists.cpu().nonzero().T.numpy()
        theirs = _sparse_weights.of_arrays(post, pre, own.shape)
        if not _may_take(incoming):
            return False
        _sparsify(incoming, theirs, saved)
        return _take(incoming, theirs)
    if n_more and not incoming.keep:
        incoming.errors.append(
            f"{_key(incoming)}: the checkpoint's matrix has {n_more} weights where the sparse"
            " module has no synapse; load inside `with signs.adopt_masks(model):` to take"
            " them, or `with signs.keep_masks(model):` to lose them."
        )
        return False
    _sparsify(incoming, own, saved)
    put_own(incoming)
    return True


def _sparsify(incoming: Incoming, pattern: Pattern, saved: Tensor) -> None:
    """Replace a matrix, and what lies beside it, by the entries of some synapses."""
    state, plain = incoming.state, _plain(incoming)
    state[_key(incoming)] = pattern.entries(saved)
    state.pop(plain + law.PRESENT, None)
    for suffix in (law.FIXED, law.STRENGTHS):
        values = state.get(plain + suffix)
        if isinstance(values, Tensor) and values.shape == pattern.shape:
            state[plain + suffix] = pattern.entries(values)
            state[plain + law.PRESENT] = torch.ones(pattern.size, dtype=torch.int8)
    signs = state.get(plain + law.SUFFIX)
    if isinstance(signs, Tensor) and signs.shape == (pattern.shape[1],):
        state[plain + law.SUFFIX] = signs[pattern.pre.long().to(signs.device)]


def _of_others(
    incoming: Incoming, own: Pattern, theirs: Pattern, saved: Tensor
) -> bool:
    """Read a checkpoint of other synapses: take them, lose them, or refuse it."""
    kept = facts.record(incoming.module, incoming.name)
    drawn = False if kept is None else kept.drawn
    is_draw = sparse_verification.is_another_draw(theirs, own, drawn)
    if own.shape == theirs.shape and incoming.keep:
        return _reindexed(incoming, own, theirs, saved)
    if own.shape == theirs.shape and (is_draw or incoming.adopt):
        return _may_take(incoming) and _take(incoming, theirs)
    n_shared = 0
    if own.shape == theirs.shape:
        n_shared = int(torch.isin(_places(own), _places(theirs)).sum())
    incoming.errors.append(
        f"{_key(incoming)}: of the checkpoint's {theirs.size} synapses"
        f" {theirs.size - n_shared} are absent in the module, and of the module's {own.size}"
        f" {own.size - n_shared} in the checkpoint; load inside `with"
        " signs.adopt_masks(model):` to take the checkpoint's synapses, or `with"
        " signs.keep_masks(model):` to keep the module's and zero the others."
    )
    return False


def _places(pattern: Pattern) -> Tensor:
    return pattern.post.long().cpu() * pattern.shape[1] + pattern.pre.long().cpu()


def _reindexed(
    incoming: Incoming, own: Pattern, theirs: Pattern, saved: Tensor
) -> bool:
    """Keep the module's synapses, at the checkpoint's strengths where it has them, else at 0."""
    state, plain = incoming.state, _plain(incoming)
    there = _places(theirs)
    place = torch.searchsorted(there, _places(own)).clamp(max=max(len(there) - 1, 0))
    known = there[place] == _places(own) if len(there) else torch.zeros(own.size) > 0
    values = saved.new_zeros(own.size)
    if len(there):
        found = saved[place.to(saved.device)]
        values = torch.where(known.to(saved.device), found, values)
    state[_key(incoming)] = values
    for suffix in law.BUFFERS:
        state.pop(plain + suffix, None)
    put_own(incoming)
    return True


def _may_take(incoming: Incoming) -> bool:
    """Whether a weight may have other synapses; factors on learning are known of its own only."""
    if incoming.name not in facts.learning(incoming.module):
        return True
    incoming.errors.append(
        f"{_key(incoming)}: the checkpoint has other synapses than those that `lr_scale` was"
        " given for; build the layer with the mask of that checkpoint, or load inside `with"
        " signs.keep_masks(model):` to keep the module's synapses."
    )
    return False


def _take(incoming: Incoming, theirs: Pattern) -> bool:
    """Make the checkpoint's synapses the module's own, before torch copies its values."""
    module, name = incoming.module, incoming.name
    _, weight = parameter_lookup.resolve(module, name)
    if weight.numel() != theirs.size:
        if not isinstance(weight, nn.Parameter):
            incoming.errors.append(
                f"{_key(incoming)}: it must be a parameter to take other synapses; it is"
                " computed by a parametrisation: remove it first."
            )
            return False
        # The same parameter, so that an optimiser keeps it; its gradient belongs to the old one.
        weight.grad = None
        weight.data = weight.data.new_zeros(theirs.size)
    signs = incoming.state.get(_plain(incoming) + law.SUFFIX)
    sparse_verification.take(module, name, theirs, weight, signs)
    put_own(incoming)
    return True
