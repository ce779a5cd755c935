r"""Evolution strategies.

A gradient from losses alone, for what backpropagation cannot or should not go through.

.. math:: \nabla_w\, \mathbb{E}_\varepsilon\, L(w + \varepsilon) = \mathbb{E}_\varepsilon \big[ L(w + \varepsilon)\,
    \varepsilon \big] / \sigma^2, \qquad \varepsilon \sim N(0, \sigma^2)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from daleml import law, require, signs


@dataclass(frozen=True)
class Estimate:
    """What one estimate of the gradient found.

    Attributes:
        loss: Mean over the population: an estimate of the smoothed loss, whose gradient it is.
        losses: Of every member, in nats or whatever the loss is in; antithetic partners stand
            half of it apart.
        standard_errors: Of every gradient, by the name and in the shape of its parameter:
            Monte-Carlo error over the population. NaN where there is but one independent
            perturbation.
    """

    loss: float
    losses: Tensor = field(repr=False)
    standard_errors: dict[str, Tensor] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON.

        Of the errors, the root mean square for each parameter.
        """
        errors = {
            name: float(error.square().mean().sqrt())
            for name, error in self.standard_errors.items()
        }
        return {
            "loss": self.loss,
            "losses": self.losses.tolist(),
            "standard_errors": errors,
        }


class EvolutionStrategy:
    r"""Estimate the gradient of a loss from a population of perturbed models, all run in one batch.

    With antithetic pairs :math:`\pm\varepsilon_s`, and a population of :math:`S` members,

    .. math:: g = \frac{1}{S} \sum_{s=1}^{S/2} \frac{L(w + \varepsilon_s) - L(w - \varepsilon_s)}{\sigma^2}
        \varepsilon_s

    so that the even part of the loss, and with it the loss itself, adds no noise. One-sided, as
    published,

    .. math:: g = \frac{1}{S} \sum_{s=0}^{S-1} \frac{L(w + \varepsilon_s)}{\sigma^2} \varepsilon_s, \qquad
        \varepsilon_0 = 0.

    Both are unbiased for the gradient of the smoothed loss, but for a factor :math:`1 - 1/S` of
    the one-sided. The gradient is added to ``.grad``, as ``backward()`` adds it, and any
    optimiser follows.

    Args:
        model: Any module of operations that ``torch.func.vmap`` can batch: batch norm not in
            training, ``EIRNN`` in the place of torch's own recurrent layers.
        population: Members, :math:`S`, at least 2; an even number of them if antithetic.
        sigma: Standard deviation of the perturbations, in the weights' unit; of log magnitudes,
            without a unit.
        antithetic: Whether members come in pairs.
        log_magnitudes: Whether weights of fixed sign are perturbed by a factor, :math:`w
            e^{\varepsilon}`, which cannot change a sign; a weight of exactly zero then stays
            there. Otherwise members are projected onto the signs.
        names: Of the parameters that are perturbed, as ``model.named_parameters()`` has them;
            default: all that require a gradient. The published code perturbs one at a time.
        chunk_size: Members run at once; default: all. Perturbations are kept for the whole
            population, half of it if antithetic.
        generator: Source of the perturbations, on the CPU; default: torch's global one.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If one is out of range, a name is not one of the model's, or
            ``log_magnitudes`` has no signs to keep.

    Example:
        >>> import torch
        >>> from daleml import Populations, signs
        >>> from daleml.layers import EILinear
        >>> from daleml.learning import EvolutionStrategy
        >>> from daleml.optim import enforce
        >>> model, g = EILinear(Populations(8, 2), 3), torch.Generator().manual_seed(0)
        >>> strategy = EvolutionStrategy(model, population=32, sigma=0.05, generator=g)
        >>> optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
        >>> _ = enforce(optimizer, model)
        >>> x, y = torch.rand(64, 10, generator=g), torch.zeros(64, dtype=torch.long)
        >>> def loss(model, x, y):
        ...     return torch.nn.functional.cross_entropy(model(x), y)
        >>> losses = []
        >>> for _ in range(20):
        ...     optimizer.zero_grad()
        ...     losses.append(strategy.backward(loss, x, y).loss)
        ...     _ = optimizer.step()
        >>> losses[-1] < losses[0] / 3, bool(signs.check(model))
        (True, True)

    Notes:
        Departures: antithetic pairs are the default, where the published code is one-sided,
        without a baseline; at the same population theirs is many times noisier. All members
        meet the same chance (common random numbers): the global generator, and the
        ``generator`` of every module, are set back for each, so that differences between
        members are due to the perturbations alone. No member changes the model: buffers and
        attributes that a forward pass sets are as they were. Projected members make :math:`g`
        the gradient of the smoothed, projected loss: unbiased for that, not for the loss where
        weights sit at zero. Under ``log_magnitudes`` the gradient with respect to the logarithm
        is divided by the weight, and is zero where the weight is. So is its error: of a weight
        near zero it is enormous. Optimisers that scale every gradient by its own size, as Adam
        does, learn from it; SGD throws small weights across zero, and EG puts them into its
        exponent: project for those.

    References:
        Nesterov & Spokoiny 2017 Foundations of Computational Mathematics 17:527.
        Salimans, Ho, Chen, Sidor, Sutskever 2017 arXiv:1703.03864.
        Hazelden, Liu, Shlizerman, Shea-Brown 2023 arXiv:2311.10869.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        population: int = 64,
        sigma: float = 0.1,
        antithetic: bool = True,
        log_magnitudes: bool = False,
        names: Sequence[str] | None = None,
        chunk_size: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"`model` must be a module; got {type(model).__name__}.")
        if generator is not None and not isinstance(generator, torch.Generator):
            raise TypeError(
                f"`generator` must be a torch.Generator; got {type(generator).__name__}."
            )
        self.model, self.generator = model, generator
        self.population = require.integer("population", population, minimum=2)
        self.sigma = require.positive("sigma", sigma)
        self.antithetic = require.flag("antithetic", antithetic)
        self.log_magnitudes = require.flag("log_magnitudes", log_magnitudes)
        self.chunk_size = (
            None
            if chunk_size is None
            else require.integer("chunk_size", chunk_size, minimum=1)
        )
        if antithetic and population % 2:
            raise ValueError(
                f"`population` must be even for antithetic pairs; got {population}."
            )
        self.names = _names(model, names)
        if log_magnitudes and not self._signs().keys() & set(self.names):
            raise ValueError(
                "`log_magnitudes` must be False where no perturbed parameter has fixed"
                " signs; got True."
            )
        self.n_estimates = 0

    @torch.no_grad()
    def backward(self, loss: Callable[..., Tensor], *args: Any) -> Estimate:
        """Estimate the gradient, and add it to the ``.grad`` of every perturbed parameter.

        Args:
            loss: Called as ``loss(model, *args)`` with a member in the model's place; returns a
                scalar.
            args: Handed on: inputs, targets, trials.

        Returns:
            The loss, and how far the gradient may be off.

        Raises:
            RuntimeError: If the loss of a member is NaN or infinite, or the model cannot be
                batched; no gradient is changed then.
            TypeError: If ``loss`` returns no tensor of real numbers. Whole ones will do: a
                count of errors.
            ValueError: If it returns more than one number.
        """
        if not callable(loss):
            raise TypeError(
                f"`loss` must be a function of the model; got {type(loss).__name__}."
            )
        parameters = {
            name: self.model.get_parameter(name).detach() for name in self.names
        }
        drawn = self._draw(parameters)
        losses = self._losses(loss, args, parameters, drawn)
        if not bool(losses.isfinite().all()):
            worst = int((~losses.isfinite()).nonzero()[0])
            raise RuntimeError(
                f"`loss` must be finite for every member; got {losses[worst]:g} for member"
                f" {worst}."
            )
        logs, errors = self._signs().keys() if self.log_magnitudes else set(), {}
        for name, weight in parameters.items():
            gradient, error = (
                x.to(weight.dtype) for x in self._gradient(losses, drawn[name])
            )
            if name in logs:
                gradient, error = (
                    torch.where(weight == 0, 0, x / weight) for x in (gradient, error)
                )
            errors[name] = error.abs()
            parameter = self.model.get_parameter(name)
            parameter.grad = (
                gradient if parameter.grad is None else parameter.grad + gradient
            )
        self.n_estimates += 1
        return Estimate(float(losses.mean()), losses, errors)

    def state_dict(self) -> dict[str, Any]:
        """Return what an interrupted run needs to go on with the same numbers.

        Settings, and every source of chance.

        Those are the strategy's ``generator``, torch's global one on the CPU, and the
        ``generator`` of any module.
        """
        return {
            **self._settings(),
            "n_estimates": self.n_estimates,
            "random": None if self.generator is None else self.generator.get_state(),
            "random_global": torch.get_rng_state(),
            "random_modules": [
                generator.get_state() for generator in _generators(self.model)
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where a run was interrupted; torch's global generator is set too.

        Raises:
            ValueError: If the state is of a strategy with other settings, or other sources of
                chance; nothing is changed then.
        """
        for name, value in self._settings().items():
            if state.get(name) != value:
                raise ValueError(
                    f"`state` must be of a strategy with {name} {value!r}; got"
                    f" {state.get(name)!r}."
                )
        own, others = state["random"], state["random_modules"]
        if (own is None) != (self.generator is None):
            wanted, got = (
                "torch's global one" if missing else "one of its own"
                for missing in (self.generator is None, own is None)
            )
            raise ValueError(
                f"`state` must be of a strategy with {wanted} for its generator; got {got}."
            )
        generators = _generators(self.model)
        if len(others) != len(generators):
            raise ValueError(
                f"`state` must be of a model with {len(generators)} generators of its own;"
                f" got {len(others)}."
            )
        if self.generator is not None:
            self.generator.set_state(own.cpu())
        torch.set_rng_state(state["random_global"].cpu())
        for generator, kept in zip(generators, others, strict=True):
            generator.set_state(kept.cpu())
        self.n_estimates = int(state["n_estimates"])

    def _settings(self) -> dict[str, Any]:
        names = ("population", "sigma", "antithetic", "log_magnitudes")
        return {name: getattr(self, name) for name in names} | {
            "names": list(self.names)
        }

    # -- the population
    # ------------------------------------------------------------------------------------------------

    def _draw(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Draw the independent perturbations, (pairs or members, *shape).

        An absent synapse has none.
        """
        n, drawn, present = (
            self.population // 2 if self.antithetic else self.population,
            {},
            _present(self.model),
        )
        for name, weight in parameters.items():
            noise = torch.randn(
                n, *weight.shape, generator=self.generator, dtype=weight.dtype
            ).to(weight.device)
            noise.mul_(self.sigma)
            if not self.antithetic:
                noise[0] = 0  # as published: the first member is the model itself
            there = present.get(id(self.model.get_parameter(name)))
            drawn[name] = noise if there is None else noise.masked_fill_(there == 0, 0)
        return drawn

    def _members(
        self,
        parameters: Mapping[str, Tensor],
        drawn: Mapping[str, Tensor],
        which: range,
    ) -> dict[str, Tensor]:
        fixed, members = self._signs(), {}
        for name, weight in parameters.items():
            noise = drawn[name]
            rows = torch.tensor(which, device=noise.device)
            side = torch.where(rows < len(noise), 1, -1).to(
                noise.dtype
            )  # the second of a pair is in the second half
            noise = noise[rows % len(noise)] * side.view(-1, *[1] * weight.ndim)
            if name not in fixed:
                members[name] = weight + noise
            elif self.log_magnitudes:
                members[name] = weight * noise.exp()
            else:
                members[name] = fixed[name] * (fixed[name] * (weight + noise)).clamp_(
                    min=0
                )
        return members

    def _losses(
        self,
        loss: Callable[..., Tensor],
        args: tuple[Any, ...],
        parameters: Mapping[str, Tensor],
        drawn: Mapping[str, Tensor],
    ) -> Tensor:
        objective = _Objective(self.model, loss)
        buffers = {
            f"model.{name}": buffer for name, buffer in self.model.named_buffers()
        }

        def one(members: dict[str, Tensor]) -> Tensor:
            # copies, since a member may write into its buffers
            copies = {name: buffer.clone() for name, buffer in buffers.items()}
            loss: Tensor = functional_call(objective, members | copies, args)
            return loss

        found: list[Tensor] = []
        size, generators = self.chunk_size or self.population, _generators(self.model)
        before = torch.get_rng_state(), [g.get_state() for g in generators]
        for start in range(0, self.population, size):
            torch.set_rng_state(before[0])
            for generator, state in zip(generators, before[1], strict=True):
                generator.set_state(state)
            which = range(start, min(start + size, self.population))
            members = self._members(parameters, drawn, which)
            with _left_as_it_was(self.model), _one_sentence():
                values = vmap(one, randomness="same")(
                    {f"model.{name}": member for name, member in members.items()}
                )
            if values.ndim != 1:
                raise ValueError(
                    "`loss` must return a single number; got shape"
                    f" {tuple(values.shape[1:])}."
                )
            found.append(values)
        return torch.cat(found)

    def _gradient(self, losses: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return the estimate for one parameter, and its standard error, in single precision at least."""
        variance = self.sigma**2
        if self.antithetic:
            plus, minus = losses.chunk(2)
            scores, n = (plus - minus) / (2 * variance), len(plus)
        else:
            scores, n, noise = losses[1:] / variance, len(losses) - 1, noise[1:]
        dtype = torch.promote_types(noise.dtype, torch.float32)
        scores, noise = scores.to(dtype), noise.to(dtype)
        mean = torch.tensordot(scores, noise, 1) / n
        square = torch.tensordot(scores.square(), noise.square(), 1) / n
        spread = (square - mean.square()).clamp_(min=0)
        error = (spread / (n - 1)).sqrt() if n > 1 else torch.full_like(mean, torch.nan)
        shrunk = 1.0 if self.antithetic else n / (n + 1)
        return mean * shrunk, error * shrunk

    def _signs(self) -> dict[str, Tensor]:
        """Return the signs fixed on the perturbed parameters, under whatever name they were."""
        fixed = {id(parameter): sign for _, parameter, sign in signs.named(self.model)}
        return {
            name: fixed[key]
            for name in self.names
            if (key := id(self.model.get_parameter(name))) in fixed
        }


class _Objective(nn.Module):
    """A loss of a model as one module, so that ``functional_call`` can put a member in the model's place."""

    def __init__(self, model: nn.Module, loss: Callable[..., Tensor]) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, *args: Any) -> Tensor:
        found = self.loss(self.model, *args)
        if not isinstance(found, Tensor) or found.is_complex():
            got = (
                f"a tensor of {found.dtype}"
                if isinstance(found, Tensor)
                else type(found).__name__
            )
            raise TypeError(f"`loss` must return a tensor of real numbers; got {got}.")
        return (
            found if found.is_floating_point() else found.to(torch.get_default_dtype())
        )


@contextmanager
def _left_as_it_was(model: nn.Module) -> Iterator[None]:
    """Set every module's attributes back.

    What a forward pass under ``vmap`` leaves there is of no use outside it.
    """
    registries = ("_parameters", "_buffers", "_modules")
    before = [
        (
            module,
            dict(module.__dict__),
            {kind: dict(module.__dict__[kind]) for kind in registries},
        )
        for module in model.modules()
    ]
    try:
        yield
    finally:
        for module, attributes, registered in before:
            module.__dict__.clear()
            module.__dict__.update(attributes)
            for kind, contents in registered.items():
                module.__dict__[kind].clear()
                module.__dict__[kind].update(contents)


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Say in one sentence what ``vmap`` cannot do."""
    try:
        yield
    except RuntimeError as error:
        said = str(error).strip().split("\n")[0]
        if not any(
            word in said.lower() for word in ("vmap", "batching rule", "batch norm")
        ):
            raise
        raise RuntimeError(
            "`model` must be of operations that torch.func.vmap can batch, which batch"
            f" norm in training and torch's own recurrent layers are not; it says: {said}"
        ) from error


def _generators(model: nn.Module) -> list[torch.Generator]:
    return [
        g
        for m in model.modules()
        if isinstance(g := getattr(m, "generator", None), torch.Generator)
    ]


def _names(model: nn.Module, names: Sequence[str] | None) -> tuple[str, ...]:
    known = {
        name: parameter.requires_grad for name, parameter in model.named_parameters()
    }
    if names is None:
        names = [name for name, learns in known.items() if learns]
        if not names:
            raise ValueError(
                "`model` must have a parameter that requires a gradient; it has none."
            )
    elif isinstance(names, str) or not names:
        raise ValueError(
            f"`names` must be a sequence of parameters' names; got {names!r}."
        )
    for name in names:
        if name not in known:
            raise ValueError(f"`names` must be among {', '.join(known)}; got {name!r}.")
    return tuple(names)


def _present(model: nn.Module) -> dict[int, Tensor]:
    """Return which synapses exist, by the identity of their parameter."""
    found = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            # a pruned parameter has another name than its signs
            there = module._buffers.get(name.removesuffix("_orig") + law.PRESENT)
            if parameter is not None and there is not None:
                found[id(parameter)] = there
    return found
