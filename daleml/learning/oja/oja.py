"""Oja's plasticity beside any other learning."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from daleml import modules, require, signs
from daleml.learning.oja import activity_recording, oja_arguments, plastic_weights
from daleml.learning.oja.activation_chains import Activation, Chain
from daleml.learning.oja.activity_recording import Recorded
from daleml.learning.oja.oja_rules import (
    ActivityError,
    DivergenceError,
    Rule,
    Subspace,
    at_least_single,
)
from daleml.learning.oja.plastic_weights import Holders, PlasticWeight
from daleml.learning.oja.uncopied_hooks import UncopiedHook


class _Pool(NamedTuple):
    """A parameter, whatever its names, and the rows of all of them."""

    one: PlasticWeight
    coefficient: float
    lawful: list[tuple[nn.Module, Tensor]]
    pre: Tensor
    post: Tensor


class Oja:
    r"""Oja's rule on the weights of a model, added to whatever else trains it.

    .. math:: W \leftarrow W + \theta \, \langle y x^\top - y y^\top W \rangle

    with :math:`x` what a weight reads, :math:`y` the rates of the units it drives, and the mean
    over rows: examples, and in a circuit time steps. After each step the layers whose signs are
    fixed are projected onto them.

    While attached, it records what is active on both sides of its weights in every forward pass
    of the model in training mode, until :meth:`step` has used it. With activities of your own,
    :meth:`update` needs no attaching.

    Args:
        model: A module with dense layers (``nn.Linear``, ``EILinear``, ``DANNLinear``) or
            circuits (``EIRNN``, ``DANNRNN`` and their cells; ``nn.RNN`` of one layer and one
            direction; ``nn.RNNCell``), or one of these; subclasses of them too, and your own
            layers that satisfy :class:`daleml.modules.DaleLayer`.
        coefficients: :math:`\theta \ge 0`, of all those weights; or a mapping from names to
            coefficients, where a name is a weight's, such as ``"rnn.weight_hh_l0"``, or a
            layer's, such as ``"rnn"``, for all it has. Weights that it leaves out, or gives 0,
            are left alone.
        rule: ``Subspace()``, ``PerNeuron()``, or ``Normalised`` of one.
        activation: What makes rates of a dense layer's output: a function for all, or a mapping
            from layers to functions. Default: torch's activation modules that follow the layer
            in an ``nn.Sequential``, or nothing. A circuit's rates are known.
        on_divergence: What becomes of a step where the rule must diverge, or where an activity
            is not finite: it is refused, ``"raise"``; or the rule is left out of it,
            ``"skip"``, with one warning in all.

    Attributes:
        coefficients: By the name of the weight, whether a weight or its layer was named at
            construction. Values may be changed between steps, and names taken out; no other
            name can be put in.
        skipped: Number of steps that the rule was left out of.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If the model has no such layer, a name is unknown, a coefficient is
            negative, ``on_divergence`` is something else, ``activation`` is given where there
            is no dense layer or is missing where the activation module is none that is known,
            or a weight cannot be changed: it is reparametrised, has no shape yet, is read by
            ``nn.MultiheadAttention``, or an ``nn.RNN`` has several layers or runs both ways.

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
        - Call ``step`` between ``backward`` and the optimiser's step, and under SGD the sum is
          exactly the published one. ``attach(optimizer)`` does it after each of the optimiser's
          steps, where the decay sees the weight already moved; that fits ``daleml.train``.
        - The published code of 2023 acts on every layer, the last with its softmax for rates:
          give that layer ``activation={"2": lambda z: z.softmax(-1)}``. Which layers and
          coefficients the paper of 2024 uses is not known to us.
        - Of a DANN it changes ``weight_ex``, by what the rule says for the effective weight
          (before any shunting).
        - Where signs are fixed the subspace rule is followed by projection, and takes strength
          from inhibitory weights between units active together. ``PerNeuron()`` draws every
          strength, excitatory or inhibitory, towards :math:`\langle y_i x_j \rangle / \langle
          y_i^2 \rangle`. Neither is in the papers.
        - Where the rule must diverge, at :math:`\theta |y|^2 \ge 2` for one row, the rule
          changes nothing. Below that it may grow still, if the activity does; see
          :class:`Normalised`.
        - A weight that projection has put at exactly zero cannot move again under ``EG``, whose
          steps are in proportion to it; ``PerNeuron``, which takes none to zero where rates are
          not negative, suits it better.
        - A weight that layers share is changed once, by the rows of all its names that have a
          coefficient, and keeps the signs that are fixed under any of them.
        - A frozen weight (``requires_grad=False``) is changed like any other: the rule is no
          gradient. Leave it out of ``coefficients`` to keep it.
        - A forward pass that raised is forgotten. Half-precision weights are changed by what
          single precision says.
        - A copy of the model, or a pickle, made while attached is of the model alone, and is
          not recorded; a copy of the ``Oja`` has its own copy of the model, and is detached.
          Attach before the model is compiled: what was compiled without recording does not
          record.

    References:
        Shervani-Tabar et al. 2024 (arXiv 2408.08408); Shervani-Tabar & Rosenbaum 2023 (Nature
        Communications), whose code has the update; Oja 1989.
    """

    def __init__(
        self,
        model: nn.Module,
        coefficients: float | Mapping[str, float],
        *,
        rule: Rule | None = None,
        activation: Activation | Mapping[str, Activation] | None = None,
        on_divergence: Literal["raise", "skip"] = "raise",
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"`model` must be a module; got {type(model).__name__}.")
        if not (rule is None or isinstance(rule, Rule)):
            raise TypeError(f"`rule` must be a rule such as Subspace(); got {rule!r}.")
        if on_divergence not in ("raise", "skip"):
            raise ValueError(
                f"`on_divergence` must be 'raise' or 'skip'; got {on_divergence!r}."
            )
        self.rule = Subspace() if rule is None else rule
        self.on_divergence, self.skipped = on_divergence, 0
        found = plastic_weights.plastic(model)
        if not found:
            raise ValueError(
                f"`model` must have a dense layer or a circuit; got {type(model).__name__}"
                " without one."
            )
        self.coefficients = oja_arguments.coefficients_by_weight(coefficients, found)
        if not isinstance(coefficients, Mapping):
            modules.warn_of_kept_otherwise(model, "Oja")
        self._model = model
        self._synapses = {name: found[name] for name in self.coefficients}
        for name, one in self._synapses.items():
            if one.obstacle:
                raise ValueError(
                    f"`coefficients` must leave out `{name}`, since it {one.obstacle}."
                )
        self._activations = oja_arguments.activations_by_layer(
            activation, model, self._synapses
        )
        self._recorded: dict[str, list[tuple[Tensor, Tensor]]] = {}
        self._complete: dict[str, int] | None = (
            None  # how many of these are of passes that ended, during a pass
        )
        self._handles: list[RemovableHandle] = []
        self._warned: set[str] = set()

    def __repr__(self) -> str:
        named = ", ".join(
            f"{name}: {coefficient:g}"
            for name, coefficient in self.coefficients.items()
        )
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

        Notes:
            Where the step after the optimiser's is refused, the optimiser has moved already,
            and so lawful weights are projected before the error leaves: guards that come after
            it, such as ``enforce``'s, never run then.
        """
        if self.attached:
            raise RuntimeError(
                "`attach` must be called once until `detach`; it is attached already."
            )
        if not (optimizer is None or isinstance(optimizer, Optimizer)):
            raise TypeError(
                f"`optimizer` must be a torch optimiser; got {type(optimizer).__name__}."
            )
        self._handles.append(
            self._model.register_forward_pre_hook(UncopiedHook(self._begin))
        )
        for layer, module in {
            one.layer: one.module for one in self._synapses.values()
        }.items():
            activation = self._activations.get(layer, Chain())
            self._handles.append(
                activity_recording.watch(module, activation, self._recorder(layer))
            )
        self._handles.append(self._model.register_forward_hook(UncopiedHook(self._end)))
        if optimizer is not None:
            self._handles.append(optimizer.register_step_post_hook(self._follow))
        return self

    def detach(self) -> None:
        """Stop recording, and forget what was recorded."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._recorded.clear()
        self._complete = None

    def __enter__(self) -> Self:
        return self if self.attached else self.attach()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.detach()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_handles": [], "_recorded": {}, "_complete": None}

    def _begin(self, *_: Any) -> None:
        self._forget_unfinished()
        self._complete = {name: len(rows) for name, rows in self._recorded.items()}

    def _end(self, *_: Any) -> None:
        self._complete = None

    def _forget_unfinished(self) -> None:
        """Forget the rows of a forward pass that raised before its end."""
        if self._complete is not None:
            self._recorded = {
                name: self._recorded[name][:n] for name, n in self._complete.items()
            }
            self._complete = None

    def _recorder(self, layer: str) -> Any:
        members = [one for one in self._synapses.values() if one.layer == layer]

        def record(seen: Recorded) -> None:
            for one in members:
                if one.path in seen:
                    self._recorded.setdefault(one.name, []).append(seen[one.path])

        return record

    def _follow(self, *_: Any) -> None:
        """Step after an optimiser's step."""
        try:
            self.step()
        except Exception:
            signs.project_(self._model)
            raise

    # -- learning --

    def step(self) -> None:
        """Change every weight by what was recorded since the last step, and forget it, whether or not it is refused.

        Raises:
            RuntimeError: If nothing was recorded of a weight.
            TypeError: If a value put into ``coefficients`` is no number.
            ValueError: If one is negative, a name put there is unknown, the names of one
                parameter have different ones, or only empty batches were recorded.
            DivergenceError: If the rule must diverge at this activity; no weight is changed by
                the rule then.
            ActivityError: If an activity is not finite; likewise.
        """
        self._forget_unfinished()
        recorded, self._recorded = self._recorded, {}
        groups: dict[int, list[str]] = {}
        for name, coefficient in self._checked().items():
            if not coefficient:
                continue
            if name not in recorded:
                state = "attached" if self.attached else "not attached"
                raise RuntimeError(
                    "`step` must follow a forward pass in training mode while attached;"
                    f" nothing was recorded of `{name}` ({state})."
                )
            groups.setdefault(id(self._synapses[name].weight()), []).append(name)
        holders = plastic_weights.holders(self._model)
        self._learn(
            [self._pooled(names, recorded, holders) for names in groups.values()]
        )

    def _checked(self) -> dict[str, float]:
        """Return the coefficients, which anyone may have changed."""
        for name in self.coefficients:
            if name not in self._synapses:
                names = ", ".join(self._synapses)
                raise ValueError(
                    f"`coefficients` must name weights it had at construction ({names});"
                    f" got {name!r}."
                )
        return {
            name: require.non_negative(f"coefficients[{name!r}]", c)
            for name, c in self.coefficients.items()
        }

    def _pooled(
        self,
        names: list[str],
        recorded: dict[str, list[tuple[Tensor, Tensor]]],
        holders: Holders,
    ) -> _Pool:
        first = names[0]
        for name in names:
            if self.coefficients[name] != self.coefficients[first]:
                raise ValueError(
                    f"`coefficients` must agree on `{first}` and `{name}`, which are one"
                    f" parameter; got {self.coefficients[first]:g} and"
                    f" {self.coefficients[name]:g}."
                )
        rows = [seen for name in names for seen in recorded[name]]
        pre, post = (
            torch.cat(side) if len(side) > 1 else side[0]
            for side in zip(*rows, strict=True)
        )
        if not len(post):
            raise ValueError(
                "`step` must follow a batch with at least one example; got an empty one at"
                f" `{first}`."
            )
        return self._pool(self._synapses[first], pre, post, holders)

    def _pool(
        self, one: PlasticWeight, pre: Tensor, post: Tensor, holders: Holders
    ) -> _Pool:
        weight = one.weight()
        modules = holders.get(
            id(weight), [one.module]
        )  # a layer may have left the model since
        return _Pool(
            one,
            self.coefficients[one.name],
            plastic_weights.fixed_signs(weight, modules),
            pre,
            post,
        )

    def update(self, pre: Tensor, post: Tensor, weight: str | None = None) -> None:
        """Change one weight by activities of your own.

        Args:
            pre: What it reads.
            post: The rates of the units it drives.
            weight: Name of the weight; may be left out if there is one only.

        Shape:
            ``pre`` (*, pre), ``post`` (*, post), the same leading dimensions.

        Raises:
            TypeError: If an activity is no tensor, or a value put into ``coefficients`` no number.
            ValueError: If ``weight`` is not one of ``coefficients``, a coefficient is negative,
                or shapes do not fit.
            DivergenceError: If the rule must diverge at this activity; the weight is not
                changed then.
            ActivityError: If an activity is not finite; likewise.

        Example:
            >>> import torch
            >>> layer = torch.nn.Linear(4, 2, bias=False)
            >>> oja, x = Oja(layer, 0.1), torch.rand(5, 4)
            >>> oja.update(x, layer(x).relu())
        """
        coefficients = self._checked()
        if weight is None and len(coefficients) == 1:
            weight = next(iter(coefficients))
        if weight not in coefficients:
            raise ValueError(
                f"`weight` must be one of {', '.join(coefficients)}; got {weight!r}."
            )
        one = self._synapses[weight]
        rows = oja_arguments.activity_rows(one, pre, post)
        if coefficients[weight]:
            self._learn([self._pool(one, *rows, plastic_weights.holders(self._model))])

    @torch.no_grad()
    def _learn(self, pools: list[_Pool]) -> None:
        """Change all of them, or none."""
        try:
            changes = [
                self._change(pool) for pool in pools
            ]  # all, before any weight moves
        except (DivergenceError, ActivityError) as error:
            if self.on_divergence == "raise":
                raise
            self.skipped += 1
            self._warn_once(
                "skip", f"{error} The rule is left out of such steps.", RuntimeWarning
            )
        else:
            for pool, change in zip(pools, changes, strict=True):
                pool.one.weight().add_(change)
        for module in dict.fromkeys(
            module for pool in pools for module, _ in pool.lawful
        ):
            signs.project_(module)

    def _change(self, pool: _Pool) -> Tensor:
        one, coefficient = pool.one, pool.coefficient
        with torch.autocast(one.weight().device.type, enabled=False):
            effective = one.effective()
            effective = effective.to(at_least_single(effective.dtype))
            pre, post = pool.pre.to(effective), pool.post.to(effective)
            for side, activity in (("pre", pre), ("post", post)):
                if not activity.isfinite().all():
                    found = "NaN" if activity.isnan().any() else "an infinite value"
                    raise ActivityError(
                        f"`{side}` must be finite; got {found} for `{one.name}`."
                    )
            self.rule.refuse_divergence(
                f"coefficients[{one.name!r}]", coefficient, post
            )
            sign = next((sign for _, sign in pool.lawful), None)
            if sign is not None and self.rule.keeps_signs and bool((post < 0).any()):
                self._warn_of_negative_rates(one)
            return coefficient * self.rule.change(effective, pre, post, sign)

    def _warn_of_negative_rates(self, one: PlasticWeight) -> None:
        cure = (
            "pass `activation=`"
            if one.path == "dense"
            else "give the circuit a nonlinearity without negative values"
        )
        sentence = (
            f"`{one.name}` drives negative rates, where {self.rule} may flip signs before"
            f" projection: {cure}."
        )
        self._warn_once(one.name, sentence, UserWarning)

    def _warn_once(self, key: str, sentence: str, category: type[Warning]) -> None:
        if key not in self._warned:
            self._warned.add(key)
            warnings.warn(sentence, category, stacklevel=2)
