"""Oja's plasticity beside any other learning."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from daleml import _checks, signs
from daleml.learning import activities
from daleml.learning.activities import Activation, Synapses
from daleml.learning.hooks import Hook
from daleml.learning.oja import Rule, Subspace


class Oja:
    r"""Oja's rule on the weights of a model, added to whatever else trains it.

    .. math:: W \leftarrow W + \theta \, \langle y x^\top - y y^\top W \rangle

    with :math:`x` what a weight reads, :math:`y` the rates of the units it drives, and the mean over rows: examples,
    and in a circuit time steps. After each step the layers whose signs are fixed are projected onto them.

    While attached, it records what is active on both sides of its weights in every forward pass of the model in
    training mode, until :meth:`step` has used it. With activities of your own, :meth:`update` needs no attaching.

    Args:
        model: A module with dense layers (``nn.Linear``, ``EILinear``, ``DANNLinear``) or circuits of one layer
            (``nn.RNN``, ``EIRNN``, ``DANNRNN`` and their cells), or one of these.
        coefficients: :math:`\theta \ge 0`, of all those weights; or a mapping from names to coefficients, where a name
            is a weight's, such as ``"rnn.weight_hh_l0"``, or a layer's, such as ``"rnn"``, for all it has. Weights that
            it leaves out, or gives 0, are left alone.
        rule: ``Subspace()``, ``PerNeuron()``, or ``Normalised`` of one.
        activation: What makes rates of a dense layer's output: a function for all, or a mapping from layers to
            functions. Default: the activation modules that follow the layer in an ``nn.Sequential``, or nothing. A
            circuit's rates are known.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If the model has no such layer, a name is unknown, a coefficient is negative, or a weight cannot be
            changed: it is reparametrised, or a circuit has several layers or runs both ways.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Linear(8, 6), nn.Softplus(10), nn.Linear(6, 3))
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        >>> x, y = torch.rand(1, 8), torch.tensor([2])
        >>> with Oja(model, {"0": 0.03}) as oja:
        ...     nn.functional.cross_entropy(model(x), y).backward()
        ...     oja.step()
        ...     optimizer.step()

    Notes:
        - Call ``step`` between ``backward`` and the optimiser's step, and under SGD the sum is exactly the published
          one. ``attach(optimizer)`` does it after each of the optimiser's steps, where the decay sees the weight
          already moved; that fits ``daleml.train``.
        - The published code of 2023 acts on every layer, the last with its softmax for rates: give that layer
          ``activation={"2": lambda z: z.softmax(-1)}``. Which layers and coefficients the paper of 2024 uses is not
          known to us.
        - Of a DANN it changes ``weight_ex``, by what the rule says for the effective weight (before any shunting).
        - Where signs are fixed the subspace rule is followed by projection, and takes strength from inhibitory weights
          between units active together. ``PerNeuron()`` draws every strength, excitatory or inhibitory, towards
          :math:`\langle y_i x_j \rangle / \langle y_i^2 \rangle`. Neither is in the papers.
        - Where the rule must diverge, at :math:`\theta |y|^2 \ge 2` for one row, a step is refused and nothing is
          changed. Below that it may grow still, if the activity does; see :class:`Normalised`.
        - A copy of the model, or a pickle, made while attached is of the model alone, and is not recorded.

    References:
        Shervani-Tabar et al. 2024 (arXiv 2408.08408); Shervani-Tabar & Rosenbaum 2023 (Nature Communications), whose
        code has the update; Oja 1989.
    """

    def __init__(
        self,
        model: nn.Module,
        coefficients: float | Mapping[str, float],
        *,
        rule: Rule | None = None,
        activation: Activation | Mapping[str, Activation] | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"`model` must be a module; got {type(model).__name__}.")
        if not (rule is None or isinstance(rule, Rule)):
            raise TypeError(f"`rule` must be a rule such as Subspace(); got {rule!r}.")
        self.rule = Subspace() if rule is None else rule
        found = activities.plastic(model)
        if not found:
            raise ValueError(f"`model` must have a dense layer or a circuit; got {type(model).__name__} without one.")
        self.coefficients = _by_weight(coefficients, found)
        """By the name of the weight; to be changed freely between steps."""
        self._synapses = {name: found[name] for name in self.coefficients}
        for name, one in self._synapses.items():
            if one.obstacle:
                raise ValueError(f"`coefficients` must leave out `{name}`, since it {one.obstacle}.")
        self._activations = _by_layer(activation, model, self._synapses)
        self._recorded: dict[str, list[tuple[Tensor, Tensor]]] = {}
        self._handles: list[RemovableHandle] = []

    def __repr__(self) -> str:
        named = ", ".join(f"{name}: {coefficient:g}" for name, coefficient in self.coefficients.items())
        return f"Oja({{{named}}}, rule={self.rule}, attached={self.attached})"

    # -- attached --

    @property
    def attached(self) -> bool:
        """Whether it records."""
        return bool(self._handles)

    def attach(self, optimizer: Optimizer | None = None) -> Self:
        """Begin to record; and, given an optimiser, step after each of its steps.

        Args:
            optimizer: Any torch optimiser.

        Returns:
            Itself, for ``with oja.attach(optimizer):``.

        Raises:
            RuntimeError: If it is attached already.
            TypeError: If ``optimizer`` is no optimiser.
        """
        if self.attached:
            raise RuntimeError("`attach` must be called once until `detach`; it is attached already.")
        if not (optimizer is None or isinstance(optimizer, Optimizer)):
            raise TypeError(f"`optimizer` must be a torch optimiser; got {type(optimizer).__name__}.")
        for layer, module in {one.layer: one.module for one in self._synapses.values()}.items():
            self._handles.append(module.register_forward_hook(Hook(self._recorder(layer)), with_kwargs=True))
        if optimizer is not None:
            self._handles.append(optimizer.register_step_post_hook(lambda *_: self.step()))
        return self

    def detach(self) -> None:
        """Stop recording, and forget what was recorded."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._recorded.clear()

    def __enter__(self) -> Self:
        return self if self.attached else self.attach()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.detach()

    def _recorder(self, layer: str) -> Any:
        members = [one for one in self._synapses.values() if one.layer == layer]
        activation = self._activations.get(layer, activities.identity)

        def record(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            if not module.training:
                return
            seen = activities.observed(module, args, kwargs, output, activation)
            for one in members:
                self._recorded.setdefault(one.name, []).append(seen[one.path])

        return record

    # -- learning --

    def step(self) -> None:
        """Change every weight by what was recorded since the last step, and forget it.

        Raises:
            RuntimeError: If nothing was recorded of a weight.
            DivergenceError: If the rule must diverge at this activity; no weight is changed then.
        """
        wanted = [name for name, coefficient in self.coefficients.items() if coefficient]
        missing = next((name for name in wanted if name not in self._recorded), None)
        if missing is not None:
            state = "attached" if self.attached else "not attached"
            raise RuntimeError(
                f"`step` must follow a forward pass in training mode while attached; nothing was recorded of "
                f"`{missing}` ({state})."
            )
        recorded, self._recorded = self._recorded, {}
        rows = {name: [torch.cat(side) if len(side) > 1 else side[0] for side in zip(*recorded[name], strict=True)]
                for name in wanted}  # fmt: skip
        changes = [(name, self._change(name, *rows[name])) for name in wanted]  # all, before any weight moves
        for name, change in changes:
            self._apply(name, change)

    def update(self, pre: Tensor, post: Tensor, weight: str | None = None) -> None:
        """Change one weight by activities of your own.

        Args:
            pre: What it reads.
            post: The rates of the units it drives.
            weight: Name of the weight; may be left out if there is one only.

        Shape:
            ``pre`` (*, pre), ``post`` (*, post), the same leading dimensions.

        Raises:
            ValueError: If ``weight`` is not one of ``coefficients``, or shapes do not fit.
            DivergenceError: If the rule must diverge at this activity; the weight is not changed then.

        Example:
            >>> import torch
            >>> layer = torch.nn.Linear(4, 2, bias=False)
            >>> oja, x = Oja(layer, 0.1), torch.rand(5, 4)
            >>> oja.update(x, layer(x).relu())
        """
        if weight is None and len(self._synapses) == 1:
            weight = next(iter(self._synapses))
        if weight not in self._synapses:
            names = ", ".join(self._synapses)
            raise ValueError(f"`weight` must be one of {names}; got {weight!r}.")
        change = self._change(weight, *_fitting(self._synapses[weight], pre, post))
        self._apply(weight, change)

    @torch.no_grad()
    def _change(self, name: str, pre: Tensor, post: Tensor) -> Tensor:
        one, coefficient = self._synapses[name], self.coefficients[name]
        effective = one.effective()
        pre, post = pre.to(effective), post.to(effective)  # autocast may have computed them in fewer bits
        self.rule.refuse_divergence(f"coefficients[{name!r}]", coefficient, post)
        return coefficient * self.rule.change(effective, pre, post, one.signs())

    @torch.no_grad()
    def _apply(self, name: str, change: Tensor) -> None:
        one = self._synapses[name]
        one.weight().add_(change)
        if one.signs() is not None:
            signs.project_(one.module)


def _fitting(one: Synapses, pre: Tensor, post: Tensor) -> tuple[Tensor, Tensor]:
    n_post, n_pre = one.weight().shape
    for name, activity, size in (("pre", pre, n_pre), ("post", post, n_post)):
        if not isinstance(activity, Tensor):
            raise TypeError(f"`{name}` must be a tensor; got {type(activity).__name__}.")
        if not activity.ndim or activity.shape[-1] != size:
            raise ValueError(
                f"`{name}` must have {size} units, those of `{one.name}`; got shape {tuple(activity.shape)}."
            )
    if pre.shape[:-1] != post.shape[:-1]:
        raise ValueError(
            f"`post` must have the leading dimensions of `pre`, {tuple(pre.shape[:-1])}; got {tuple(post.shape[:-1])}."
        )
    if not pre.numel():
        raise ValueError(f"`pre` must have at least one row; got shape {tuple(pre.shape)}.")
    return pre.detach().reshape(-1, n_pre), post.detach().reshape(-1, n_post)


def _by_weight(coefficients: float | Mapping[str, float], found: dict[str, Synapses]) -> dict[str, float]:
    """Return a coefficient a weight, from those of layers or weights."""
    if not isinstance(coefficients, Mapping):
        return dict.fromkeys(found, _checks.non_negative("coefficients", coefficients))
    chosen: dict[str, float] = {}
    for key, value in coefficients.items():
        coefficient = _checks.non_negative(f"coefficients[{key!r}]", value)
        names = [name for name, one in found.items() if key in (name, one.layer)]
        if not names:
            raise ValueError(f"`coefficients` must name weights ({', '.join(found)}) or their layers; got {key!r}.")
        chosen |= dict.fromkeys(names, coefficient)
    if not chosen:
        raise ValueError("`coefficients` must name at least one weight; got none.")
    return chosen


def _by_layer(
    given: Activation | Mapping[str, Activation] | None, model: nn.Module, synapses: dict[str, Synapses]
) -> dict[str, Activation]:
    """Return what makes rates of each dense layer's output."""
    layers = {one.layer for one in synapses.values() if one.path == "dense"}
    if given is None:
        return activities.following(model)
    if isinstance(given, Mapping):
        for layer, activation in given.items():
            if layer not in layers:
                raise ValueError(f"`activation` must name dense layers ({', '.join(sorted(layers))}); got {layer!r}.")
            if not callable(activation):
                raise TypeError(f"`activation[{layer!r}]` must be a function; got {activation!r}.")
        return activities.following(model) | dict(given)
    if not callable(given):
        raise TypeError(f"`activation` must be a function or a mapping of them; got {given!r}.")
    return dict.fromkeys(layers, given)
