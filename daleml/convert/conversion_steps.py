"""The steps of a conversion: look at the model, fix its signs, calibrate it, and report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import nn

from daleml import modules, signs
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
from daleml.convert.sign_decisions import computed_weight, decide_signs, why_unlawful
from daleml.convert.tracing import Trace, trace
from daleml.convert.unit_signs import fixed_inputs, is_convertible
from daleml.layers import init
from daleml.modules import SynapticWeight

_NOT_LOOKED_AT = (
    "no input that the model takes could be guessed, so what lies between its layers was"
    " not looked at, units were told apart by the width of what reads them, and variances"
    " were matched by the weights'"
)
_GAIN = (
    "gain of a normalisation, non-negative; the mean it subtracts is inhibition that is no"
    " synapse"
)


@dataclass(frozen=True)
class Request:
    """What ``dalify`` was asked for, besides the model.

    Attributes:
        inhibitory: Fraction of every layer's units that inhibit.
        inputs: The same of the model's inputs and of embeddings; None if they have no sign.
        example: The arguments of a call of the model; None to guess them.
        exempt: Patterns of names to leave as they are.
        draw: Distribution of the magnitudes.
        generator: Source of randomness for the weights.
    """

    inhibitory: float
    inputs: float | None
    example: Example | None
    exempt: tuple[str, ...]
    draw: init.Draw
    generator: torch.Generator | None


def matches(name: str, pattern: str) -> bool:
    """Whether a pattern names a parameter or a module, or a module around it."""
    return fnmatchcase(name, pattern) or name.startswith(f"{pattern}.")


def full_name(path: str, own: str) -> str:
    """Return the name in the model of what a module calls ``own``."""
    return f"{path}.{own}".lstrip(".")


class Conversion:
    """One call of ``dalify``."""

    def __init__(self, model: nn.Module, request: Request) -> None:
        self.model = model
        self.request = request
        self.notes: list[Note] = []
        self.verdicts: dict[str, Verdict] = {}
        self.example = request.example
        if self.example is None:
            self.example = guess_example(model)

    def run(self) -> DalifyReport:
        """Change the model, and report on every parameter."""
        traced, targets = self._look()
        redrawn = self._fix(traced)
        self._judge_fixed(traced)
        self._fix_norms()
        self._calibrate(redrawn, targets)
        self._name_the_rest()
        self._name_what_is_no_parameter()
        ordered = []
        for name, _ in self.model.named_parameters(remove_duplicate=False):
            if name in self.verdicts:
                ordered.append(self.verdicts[name])
        return DalifyReport(tuple(ordered), tuple(self.notes))

    def _look(
        self,
    ) -> tuple[Trace | None, dict[calibration.WeightKey, calibration.Drive]]:
        """Run the example before anything is changed."""
        if self.example is None:
            self._remark(_NOT_LOOKED_AT)
            return None, {}
        if self.request.example is None:
            shapes = ", ".join(str(tuple(part.shape)) for part in self.example)
            self._remark(
                f"variances were matched on random input of shape {shapes}: better give an"
                " example of the data"
            )
        fractions = self.request.inhibitory, self.request.inputs
        traced = trace(self.model, self.example, *fractions)
        self.notes += traced.findings
        negative = [name for name in traced.order if name in traced.signed_rates]
        if negative:
            named = ", ".join(name or "the model itself" for name in negative)
            self._remark(
                f"on the example {named} read negative rates, whose sign is not the unit's"
            )
        return traced, calibration.measure(self.model, self.example)

    def _fix(self, traced: Trace | None) -> set[calibration.WeightKey]:
        """Fix signs and draw weights; return what was drawn."""
        redrawn: set[calibration.WeightKey] = set()
        names_of = self._names_of_parameters()
        fractions = self.request.inhibitory, self.request.inputs
        for path, module, spec in self._weights():
            name = full_name(path, spec.name)
            decision = decide_signs(traced, path, module, spec, fractions)
            others = list(names_of[id(getattr(module, spec.name))])
            others.remove(name)
            if self._is_exempt(name):
                self._judge(name, EXEMPT, "left as it is, as asked")
            elif decision.unit_signs is None:
                self._judge(name, decision.kind, decision.why)
            elif others:
                why = f"is the same parameter as {', '.join(others)}"
                self._judge(name, NOT_LAWFUL, why)
            else:
                weight = getattr(module, spec.name)
                # Kept for where no example runs: calibration scales anew.
                rms = _root_mean_square(weight)
                # Fixed first, since the draw reads the signs.
                signs.fix(module, spec.name, decision.unit_signs)
                draw, generator = self.request.draw, self.request.generator
                calibration.redraw_(module, spec.name, draw, generator)
                with torch.no_grad():
                    weight = getattr(module, spec.name)
                    weight *= rms / _root_mean_square(weight)
                self._judge(name, LAWFUL, decision.why)
                redrawn.add((path, spec.name))
        return redrawn

    def _weights(self) -> Iterator[tuple[str, nn.Module, SynapticWeight]]:
        for path, module in self.model.named_modules():
            if not is_convertible(module):
                continue
            for spec in modules.synaptic_weights(module):
                if spec.name in module._parameters:
                    yield path, module, spec

    def _names_of_parameters(self) -> dict[int, list[str]]:
        """Return the names of every parameter: several, where modules share it."""
        names: dict[int, list[str]] = {}
        for path, module in self.model.named_modules():
            own = module.named_parameters(recurse=False, remove_duplicate=False)
            for name, parameter in own:
                names.setdefault(id(parameter), []).append(full_name(path, name))
        return names

    def _judge_fixed(self, traced: Trace | None) -> None:
        """Judge the layers that fix their signs themselves by the units that they read."""
        if traced is None:
            return
        for path, weight, fixed in fixed_inputs(self.model):
            found = traced.signs.get(path)
            if found is None or found.shape != fixed.shape:
                continue
            # An entry that mixes both signs agrees with none.
            n_mixed = int(((found == 0) & ~fixed.isnan()).sum())
            n_wrong = n_mixed + int((found * fixed < 0).sum())
            name = full_name(path, weight)
            if n_wrong and not self._is_exempt(name):
                self._judge(
                    name,
                    NOT_LAWFUL,
                    f"reads {n_wrong} units of another sign than is fixed for them, or of"
                    " both",
                )

    def _fix_norms(self) -> None:
        """Fix the gains of normalisations to be non-negative."""
        for path, module in self.model.named_modules():
            gain = getattr(module, "weight", None)
            name = full_name(path, "weight")
            if not modules.is_norm(module) or not isinstance(gain, nn.Parameter):
                continue
            if self._is_exempt(name):
                continue
            with torch.no_grad():
                # What reads the unit is drawn anew, so the size of a negative gain may stay;
                # a projection would set it to zero, and the unit would be lost.
                gain.abs_()
            signs.fix(module, "weight", torch.ones(gain.shape[0]), dim=0, role="gain")
            if not gain.any():
                self._remark(
                    f"`{name}` is all zero: exponentiated gradient leaves it there,"
                    " projection does not"
                )
            self._judge(name, LAWFUL, _GAIN)

    def _calibrate(
        self,
        redrawn: set[calibration.WeightKey],
        targets: dict[calibration.WeightKey, calibration.Drive],
    ) -> None:
        """Match pre-activations with those of the original, and note both variances."""
        if self.example is None:
            return
        # Twice, since the recurrent weights of an LSTM read what its projection scales.
        for _ in range(2):
            drives = calibration.calibrate_(self.model, self.example, targets, redrawn)
        for key in redrawn & drives.keys() & targets.keys():
            name = full_name(*key)
            found = self.verdicts[name]
            self.verdicts[name] = Verdict(
                name, found.kind, found.why, drives[key].variance, targets[key].variance
            )

    def _name_the_rest(self) -> None:
        """Leave no parameter without a verdict."""
        fixed = {name for name, _, _ in signs.named(self.model)}
        declared = {name for name, _, _ in signs.declared(self.model)}
        for path, module in self.model.named_modules():
            for own, parameter in module.named_parameters(recurse=False):
                name = full_name(path, own)
                if name in self.verdicts:
                    continue
                is_vector = parameter.ndim < 2
                if (
                    name in fixed
                    or computed_weight(path) in fixed
                    or (name in declared and is_vector)
                ):
                    self._judge(name, LAWFUL, "already")
                elif self._is_exempt(name):
                    self._judge(name, EXEMPT, "left as it is, as asked")
                elif modules.is_table(module):
                    self._judge(name, EXEMPT, "a table of inputs, no synapses")
                elif is_vector:
                    why = "a bias, or another vector, which has no sign to keep"
                    self._judge(name, EXEMPT, why)
                else:
                    self._judge(name, NOT_LAWFUL, why_unlawful(module, own))

    def _name_what_is_no_parameter(self) -> None:
        """Name the modules whose weights are no parameters, as those of quantised ones."""
        for path, kept in modules.kept_otherwise(self.model):
            self._remark(
                f"`{path}` keeps {', '.join(kept)} otherwise than as parameters, as"
                " quantised modules do, which cannot be judged: not lawful",
                unlawful=True,
            )

    def _is_exempt(self, name: str) -> bool:
        return any(matches(name, pattern) for pattern in self.request.exempt)

    def _judge(self, name: str, kind: Kind, why: str) -> None:
        self.verdicts[name] = Verdict(name, kind, why)

    def _remark(self, text: str, *, unlawful: bool = False) -> None:
        self.notes.append(Note(text, unlawful))


def _root_mean_square(weight: torch.Tensor) -> float:
    return float(weight.detach().to("cpu", torch.float64).square().mean().sqrt())
