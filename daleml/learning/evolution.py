r"""Evolution strategies: a gradient from losses alone, for what backpropagation cannot or should not go through.

.. math:: \nabla_w\, \mathbb{E}_\varepsilon\, L(w + \varepsilon) = \mathbb{E}_\varepsilon \big[ L(w + \varepsilon)\,
    \varepsilon \big] / \sigma^2, \qquad \varepsilon \sim N(0, \sigma^2)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from daleml import _checks, law, signs


@dataclass(frozen=True)
class Estimate:
    """What one estimate of the gradient found.

    Attributes:
        loss: Mean over the population: an estimate of the smoothed loss, whose gradient it is.
        losses: Of every member, in nats or whatever the loss is in; antithetic partners stand half of it apart.
        standard_errors: Of every gradient, by the name and in the shape of its parameter: Monte-Carlo error over the
            population. NaN where there is but one independent perturbation.
    """

    loss: float
    losses: Tensor = field(repr=False)
    standard_errors: dict[str, Tensor] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON: of the errors, the root mean square for each parameter."""
        errors = {name: float(error.square().mean().sqrt()) for name, error in self.standard_errors.items()}
        return {"loss": self.loss, "losses": self.losses.tolist(), "standard_errors": errors}


class EvolutionStrategy:
    r"""Estimate the gradient of a loss from a population of perturbed models, all run in one batch.

    With antithetic pairs :math:`\pm\varepsilon_s`, and a population of :math:`S` members,

    .. math:: g = \frac{1}{S} \sum_{s=1}^{S/2} \frac{L(w + \varepsilon_s) - L(w - \varepsilon_s)}{\sigma^2}
        \varepsilon_s

    so that the even part of the loss, and with it the loss itself, adds no noise. One-sided, as published,

    .. math:: g = \frac{1}{S} \sum_{s=0}^{S-1} \frac{L(w + \varepsilon_s)}{\sigma^2} \varepsilon_s, \qquad
        \varepsilon_0 = 0.

    Both are unbiased for the gradient of the smoothed loss, but for a factor :math:`1 - 1/S` of the one-sided. The
    gradient is added to ``.grad``, as ``backward()`` adds it, and any optimiser follows.

    Args:
        model: Any module.
        population: Members, :math:`S`, at least 2; an even number of them if antithetic.
        sigma: Standard deviation of the perturbations, in the weights' unit; of log magnitudes, without a unit.
        antithetic: Whether members come in pairs.
        log_magnitudes: Whether weights of fixed sign are perturbed by a factor, :math:`w e^{\varepsilon}`, which cannot
            change a sign; a weight of exactly zero then stays there. Otherwise members are projected onto the signs.
        names: Of the parameters that are perturbed, as ``model.named_parameters()`` has them; default: all that
            require a gradient. The published code perturbs one at a time.
        chunk_size: Members in memory at once; default: all.
        generator: Source of the perturbations, on the CPU; default: torch's global one.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If one is out of range, a name is not one of the model's, or ``log_magnitudes`` has no signs to
            keep.

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
        Departures: antithetic pairs are the default, where the published code is one-sided, without a baseline; at the
        same population theirs is many times noisier. All members meet the same chance (common random numbers): the
        global generator, and the ``generator`` of every module, are set back for each, so that differences between
        members are due to the perturbations alone. Projected members make :math:`g` the gradient of the smoothed,
        projected loss: unbiased for that, not for the loss where weights sit at zero. Under ``log_magnitudes`` the
        gradient with respect to the logarithm is divided by the weight, and is zero where the weight is.

    References:
        Nesterov & Spokoiny 2017 Foundations of Computational Mathematics 17:527.
        Salimans, Ho, Chen, Sidor, Sutskever 2017 arXiv:1703.03864.
        Evolutionary training of biophysical networks, 2023, arXiv:2311.10869.
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
            raise TypeError(f"`generator` must be a torch.Generator; got {type(generator).__name__}.")
        self.model, self.generator = model, generator
        self.population = _checks.integer("population", population, minimum=2)
        self.sigma = _checks.positive("sigma", sigma)
        self.antithetic = _checks.flag("antithetic", antithetic)
        self.log_magnitudes = _checks.flag("log_magnitudes", log_magnitudes)
        self.chunk_size = None if chunk_size is None else _checks.integer("chunk_size", chunk_size, minimum=1)
        if antithetic and population % 2:
            raise ValueError(f"`population` must be even for antithetic pairs; got {population}.")
        self.names = _names(model, names)
        if log_magnitudes and not self._signs().keys() & set(self.names):
            raise ValueError("`log_magnitudes` must be False where no perturbed parameter has fixed signs; got True.")
        self.n_estimates = 0

    @torch.no_grad()
    def backward(self, loss: Callable[..., Tensor], *args: Any) -> Estimate:
        """Estimate the gradient, and add it to the ``.grad`` of every perturbed parameter.

        Args:
            loss: Called as ``loss(model, *args)`` with a member in the model's place; returns a scalar.
            args: Handed on: inputs, targets, trials.

        Returns:
            The loss, and how far the gradient may be off.

        Raises:
            RuntimeError: If the loss of a member is NaN or infinite; no gradient is changed then.
            ValueError: If ``loss`` returns more than one number.
        """
        parameters = {name: self.model.get_parameter(name).detach() for name in self.names}
        drawn = self._draw(parameters)
        losses = self._losses(loss, args, parameters, drawn)
        if not bool(losses.isfinite().all()):
            worst = int((~losses.isfinite()).nonzero()[0])
            raise RuntimeError(f"`loss` must be finite for every member; got {losses[worst]:g} for member {worst}.")
        logs, errors = self._signs().keys() if self.log_magnitudes else set(), {}
        for name, weight in parameters.items():
            gradient, error = self._gradient(losses.to(weight.dtype), drawn[name])
            if name in logs:
                gradient, error = (torch.where(weight == 0, 0, x / weight) for x in (gradient, error))
            errors[name] = error.abs()
            parameter = self.model.get_parameter(name)
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        self.n_estimates += 1
        return Estimate(float(losses.mean()), losses, errors)

    def state_dict(self) -> dict[str, Any]:
        """Return what an interrupted run needs to go on with the same numbers: settings, and the source of chance."""
        source = torch.get_rng_state() if self.generator is None else self.generator.get_state()
        return {**self._settings(), "n_estimates": self.n_estimates, "random": source}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where a run was interrupted; without a ``generator``, torch's global one is set.

        Raises:
            ValueError: If the state is of a strategy with other settings; nothing is changed then.
        """
        for name, value in self._settings().items():
            if state.get(name) != value:
                raise ValueError(f"`state` must be of a strategy with {name} {value!r}; got {state.get(name)!r}.")
        if self.generator is None:
            torch.set_rng_state(state["random"].cpu())
        else:
            self.generator.set_state(state["random"].cpu())
        self.n_estimates = int(state["n_estimates"])

    def _settings(self) -> dict[str, Any]:
        names = ("population", "sigma", "antithetic", "log_magnitudes")
        return {name: getattr(self, name) for name in names} | {"names": list(self.names)}

    # -- the population ------------------------------------------------------------------------------------------------

    def _draw(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Draw the independent perturbations, (pairs or members, *shape); an absent synapse has none."""
        n, drawn = self.population // 2 if self.antithetic else self.population, {}
        for name, weight in parameters.items():
            noise = torch.randn(n, *weight.shape, generator=self.generator, dtype=weight.dtype).to(weight.device)
            noise.mul_(self.sigma)
            if not self.antithetic:
                noise[0] = 0  # as published: the first member is the model itself
            present = _present(self.model, name)
            drawn[name] = noise if present is None else noise.masked_fill_(~present, 0)
        return drawn

    def _members(
        self, parameters: Mapping[str, Tensor], drawn: Mapping[str, Tensor], which: slice
    ) -> dict[str, Tensor]:
        fixed, members = self._signs(), {}
        for name, weight in parameters.items():
            noise = drawn[name]
            noise = torch.cat([noise, -noise])[which] if self.antithetic else noise[which]
            if name not in fixed:
                members[name] = weight + noise
            elif self.log_magnitudes:
                members[name] = weight * noise.exp()
            else:
                members[name] = fixed[name] * (fixed[name] * (weight + noise)).clamp_(min=0)
        return members

    def _losses(
        self,
        loss: Callable[..., Tensor],
        args: tuple[Any, ...],
        parameters: Mapping[str, Tensor],
        drawn: Mapping[str, Tensor],
    ) -> Tensor:
        objective = _Objective(self.model, loss)

        def one(members: dict[str, Tensor]) -> Tensor:
            return functional_call(objective, members, args)  # type: ignore[no-any-return]

        found: list[Tensor] = []
        size = self.chunk_size or self.population
        generators = [
            g for m in self.model.modules() if isinstance(g := getattr(m, "generator", None), torch.Generator)
        ]
        before = torch.get_rng_state(), [g.get_state() for g in generators]
        for start in range(0, self.population, size):
            torch.set_rng_state(before[0])
            for generator, state in zip(generators, before[1], strict=True):
                generator.set_state(state)
            members = self._members(parameters, drawn, slice(start, start + size))
            values = vmap(one, randomness="same")({f"model.{name}": member for name, member in members.items()})
            if values.ndim != 1:
                raise ValueError(f"`loss` must return a single number; got shape {tuple(values.shape[1:])}.")
            found.append(values)
        return torch.cat(found)

    def _gradient(self, losses: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return the estimate for one parameter, and its standard error."""
        variance = self.sigma**2
        if self.antithetic:
            plus, minus = losses.chunk(2)
            scores, n = (plus - minus) / (2 * variance), len(plus)
        else:
            scores, n, noise = losses[1:] / variance, len(losses) - 1, noise[1:]
        mean = torch.tensordot(scores, noise, 1) / n
        square = torch.tensordot(scores.square(), noise.square(), 1) / n
        spread = (square - mean.square()).clamp_(min=0)
        error = (spread / (n - 1)).sqrt() if n > 1 else torch.full_like(mean, torch.nan)
        shrunk = 1.0 if self.antithetic else n / (n + 1)
        return mean * shrunk, error * shrunk

    def _signs(self) -> dict[str, Tensor]:
        return {name: sign for name, _, sign in signs.named(self.model)}


class _Objective(nn.Module):
    """A loss of a model as one module, so that ``functional_call`` can put a member in the model's place."""

    def __init__(self, model: nn.Module, loss: Callable[..., Tensor]) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, *args: Any) -> Tensor:
        return self.loss(self.model, *args)


def _names(model: nn.Module, names: Sequence[str] | None) -> tuple[str, ...]:
    known = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    if names is None:
        names = [name for name, learns in known.items() if learns]
        if not names:
            raise ValueError("`model` must have a parameter that requires a gradient; it has none.")
    elif isinstance(names, str) or not names:
        raise ValueError(f"`names` must be a sequence of parameters' names; got {names!r}.")
    for name in names:
        if name not in known:
            raise ValueError(f"`names` must be among {', '.join(known)}; got {name!r}.")
    return tuple(names)


def _present(model: nn.Module, name: str) -> Tensor | None:
    path, _, leaf = name.rpartition(".")
    return model.get_submodule(path)._buffers.get(leaf + law.PRESENT)
