"""Parameter groups: the rule and the learning rate of every parameter."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from daleml import modules, require, signs
from daleml._signs import scaled_learning
from daleml._support import stacked_models
from daleml._support.sharded_tensors import whole


class ParamGroups(list[dict[str, Any]]):
    """Groups as torch's optimisers take them, which print as a table with counts.

    Args:
        iterable: Groups: dicts with ``"params"`` and options, as :func:`param_groups` makes them.

    Example:
        >>> from torch import nn
        >>> from daleml.optim import param_groups
        >>> groups = param_groups(nn.Linear(3, 2), lr=0.1)
        >>> len(groups) == len(groups.lrs(0.1))
        True
    """

    scaled_model: nn.Module | None = None
    """The model, if its synapses learn by factors: daleml's optimisers then guard it."""

    def lrs(self, max_lr: float) -> list[float]:
        r"""Return one learning rate per group, with the corrections kept, as schedulers take them.

        .. math:: \eta_k = c_k \, \eta_{\max}

        where :math:`c_k` is what :func:`param_groups` multiplied the rate of group :math:`k`
        by. A single number would give every group the same rate.

        Args:
            max_lr: :math:`\eta_{\max}`, the learning rate of a parameter without correction.

        Returns:
            One rate per group, in their order.

        Raises:
            ValueError: If ``max_lr`` is negative, or a group does not come from
                :func:`param_groups`.

        Example:
            >>> import torch
            >>> from daleml.layers import DANNLinear
            >>> from daleml.optim import param_groups
            >>> groups = param_groups(DANNLinear(100, 25), lr=0.1)
            >>> optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
            >>> one_cycle = torch.optim.lr_scheduler.OneCycleLR
            >>> scheduler = one_cycle(optimizer, groups.lrs(0.5), total_steps=10)
            >>> [round(group["max_lr"], 6) for group in optimizer.param_groups]
            [0.5, 0.1, 0.005, 0.5]

        Notes:
            For ``max_lr`` of ``OneCycleLR``, ``base_lr`` and ``max_lr`` of ``CyclicLR``,
            ``min_lr`` of ``ReduceLROnPlateau`` and ``swa_lr`` of ``SWALR``. The one ``eta_min``
            of cosine annealing is the same for all groups: leave it at 0. ``train`` warns where
            corrections are lost.
        """
        require.non_negative("max_lr", max_lr)
        if any("lr_scale" not in group for group in self):
            raise ValueError(
                "`lrs` needs groups that param_groups made; got one without `lr_scale`."
            )
        return [max_lr * float(group["lr_scale"]) for group in self]

    def __str__(self) -> str:
        rows = [("role", "rule", "lr", "tensors", "weights")]
        for group in self:
            rule = "gradient descent" if group["euclidean"] else "EG"
            tensors = group["params"]
            n_weights = sum(map(Tensor.numel, tensors))
            rows.append(
                (
                    group["role"],
                    rule,
                    f"{group['lr']:.3g}",
                    f"{len(tensors):,}",
                    f"{n_weights:,}",
                )
            )
        parameters = [parameter for group in self for parameter in group["params"]]
        n_weights = sum(map(Tensor.numel, parameters))
        rows.append(("total", "", "", f"{len(parameters):,}", f"{n_weights:,}"))
        lines = []
        for row in rows:
            cells = []
            for i, cell in enumerate(row):
                width = max(len(other[i]) for other in rows)
                # Words to the left, numbers to the right.
                cells.append(cell.ljust(width) if i < 2 else cell.rjust(width))
            lines.append("  ".join(cells))
        return "\n".join(lines)


def param_groups(
    model: nn.Module,
    lr: float,
    *,
    euclidean_lr: float | None = None,
    tau_lr: float | None = None,
    signed_only: bool = False,
) -> ParamGroups:
    r"""Sort the parameters of a model into groups, by role, rule and learning rate.

    Any torch optimiser takes them.

    Layers declare the corrections: in a DANN with :math:`d` inputs and :math:`n_e` outputs,
    ``weight_ix`` learns at :math:`\eta / \sqrt{n_e}`, ``weight_ei`` at :math:`\eta / d`,
    ``alpha`` at :math:`\eta / (\sqrt{n_e}\, d)`, and all else at :math:`\eta`. Biases, and
    vectors of no declared role, are a group of their own, ``"bias"``; so are time constants that
    a circuit learns, ``"tau"``.

    It is also the recipe of what goes to exponentiated gradient: whatever has signs, and the
    matrices of layers that do not. Vectors without signs, embeddings, and matrices that are all
    zero, which would stay so, go to SGD or AdamW. Print it to see.

    Args:
        model: Any module. Every parameter that requires a gradient lands in exactly one group.
        lr: The learning rate of a parameter without correction.
        euclidean_lr: The same of groups that step by SGD or AdamW under ``EG`` and ``EGAdamW``,
            whose own rate is a relative one and larger; default: ``lr``.
        tau_lr: The same of time constants that learn (role ``"tau"``), of which a step of 0.01
            changes the excess over the time step by one per cent; default: ``euclidean_lr``.
        signed_only: Whether only parameters whose signs are fixed go to exponentiated gradient.

    Returns:
        Groups with keys ``params``, ``lr``, ``role``, ``euclidean`` and ``lr_scale``.
        ``euclidean`` tells ``EG`` and ``EGAdamW`` to step by plain SGD or AdamW; ``lr_scale``
        is the factor on ``lr``, see :meth:`ParamGroups.lrs`. Other optimisers ignore both.

    Raises:
        TypeError: If ``model`` is not a module.
        ValueError: If a learning rate is negative, or the model has nothing to train.

    Example:
        >>> from daleml.layers import DANNLinear
        >>> print(param_groups(DANNLinear(100, 25), lr=0.1, euclidean_lr=0.01))
        role       rule                 lr  tensors  weights
        weight_ex  EG                  0.1        1    2,500
        weight_ix  EG                 0.02        1      200
        weight_ei  EG                0.001        1       50
        bias       gradient descent   0.01        1       25
        total                                     4    2,775

    Notes:
        Learning rates survive Adam, which would divide scaled gradients back. They do not
        survive a scheduler that is given one number for all groups: give it
        :meth:`ParamGroups.lrs`.

    References:
        Cornford et al. 2021 (ICLR); the constants are those of the released code.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` must be a module; got {type(model).__name__}.")
    require.non_negative("lr", lr)
    rates = {
        False: lr,
        True: (
            lr
            if euclidean_lr is None
            else require.non_negative("euclidean_lr", euclidean_lr)
        ),
    }
    if tau_lr is not None:
        require.non_negative("tau_lr", tau_lr)
    # By identity: a parameter that is shared has one declaration, and tensors compare elementwise.
    declarations = {}
    for _, parameter, declaration in signs.declared(model):
        declarations[id(parameter)] = declaration
    tables = _tables(model)
    groups: dict[tuple[str, float, bool], dict[str, Any]] = {}
    slices = stacked_models.first_slices(model)
    for stored in model.parameters():
        if not stored.requires_grad:
            continue
        # What stands for several models is judged by the parameter of one.
        parameter = slices.get(id(stored), stored)
        fallback = "weight"
        if id(parameter) in tables:
            fallback = "embedding"
        elif parameter.ndim < 2:
            fallback = "bias"
        declaration = declarations.get(id(parameter), signs.Declaration(fallback))
        # A row of a table is a vector that turns as it learns, and all zeros would stay zero.
        euclidean = not declaration.signed and (
            parameter.ndim < 2
            or signed_only
            or id(parameter) in tables
            or _is_zero(parameter)
        )
        rate = rates[euclidean]
        if declaration.role == "tau" and tau_lr is not None:
            rate = tau_lr
        key = declaration.role, rate * declaration.lr_scale, euclidean
        group = {"params": [], "lr": key[1], "role": key[0], "euclidean": euclidean}
        # On `lr`, which euclidean groups need not have: `lrs` scales one rate for all groups.
        group["lr_scale"] = declaration.lr_scale * (rate / lr if lr else 1.0)
        groups.setdefault(key, group)["params"].append(stored)
    if not groups:
        raise ValueError(
            f"`model` must have a parameter to train; got {type(model).__name__} without"
            " one."
        )
    return _of_model(list(groups.values()), model)


def _tables(model: nn.Module) -> set[int]:
    """Return the identities of the parameters of embeddings."""
    found: set[int] = set()
    for module in model.modules():
        if modules.is_table(module):
            found.update(map(id, module.parameters(recurse=False)))
    return found


def _of_model(groups: list[dict[str, Any]], model: nn.Module) -> ParamGroups:
    """Return groups that know their model where synapses of it learn by factors."""
    found = ParamGroups(groups)
    if next(scaled_learning.scaled_weights(model), None) is not None:
        found.scaled_model = model
    return found


def _is_zero(parameter: Tensor) -> bool:
    return not parameter.is_meta and not bool(whole(parameter).any())
