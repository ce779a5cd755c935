"""Oja's plasticity beside any other learning."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from daleml import modules, signs
from daleml.learning.oja import activity_recording, oja_arguments, plastic_weights
from daleml.learning.oja.activation_chains import Activation, Chain
from daleml.learning.oja.activity_recording import ActivityRecord, Recorded
from daleml.learning.oja.oja_rules import (
    ActivityError,
    DivergenceError,
    Rule,
    Subspace,
)
from daleml.learning.oja.plastic_weights import Holders
from daleml.learning.oja.uncopied_hooks import UncopiedHook
from daleml.learning.oja.weight_changes import WeightActivity, weight_change


class Oja:
    r"""Oja's rule on the weights of a model, added to whatever else trains the model.

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
        activation: What makes rates of a dense layer's output: one function for all layers, or
            a mapping from layers to functions. Default: torch's activation modules that follow
            the layer in an ``nn.Sequential``, or nothing. A circuit's rates are known.
        on_divergence: What is done with a step where the rule must diverge, or where an
            activity is not finite. ``"raise"`` refuses it; ``"skip"`` leaves the rule out of
            it, with one warning in all.

    Attributes:
        coefficients: The coefficient by the name of the weight, whether a weight or its layer
            was named at construction. Values may be changed between steps, and names taken
            out; no other name can be put in.
        skipped: Number of steps that the rule was left out of.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If the model has no such layer, a name is unknown, a coefficient is
            negative, ``on_divergence`` is something else, ``activation`` is given where there
            is no dense layer or is missing where the activation module is not known, or a
            weight cannot be changed: it is reparametrised, has no shape yet, is read by
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
        self.on_divergence = on_divergence
        self.skipped = 0
        found = plastic_weights.plastic(model)
        if not found:
            raise ValueError(
                f"`model` must have a dense layer or a circuit; got {type(model).__name__}"
                " without one."
            )
        self.coefficients = oja_arguments.coefficients_by_weight(coefficients, found)
        # A name would have been refused; "all weights" passes them over.
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
        self._record = ActivityRecord()
        self._handles: list[RemovableHandle] = []
        self._warned: set[str] = set()

    def __repr__(self) -> str:
        pairs = self.coefficients.items()
        named = ", ".join(f"{name}: {coefficient:g}" for name, coefficient in pairs)
        return f"Oja({{{named}}}, rule={self.rule}, attached={self.attached})"

    # -- attached --

    @property
    def attached(self) -> bool:
        """Whether it records activities."""
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
        # The hooks run in the order of their registration: begin, the layers, end.
        begin = UncopiedHook(lambda *_: self._record.begin_pass())
        self._handles.append(self._model.register_forward_pre_hook(begin))
        layers = {one.layer: one.module for one in self._synapses.values()}
        for layer, module in layers.items():
            activation = self._activations.get(layer, Chain())
            report = self._reporter(layer)
            handle = activity_recording.watch(module, activation, report)
            self._handles.append(handle)
        end = UncopiedHook(lambda *_: self._record.end_pass())
        self._handles.append(self._model.register_forward_hook(end))
        if optimizer is not None:
            self._handles.append(optimizer.register_step_post_hook(self._follow))
        return self

    def detach(self) -> None:
        """Stop recording, and forget what was recorded."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._record.forget()

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
        # Handles refer to the original's hooks, of which a copy has none.
        return self.__dict__ | {"_handles": [], "_record": ActivityRecord()}

    def _reporter(self, layer: str) -> Callable[[Recorded], None]:
        """Return what records the rows of a layer's pass under the names of its weights."""
        members = [one for one in self._synapses.values() if one.layer == layer]

        def report(recorded: Recorded) -> None:
            for one in members:
                if one.path in recorded:
                    self._record.add(one.name, recorded[one.path])

        return report

    def _follow(self, *_: Any) -> None:
        """Step after an optimiser's step."""
        # The optimiser has moved already, and a refused step must not leave unlawful weights.
        try:
            self.step()
        except Exception:
            signs.project_(self._model)
            raise

    # -- learning --

    def step(self) -> None:
        """Change every weight by what was recorded since the last step.

        The record is forgotten then, even if the step is refused.

        Raises:
            RuntimeError: If nothing was recorded of a weight.
            TypeError: If a value put into ``coefficients`` is no number.
            ValueError: If one is negative, a name put there is unknown, the names of one
                parameter have different ones, or only empty batches were recorded.
            DivergenceError: If the rule must diverge at this activity; no weight is changed by
                the rule then.
            ActivityError: If an activity is not finite; no weight is changed by the rule then.
        """
        # Taken before any check, so that a refused step is not refused again by old rows.
        recorded = self._record.take()
        names_of: dict[int, list[str]] = {}
        for name, coefficient in self._checked().items():
            if not coefficient:
                continue
            if name not in recorded:
                state = "attached" if self.attached else "not attached"
                raise RuntimeError(
                    "`step` must follow a forward pass in training mode while attached;"
                    f" nothing was recorded of `{name}` ({state})."
                )
            parameter = self._synapses[name].weight()
            # By identity: tied weights are one parameter under several names.
            names_of.setdefault(id(parameter), []).append(name)
        holders = plastic_weights.holders(self._model)
        activities = []
        for names in names_of.values():
            oja_arguments.require_agreement(self.coefficients, names)
            rows = [pair for name in names for pair in recorded[name]]
            pre = _joined([pre for pre, _ in rows])
            post = _joined([post for _, post in rows])
            if not len(post):
                raise ValueError(
                    "`step` must follow a batch with at least one example; got an empty one"
                    f" at `{names[0]}`."
                )
            activities.append(self._activity(names[0], pre, post, holders))
        self._learn(activities)

    def _checked(self) -> dict[str, float]:
        """Return the coefficients, which anyone may have changed."""
        return oja_arguments.checked_coefficients(self.coefficients, self._synapses)

    def _activity(
        self, name: str, pre: Tensor, post: Tensor, holders: Holders
    ) -> WeightActivity:
        one = self._synapses[name]
        weight = one.weight()
        # A layer may have left the model since.
        holding = holders.get(id(weight), [one.module])
        fixed = plastic_weights.fixed_signs(weight, holding)
        return WeightActivity(one, self.coefficients[name], fixed, pre, post)

    def update(self, pre: Tensor, post: Tensor, weight: str | None = None) -> None:
        """Change one weight by activities of your own.

        Args:
            pre: What it reads.
            post: The rates of the units it drives.
            weight: Name of the weight; may be left out if there is one only.

        Shape:
            ``pre``: (..., pre); ``post``: (..., post), the same leading dimensions.

        Raises:
            TypeError: If an activity is no tensor, or a value put into ``coefficients`` no number.
            ValueError: If ``weight`` is not one of ``coefficients``, a coefficient is negative,
                or shapes do not fit.
            DivergenceError: If the rule must diverge at this activity; the weight is not
                changed then.
            ActivityError: If an activity is not finite; the weight is not changed then.

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
        rows = oja_arguments.activity_rows(self._synapses[weight], pre, post)
        if coefficients[weight]:
            holders = plastic_weights.holders(self._model)
            self._learn([self._activity(weight, *rows, holders)])

    @torch.no_grad()
    def _learn(self, activities: list[WeightActivity]) -> None:
        """Change all weights, or none, and project those whose signs are fixed."""
        try:
            # All changes are computed before any weight moves.
            changes = [self._change(activity) for activity in activities]
        except (DivergenceError, ActivityError) as error:
            if self.on_divergence == "raise":
                raise
            self.skipped += 1
            self._warn_once(
                "skip", f"{error} The rule is left out of such steps.", RuntimeWarning
            )
        else:
            # `add_` casts to the weight's own type, half precision too.
            for activity, change in zip(activities, changes, strict=True):
                activity.plastic.weight().add_(change)
        lawful = [module for activity in activities for module, _ in activity.fixed]
        for module in dict.fromkeys(lawful):
            signs.project_(module)

    def _change(self, activity: WeightActivity) -> Tensor:
        change = weight_change(activity, self.rule)
        one = activity.plastic
        if activity.fixed and self.rule.keeps_signs and bool((activity.post < 0).any()):
            cure = "give the circuit a nonlinearity without negative values"
            if one.path == "dense":
                cure = "pass `activation=`"
            self._warn_once(
                one.name,
                f"`{one.name}` drives negative rates, where {self.rule} may flip signs"
                f" before projection: {cure}.",
                UserWarning,
            )
        return change

    def _warn_once(self, key: str, sentence: str, category: type[Warning]) -> None:
        if key not in self._warned:
            self._warned.add(key)
            warnings.warn(sentence, category, stacklevel=2)


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts) if len(parts) > 1 else parts[0]
