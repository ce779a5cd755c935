"""Many models of one form, such as one network from many seeds, trained as one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils import _pytree as pytree

from daleml import require
from daleml.experiments._ensemble import likeness
from daleml.experiments._ensemble.ensemble_arguments import (
    STREAMS,
    builder_of,
    names_of,
    require_module,
    scales_of,
    seeds_of,
    states_of,
)
from daleml.experiments._ensemble.losses_by_model import losses_of
from daleml.experiments._ensemble.member_runs import MemberRuns
from daleml.experiments._ensemble.parameter_stack import ParameterStack
from daleml.experiments._ensemble.random_streams import Streams, seeded

__all__ = ["Ensemble"]


class Ensemble(nn.Module):
    r"""Models of one form, run and trained in one batch, each exactly as if it were alone.

    .. math:: y^k = f(x;\, \theta^k), \qquad k = 1, \dots, K

    Each parameter is one tensor (K, ...), of which every model has a slice. What is elementwise,
    as the steps of ``EG``, ``SGD`` and ``Adam``, does to each slice what it would do to a model
    by itself; where losses are added up, each model's gradient is its own.

    Args:
        make_model: Builds a model. It is given the seed if it takes an argument named ``seed``,
            or has one that must be given; else nothing. Torch's global generator is seeded
            with each seed for it, and put back.
        seeds: The seeds, or how many, from 0 on.

    Shape:
        An input is read by all models, or has a first dimension of K where ``each=True``.
        Outputs have a first dimension of K, and so have parameters.

    Raises:
        TypeError: If ``make_model`` cannot be called, or gives no module.
        ValueError: If there is no seed, a seed is given twice, or models are not of one form.

    Example:
        >>> import torch
        >>> from daleml.experiments import Ensemble
        >>> from daleml.layers import DANNLinear
        >>> from daleml.optim import EG, param_groups
        >>> ensemble = Ensemble(lambda: DANNLinear(6, 3), seeds=4)
        >>> optimizer = EG(param_groups(ensemble, lr=0.1), lr=0.1)
        >>> x, y = torch.rand(5, 6), torch.tensor([0, 1, 2, 0, 1])
        >>> ensemble(x).shape
        torch.Size([4, 5, 3])
        >>> losses = ensemble.losses(torch.nn.functional.cross_entropy, ensemble(x), y)
        >>> losses.sum().backward()
        >>> optimizer.step()
        >>> ensemble[3]
        DANNLinear(in_features=6, out_features=3, n_inh=1, bias=True, shunting=False)

    Notes:
        ``train`` trains it: one row of the history for each epoch and seed, ``clip_norm`` of each
        model's own gradient, trackers called with each model. A model whose loss, gradient or
        weights are no longer finite goes back to how it was at the beginning of the epoch and
        stays so, which a warning and ``diverged`` tell; the others do not notice. Optimisers whose
        steps depend on norms over a parameter (LBFGS, Adafactor, Muon) are refused. Rates are of
        all: a ``ReduceLROnPlateau``, like ``EarlyStopping``, follows the mean loss.

        Chains of dense layers and activations, and circuits over sequences without dynamics of
        their own, run by batched products (``way`` is ``"batched"``). Any other model runs under
        ``torch.func.vmap``, with batched products in place of the layers that have them
        (``"vmapped"``), or else one by one, as ``repr`` tells with the reason. Numbers, tensors and
        functions in which models of your own differ are such a reason (register what you can as
        buffers), and so are attributes that a forward pass writes.

        Models that draw noise or drop units from torch's global generator have streams of their
        own, which go on from where each was built: each is as after ``torch.manual_seed(seed)``
        alone. What runs under ``vmap`` otherwise, as ``functional.dropout`` in a model of your
        own, differs between models, but is not what it would be alone.

        ``signs.check`` and whatever else reads modules sees K ordinary models, as
        ``seed_3.0.weight_ex``; ``parameters()`` are the stacked ones. A checkpoint of ``train``
        holds all models, and ``state_dict`` those of each.

        On one thread of a CPU it was so many times as fast as a loop over the models, with EG,
        a batch of 32 and circuits of 50 steps (``benchmarks/ensembles.py``):

        ================  =====  =====  =====  =====  =====
        models            K = 2  4      8      16     64
        ================  =====  =====  =====  =====  =====
        DANN 64-20-10     1.3    1.9    3.0    5.1    10.3
        DANN 64-50-10     0.9    2.1    2.8    4.5    8.3
        DANN 64-200-10    1.3    1.7    2.6    3.4    4.6
        DANN 64-500-10    1.0    1.5    1.8    2.2    2.4
        circuit of 16     1.1    1.8    3.3    4.8    8.2
        circuit of 32     1.1    1.9    2.7    3.9    3.7
        circuit of 100    1.0    1.4    1.5    1.7    1.5
        ================  =====  =====  =====  =====  =====

        So it pays from four models on while a network is small, and hardly where one model keeps
        the processor busy by itself: there, give each seed a process of one thread.
    """

    _dale_stack: ParameterStack
    _runs: MemberRuns
    _streams: Streams
    _diverged: Tensor

    def __init__(
        self,
        make_model: Callable[..., nn.Module],
        seeds: int | Sequence[int] = 32,
    ) -> None:
        chosen = seeds_of(seeds)
        build = builder_of(make_model)
        models, states = [], []
        for seed in chosen:
            model, state = seeded(build, seed)
            models.append(require_module(model))
            states.append(state)
        super().__init__()
        self.seeds: tuple[int, ...] | None = chosen
        self.lr_scales: tuple[float, ...] | None = None
        self._fill(models, [f"seed_{seed}" for seed in chosen], states)
        likeness.warn_of_copies(list(self.parameters()))

    @classmethod
    def of(
        cls,
        models: Sequence[nn.Module],
        names: Sequence[str] | None = None,
        *,
        lr_scales: Sequence[float] | None = None,
    ) -> Ensemble:
        """Make an ensemble of models that are there already, such as conditions of a study.

        They may differ in their numbers: weights, masks, signs, time constants, noise.

        Args:
            models: The models, which are copied.
            names: What to call them; default: ``model_0``, ``model_1``...
            lr_scales: Factor on the learning rates of each under ``train``; default: 1. The
                optimiser must be one whose steps are proportional to gradients: SGD, ``EG`` or
                ``MirrorDescent``, with momentum or without, and no weight decay.

        Raises:
            TypeError: If one is no module.
            ValueError: If there is none, models are not of one form, names are not as many as
                models, or not different, or factors are not as many, or not positive.

        Example:
            >>> from daleml import Populations
            >>> from daleml.experiments import Ensemble
            >>> from daleml.layers import EIRNN
            >>> pops = Populations(8, 2)
            >>> models = [EIRNN(3, pops, dt_ms=10, tau_ms=tau) for tau in (20, 50, 100)]
            >>> Ensemble.of(models, names=["fast", "middle", "slow"]).names
            ('fast', 'middle', 'slow')
        """
        models = [require_module(model) for model in models]
        if not models:
            raise ValueError("`models` must hold at least one model; got none.")
        found = names_of(names, len(models), cls)
        scales = scales_of(lr_scales, len(models))
        states = states_of(len(models))
        ensemble = cls.__new__(cls)
        nn.Module.__init__(ensemble)
        ensemble.seeds, ensemble.lr_scales = None, scales
        ensemble._fill([copy.deepcopy(model) for model in models], found, states)
        return ensemble

    def _fill(
        self, models: list[nn.Module], names: list[str], states: list[Tensor]
    ) -> None:
        likeness.require_alike(models, names)
        self.names = tuple(names)
        for name, model in zip(names, models, strict=True):
            self._modules[name] = model
        self._streams = Streams(states)
        # Not bool: torch's AveragedModel subtracts buffers, which it refuses for bools.
        self.register_buffer("_diverged", torch.zeros(len(names), dtype=torch.int8))
        self._stack_parameters(None)

    def _stack_parameters(self, parameters: dict[str, nn.Parameter] | None) -> None:
        """Stack the parameters of the models, or let these lie in a stack that there is."""
        stack = ParameterStack(list(self.members), parameters)
        vars(self)["_dale_stack"] = stack
        # By names with dots, as they are in a model, which `register_parameter` refuses.
        self._parameters.update(stack.parameters)
        vars(self)["_runs"] = MemberRuns(stack, self._streams)

    # -- its models

    @property
    def members(self) -> tuple[nn.Module, ...]:
        """The models themselves, whose parameters lie in those of the ensemble.

        Read them, or change values in place; they ask for no gradients. ``ensemble[k]`` is a
        model of its own.
        """
        return tuple(self._modules[name] for name in self.names)  # type: ignore[misc]

    @property
    def diverged(self) -> Tensor:
        """Which models ``train`` gave up, since they did not stay finite: ``(K,)``, bool."""
        return self._diverged.view(torch.bool)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, k: int) -> nn.Module:
        """Return a copy of model ``k``: an ordinary model, which shares nothing with others."""
        n = len(self)
        k = require.integer("k", k, minimum=-n)
        if k >= n:
            raise IndexError(f"`k` must be below {n}, the number of models; got {k}.")
        model = copy.deepcopy(self.members[k])
        learns = {name: one.requires_grad for name, one in self.named_parameters()}
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(learns[name])
        return model

    def __iter__(self) -> Iterator[nn.Module]:
        """Yield copies of the models, one by one."""
        return (self[k] for k in range(len(self)))

    # -- running it

    def forward(self, *inputs: Any, each: bool = False, **named: Any) -> Any:
        """Run all models.

        Args:
            inputs: What a model takes, by position.
            each: Whether every tensor has a first dimension of K: one input for each model.
                Else all models read the same.
            named: What a model takes by keyword.

        Returns:
            What a model returns, with a first dimension of K in every tensor.

        Raises:
            TypeError: If an input is a packed sequence.
            ValueError: If ``each`` is True and an input has another first dimension.
        """
        if any(isinstance(one, PackedSequence) for one in (*inputs, *named.values())):
            raise TypeError(
                "`inputs` must be tensors; got a PackedSequence: pad sequences to one"
                " length, or run each model of the ensemble by itself."
            )
        if require.flag("each", each):
            self._require_each((inputs, named))
        self._require_linked()
        return self._runs(inputs, named, each)

    def losses(
        self,
        loss: Callable[[Any, Any], Tensor],
        outputs: Any,
        targets: Any,
        *,
        each: bool = False,
    ) -> Tensor:
        """Return the loss of each model; their sum is what to go back from.

        Args:
            loss: ``loss(outputs, targets)`` of one model, a scalar.
            outputs: What the ensemble returned.
            targets: What all models should answer.
            each: Whether targets have a first dimension of K.

        Shape:
            Outputs (K, ...) -> (K,).

        Raises:
            ValueError: If the loss of a model is no single number.

        Example:
            >>> import torch
            >>> from daleml.experiments import Ensemble
            >>> ensemble = Ensemble(lambda: torch.nn.Linear(3, 2), seeds=4)
            >>> outputs = ensemble(torch.rand(5, 3))
            >>> ensemble.losses(torch.nn.functional.mse_loss, outputs, torch.rand(5, 2)).shape
            torch.Size([4])
        """
        return losses_of(loss, outputs, targets, len(self), each=each)

    def _dale_learner(
        self, loss: Callable[[Any, Any], Tensor], clip_norm: float | None
    ) -> Any:
        """Return how ``train`` trains it."""
        # What an ensemble that is only run does not need.
        from daleml.experiments._ensemble.member_training import MemberLearner

        return MemberLearner(self, loss, clip_norm)

    @property
    def way(self) -> str:
        """How the models run: ``"batched"``, ``"vmapped"`` or ``"one by one"``."""
        return self._runs.way

    def _require_each(self, given: Any) -> None:
        for one in pytree.tree_leaves(given):
            if isinstance(one, Tensor) and (not one.ndim or len(one) != len(self)):
                raise ValueError(
                    f"`inputs` must have a first dimension of {len(self)} where `each` is"
                    f" True; got shape {tuple(one.shape)}."
                )

    def _require_linked(self) -> None:
        if not self._dale_stack.is_linked():
            raise ValueError(
                "models of an ensemble must keep their parameters; one was pruned,"
                " parametrised or replaced: do so before the ensemble is made."
            )

    # -- what makes it a module

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the stacked parameters, (K, ...), by the names that they have in a model."""
        # Who asks module by module finds their slices, in the models.
        if not recurse:
            return
        for name, parameter in self._dale_stack.parameters.items():
            yield f"{prefix}.{name}" if prefix else name, parameter

    def _apply(self, fn: Any, recurse: bool = True) -> Ensemble:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        parameters: Any = {
            name: self._parameters[name] for name in self._dale_stack.parameters
        }
        self._stack_parameters(parameters)
        return self

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        # Parameters are saved with the models that they lie in.
        destination[prefix + STREAMS] = self._streams.states()
        destination[prefix + "diverged"] = self.diverged

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *others: Any
    ) -> None:
        states = state_dict.get(prefix + STREAMS)
        diverged = state_dict.get(prefix + "diverged")
        for one in (states, diverged):
            if one is not None and len(one) != len(self):
                wrong = f"`state_dict` must hold {len(self)} models; got {len(one)}."
                others[-1].append(wrong)
                return
        if states is not None:
            self._streams.set_states(states)
        if diverged is not None:
            self.diverged.copy_(diverged)

    def load_state_dict(self, *given: Any, **named: Any) -> Any:
        """Load what ``state_dict`` returned: each model's own, behind its name."""
        result = super().load_state_dict(*given, **named)
        self._dale_stack.gather()
        return result

    def __getstate__(self) -> dict[str, Any]:
        """Return what is copied and pickled."""
        state = self.__dict__.copy()
        del state["_dale_stack"], state["_runs"]
        state["_streams"] = self._streams.states()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Read a copy or a pickle, whose parameters lie in a stack again."""
        state = dict(state)
        states = state.pop("_streams")
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        vars(self)["_streams"] = Streams(states.unbind(0))
        parameters: Any = dict(self._parameters)
        self._stack_parameters(parameters)

    def extra_repr(self) -> str:
        """Describe how many models there are, and how they run."""
        reason = self._runs.reason
        return f"{len(self)} models, {self.way}" + (f" ({reason})" if reason else "")

    def __repr__(self) -> str:
        """Show the first model, which the others are like."""
        inside = repr(self.members[0]).replace("\n", "\n  ")
        return f"Ensemble({self.extra_repr()}, of\n  {inside}\n)"
