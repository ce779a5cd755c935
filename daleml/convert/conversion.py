"""An ordinary torch model made lawful, with a report of what became of every parameter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from daleml import law, modules, require, signs
from daleml.convert import calibration
from daleml.convert.conversion_report import (
    EXEMPT,
    LAWFUL,
    NOT_LAWFUL,
    DalifyReport,
    Kind,
    Note,
    Verdict,
)
from daleml.convert.example_inputs import Example, guess_example
from daleml.convert.tracing import Trace, trace
from daleml.convert.unit_signs import Units, fixed_inputs, is_convertible
from daleml.layers import init
from daleml.modules import SynapticWeight
from daleml.populations import Populations

__all__ = ["Dalified", "DalifyReport", "Verdict", "dalify"]


class Dalified(NamedTuple):
    """A lawful model, and the report of how it became so."""

    model: nn.Module
    report: DalifyReport

    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        """Refuse to be called like the model, which is one half of the pair.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            "`dalify` returns the pair `(model, report)`; call its `model`: `model, report"
            " = dalify(net)`."
        )

    def __getattr__(self, name: str) -> NoReturn:
        hint = ""
        if hasattr(nn.Module, name) and not name.startswith("_"):
            hint = (
                " `dalify` returns the pair `(model, report)`: unpack it, `model, report ="
                " dalify(net)`."
            )
        raise AttributeError(f"'Dalified' object has no attribute {name!r}.{hint}")


def dalify(
    model: nn.Module,
    inhibitory: float = 0.2,
    *,
    inputs: float | None = 0.0,
    example: Tensor | Sequence[object] | None = None,
    exempt: Sequence[str] = (),
    draw: init.Draw = init.exponential_,
    generator: torch.Generator | None = None,
) -> Dalified:
    """Make an ordinary torch model obey Dale's law, in place, and report on every parameter.

    Every weight of ``Linear``, convolutions, ``RNN``, ``GRU``, ``LSTM``, their cells and
    subclasses gets one sign per presynaptic unit, and is drawn anew so that the variance of its
    pre-activations is what it was: each output unit of each layer is excitatory or inhibitory,
    and has that sign wherever it is read. Which units a weight reads, through pooling,
    flattening, concatenation and residual connections, is found by sending the units' signs
    through the model. Layers of daleml, and yours that satisfy
    :class:`daleml.modules.DaleLayer`, stay as they are: their units have the signs that the
    layer says, and the units they read those that are fixed there. What keeps the law from then
    on is the optimiser: ``EG``, or any other under ``optim.enforce``.

    Args:
        model: Any module. It is changed; copy it first to keep the original.
        inhibitory: Fraction of every layer's units that inhibit.
        inputs: Fraction of the model's own input units, and of embeddings, that inhibit; None
            if they have no sign, so that weights that read them are exempt.
        example: Input to run the model on, a tensor or the sequence of its arguments, of the
            kind it will see; default: Gaussian noise, of a shape guessed from the first layer.
        exempt: Names of modules or parameters to leave as they are, by ``fnmatch`` patterns:
            ``("head.*",)``.
        draw: Distribution of the magnitudes.
        generator: Source of randomness for the weights; default: torch's global one.

    Returns:
        ``(model, report)``. ``print(report)`` shows a line for each parameter; ``bool(report)``
        is false if any could not be made lawful.

    Raises:
        TypeError: If ``model`` is not a module.
        ValueError: If it is dalified already, has no weight to fix, a layer has no shape before
            its first forward pass or only some methods of the protocol, or a fraction is
            outside [0, 1]. Nothing is changed then.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from daleml import dalify, signs
        >>> net = nn.Sequential(nn.Conv2d(3, 10, 3), nn.ReLU(), nn.Flatten(), nn.Linear(360, 5))
        >>> net, report = dalify(net, example=torch.rand(8, 3, 8, 8))
        >>> print(signs.check(net))
        Dale's law holds: 2 parameters, 363 units, 2,070 synapses.
        >>> bool(report)
        True

    Notes:
        The variance is matched on the example, in the model's own mode, layer by layer in the
        order they run. So is each unit's mean, by the balance of its excitation and inhibition
        and, where there is one, its bias. On inputs of another kind or size the ratio differs:
        kernels whose taps have one sign respond more to smooth images than the signed ones they
        replace. So give an example that is like the data. Gains of normalisations are fixed
        non- negative; the mean they subtract is inhibition that is no synapse. Biases and
        embeddings are exempt. Weights below inputs that can be negative (standardised pixels,
        tanh) are lawful, but the sign of a synapse means little for a negative rate: the report
        names them.

    References:
        Song, Yang & Wang 2016 and Cornford et al. 2021 (ICLR), for column EI. The conversion is
        ours.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` must be a module; got {type(model).__name__}.")
    require.fraction("inhibitory", inhibitory)
    if inputs is not None:
        require.fraction("inputs", inputs)
    modules.require_shapes(model)
    _refuse_twice(model)
    for path, module in model.named_modules():
        if modules.speaks(module):
            modules.synaptic_weights(module, path)
            modules.output_signs(module, path)
    given = _example(example)
    _require_exempt(model, exempt)
    return _Conversion(
        model, inhibitory, inputs, given, tuple(exempt), draw, generator
    ).run()


def _example(example: Tensor | Sequence[object] | None) -> tuple[object, ...] | None:
    """Return the arguments of a call of the model; None if none are given."""
    if example is None:
        return None
    if isinstance(example, Tensor):
        return (example,)
    if not isinstance(example, (tuple, list)):
        raise TypeError(
            "`example` must be a tensor, or a tuple of the model's arguments; got"
            f" {type(example).__name__}: write `torch.as_tensor(example)`."
        )
    return tuple(example)


def _require_exempt(model: nn.Module, exempt: Sequence[str]) -> None:
    """Raise if a name to leave as it is names nothing.

    The weight it was meant for would be changed.
    """
    if isinstance(exempt, str):
        raise TypeError(
            f"`exempt` must be a sequence of names; got {exempt!r}: write `[{exempt!r}]`."
        )
    names = [name for name, _ in model.named_modules(remove_duplicate=False)]
    names += [name for name, _ in model.named_parameters(remove_duplicate=False)]
    for path, module in model.named_modules(
        remove_duplicate=False
    ):  # under the names that a report gives them
        names += [
            f"{path}.{one.name}".lstrip(".")
            for one in modules.synaptic_weights(module, path)
        ]
    for pattern in exempt:
        if not any(_matches(name, pattern) for name in names):
            raise ValueError(
                f"`exempt` must name modules or parameters of `model`; got {pattern!r},"
                " which names none."
            )


def _matches(name: str, pattern: str) -> bool:
    from fnmatch import fnmatchcase

    return fnmatchcase(name, pattern) or name.startswith(f"{pattern}.")


def _refuse_twice(model: nn.Module) -> None:
    convertible = [
        (f"{path}.{one.name}".lstrip("."), module, one.name)
        for path, module in model.named_modules()
        if is_convertible(module)
        for one in modules.synaptic_weights(module)
    ]
    if not convertible:
        raise ValueError(
            f"`model` must have a layer with weights to fix; got {type(model).__name__}"
            " without one."
        )
    fixed = {id(parameter) for _, parameter, _ in signs.named(model)}
    again = [
        name
        for name, module, weight in convertible
        if id(getattr(module, weight)) in fixed or hasattr(module, weight + law.SUFFIX)
    ]
    if again:
        raise ValueError(
            f"`model` must not be dalified twice; got {type(model).__name__}, "
            f"where the signs of `{again[0]}` are fixed already."
        )


class _Conversion:
    """One call of ``dalify``: look, then change, then say."""

    def __init__(
        self,
        model: nn.Module,
        inhibitory: float,
        inputs: float | None,
        example: Example | None,
        exempt: tuple[str, ...],
        draw: init.Draw,
        generator: torch.Generator | None,
    ) -> None:
        self.model, self.inhibitory, self.inputs, self.exempt = (
            model,
            inhibitory,
            inputs,
            exempt,
        )
        self.draw, self.generator = draw, generator
        self.notes: list[Note] = []
        self.guessed = example is None
        self.example = guess_example(model) if example is None else example
        self.verdicts: dict[str, Verdict] = {}

    def run(self) -> Dalified:
        traced, targets = self._look()
        redrawn = self._fix(traced)
        self._judge_fixed(traced)
        self._fix_norms()
        drives = {}
        if self.example is not None:
            for _ in range(
                2
            ):  # what a projection scales, recurrent weights of its layer read
                drives = calibration.calibrate_(
                    self.model, self.example, targets, redrawn
                )
        for path, one in redrawn:
            name = f"{path}.{one}".lstrip(".")
            after, before = drives.get((path, one)), targets.get((path, one))
            if after and before:
                old = self.verdicts[name]
                self.verdicts[name] = Verdict(
                    name, old.kind, old.why, after.variance, before.variance
                )
        self._name_the_rest()
        self._name_what_is_no_parameter()
        order = [
            name
            for name, _ in self.model.named_parameters(remove_duplicate=False)
            if name in self.verdicts
        ]
        return Dalified(
            self.model,
            DalifyReport(
                tuple(self.verdicts[name] for name in order), tuple(self.notes)
            ),
        )

    def _remark(self, said: str, *, unlawful: bool = False) -> None:
        self.notes.append(Note(said, unlawful))

    def _look(self) -> tuple[Trace | None, dict[calibration.Key, calibration.Drive]]:
        """Run the example before anything is changed."""
        if self.example is None:
            self._remark(
                "no input that the model takes could be guessed, so what lies between its"
                " layers was not looked at, units were told apart by the width of what"
                " reads them, and variances were matched by the weights'"
            )
            return None, {}
        if self.guessed:
            shapes = ", ".join(str(tuple(part.shape)) for part in self.example)
            self._remark(
                f"variances were matched on random input of shape {shapes}: better give an"
                " example of the data"
            )
        traced = trace(self.model, self.example, self.inhibitory, self.inputs)
        self.notes += traced.findings
        signed = [
            name or "the model itself"
            for name in traced.order
            if name in traced.signed_rates
        ]
        if signed:
            self._remark(
                f"on the example {', '.join(signed)} read negative rates, whose sign is not"
                " the unit's"
            )
        return traced, calibration.measure(self.model, self.example)

    def _fix(self, traced: Trace | None) -> set[calibration.Key]:
        """Fix signs and draw weights; return what was drawn."""
        redrawn: set[calibration.Key] = set()
        owners = self._shared()
        for path, module, one in self._weights():
            name = f"{path}.{one.name}".lstrip(".")
            found, kind, why = self._signs(traced, path, module, one)
            if self._is_exempt(name):
                self.verdicts[name] = Verdict(name, EXEMPT, "left as it is, as asked")
            elif found is None:
                self.verdicts[name] = Verdict(name, kind, why)
            elif len(owners[id(getattr(module, one.name))]) > 1:
                others = ", ".join(
                    other
                    for other in owners[id(getattr(module, one.name))]
                    if other != name
                )
                self.verdicts[name] = Verdict(
                    name, NOT_LAWFUL, f"is the same parameter as {others}"
                )
            else:
                rms = float(
                    getattr(module, one.name).detach().double().square().mean().sqrt()
                )
                signs.fix(module, one.name, found)
                calibration.redraw_(module, one.name, self.draw, self.generator)
                with torch.no_grad():
                    weight = getattr(module, one.name)
                    weight *= rms / float(weight.double().square().mean().sqrt())
                self.verdicts[name] = Verdict(name, LAWFUL, why)
                redrawn.add((path, one.name))
        return redrawn

    def _weights(self) -> Iterator[tuple[str, nn.Module, SynapticWeight]]:
        for path, module in self.model.named_modules():
            if is_convertible(module):
                known = modules.synaptic_weights(module)
                yield from (
                    (path, module, one)
                    for one in known
                    if one.name in module._parameters
                )

    def _shared(self) -> dict[int, list[str]]:
        """Return the names of every parameter, one a module that has it."""
        owners: dict[int, list[str]] = {}
        for path, module in self.model.named_modules():
            for own, parameter in module.named_parameters(
                recurse=False, remove_duplicate=False
            ):
                owners.setdefault(id(parameter), []).append(f"{path}.{own}".lstrip("."))
        return owners

    def _signs(
        self, traced: Trace | None, path: str, module: nn.Module, one: SynapticWeight
    ) -> tuple[Tensor | None, Kind, str]:
        """Return the signs of the units that a weight reads, or None; what that makes of it.

        And the reason.
        """
        if one.reads != "input":
            units = (
                Units(self.inhibitory, self.inputs) if traced is None else traced.units
            )
            found = units.own(path, module, one)
            of = {
                "state": "its own state",
                "cells": "its own cells",
                "below": "the layer below",
            }[one.reads]
            return found, LAWFUL, _describe(found, of)
        if traced is None:
            found = Populations.split(modules.n_inputs(module), self.inhibitory).signs()
            return found, LAWFUL, _describe(found, "a layer of this width")
        if path not in traced.signs:
            return (
                None,
                NOT_LAWFUL,
                "did not run on the example, or not on a tensor given by position",
            )
        found = traced.signs[path]
        if path in traced.inconsistent:
            return None, NOT_LAWFUL, "reads units of other signs at another call"
        if (found == 0).any():
            mixed = int((found == 0).sum())
            return (
                None,
                NOT_LAWFUL,
                f"reads {mixed} inputs that mix excitatory and inhibitory units",
            )
        if found.isnan().all():
            return None, EXEMPT, "reads units that have no sign"
        if found.isnan().any():
            return (
                None,
                NOT_LAWFUL,
                f"reads {int(found.isnan().sum())} inputs that no unit reaches",
            )
        return found, LAWFUL, _describe(found, "")

    def _judge_fixed(self, traced: Trace | None) -> None:
        """Judge the layers that fix their signs themselves by the units they read."""
        for path, weight, fixed in fixed_inputs(self.model):
            found = None if traced is None else traced.signs.get(path)
            if found is None or found.shape != fixed.shape:
                continue
            other = int(
                ((found == 0) & ~fixed.isnan()).sum() + (found * fixed < 0).sum()
            )
            name = f"{path}.{weight}".lstrip(".")
            if other and not self._is_exempt(name):
                why = (
                    f"reads {other} units of another sign than is fixed for them, or of"
                    " both"
                )
                self.verdicts[name] = Verdict(name, NOT_LAWFUL, why)

    def _is_exempt(self, name: str) -> bool:
        return any(_matches(name, pattern) for pattern in self.exempt)

    def _fix_norms(self) -> None:
        for path, module in self.model.named_modules():
            gain = getattr(module, "weight", None)
            name = f"{path}.weight".lstrip(".")
            if (
                not modules.is_norm(module)
                or not isinstance(gain, nn.Parameter)
                or self._is_exempt(name)
            ):
                continue
            with torch.no_grad():
                # what reads the unit is drawn anew, so nothing is lost; projected, the unit
                # would be
                gain.abs_()
            signs.fix(module, "weight", torch.ones(gain.shape[0]), dim=0, role="gain")
            why = (
                "gain of a normalisation, non-negative; the mean it subtracts is inhibition"
                " that is no synapse"
            )
            if not gain.any():
                self._remark(
                    f"`{name}` is all zero: exponentiated gradient leaves it there,"
                    " projection does not"
                )
            self.verdicts[name] = Verdict(name, LAWFUL, why)

    def _name_the_rest(self) -> None:
        """Leave no parameter without a verdict."""
        fixed = {name for name, _, _ in signs.named(self.model)}
        declared = {name for name, _, _ in signs.declared(self.model)}
        for path, module in self.model.named_modules():
            for own, parameter in module.named_parameters(recurse=False):
                name = f"{path}.{own}".lstrip(".")
                if name in self.verdicts:
                    continue
                if (
                    name in fixed
                    or _computes(path) in fixed
                    or (name in declared and parameter.ndim < 2)
                ):
                    verdict = Verdict(name, LAWFUL, "already")
                elif self._is_exempt(name):
                    verdict = Verdict(name, EXEMPT, "left as it is, as asked")
                elif modules.is_table(module):
                    verdict = Verdict(name, EXEMPT, "a table of inputs, no synapses")
                elif parameter.ndim < 2:
                    verdict = Verdict(
                        name,
                        EXEMPT,
                        "a bias, or another vector, which has no sign to keep",
                    )
                else:
                    verdict = Verdict(name, NOT_LAWFUL, _why_unlawful(module, own))
                self.verdicts[name] = verdict

    def _name_what_is_no_parameter(self) -> None:
        """Name the modules that keep weights otherwise than as parameters, as quantised ones do."""
        for path, kept in modules.kept_otherwise(self.model):
            self._remark(
                f"`{path}` keeps {', '.join(kept)} otherwise than as parameters, as"
                " quantised modules do, which cannot be judged: not lawful",
                unlawful=True,
            )


def _computes(path: str) -> str | None:
    """Return the name of the weight that a module of ``torch.nn.utils.parametrize`` computes.

    None if it is none.
    """
    owner, found, rest = path.rpartition("parametrizations.")
    return owner + rest.partition(".")[0] if found else None


def _why_unlawful(module: nn.Module, parameter: str) -> str:
    plain = modules.plain_name(module, parameter)
    if modules.speaks(module) and plain in modules.accounted(module):
        return (
            f"a weight of {type(module).__name__}, which has not fixed its signs: call"
            " `signs.fix` in it"
        )
    computed = isinstance(module, ParametrizationList)
    if is_convertible(module):  # one of its weights is pruned, or normalised by a hook
        computed = any(
            one.name not in module._parameters
            for one in modules.synaptic_weights(module)
        )
    if computed:
        return "a weight is computed from it, whose signs are not its own"
    return f"a weight of {type(module).__name__}, which is not known"


def _describe(found: Tensor, of: str) -> str:
    n_exc, n_inh = int((found > 0).sum()), int((found < 0).sum())
    units = f"reads {n_exc} excitatory and {n_inh} inhibitory units"
    return f"{units} of {of}" if of else units
