"""The tasks of NeuroGym, made of its environments."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from daleml.tasks.task import ClassificationTask
from daleml.tasks.trials import Period, Trials

_N_PROBES = 32
"""The trials that are drawn to see how long they are, and which periods they share."""


def from_neurogym(
    environment: Any, *, fixate: bool = True, **settings: Any
) -> NeurogymTask:
    """Make a task of a NeuroGym environment.

    Args:
        environment: Name of a registered environment, such as ``"DelayMatchSample-v0"``, or an
            environment.
        fixate: Whether the loss counts the steps at which the right answer is to fixate.
        settings: Passed on to ``neurogym.make``, if ``environment`` is a name: ``dt``,
            ``timing``, ...

    Returns:
        A :class:`NeurogymTask`.

    Raises:
        ImportError: If ``environment`` is a name and neurogym is not installed.
        TypeError: If ``environment`` is something else, or there are ``settings`` for an
            environment already made.
        ValueError: If it has no right answers, they are not classes, or ``fixate`` is False and
            it calls none of them "fixation".

    Example:
        >>> timing = {"fixation": 0, "sample": 100, "delay": 500, "test": 100, "decision": 100}
        >>> task = from_neurogym("DelayMatchSample-v0", dt=100, timing=timing)  # doctest: +SKIP
        >>> print(task.sample(32))  # doctest: +SKIP
        32 trials of 8 steps, 800 ms: 3 inputs, 3 outputs

    References:
        Molano-Mazon et al. 2022, NeuroGym: An open resource for developing and sharing
        neuroscience tasks.
    """
    if isinstance(environment, str):
        environment = _make(environment, settings)
    elif settings:
        names = ", ".join(settings)
        raise TypeError(
            f"`settings` must be left out for an environment already made; got {names}."
        )
    if not callable(getattr(_inner(environment), "new_trial", None)):
        raise TypeError(
            "`environment` must be a name or a NeuroGym environment; got"
            f" {type(environment).__name__}."
        )
    inner = _inner(environment)
    if not hasattr(inner.action_space, "n"):
        kind = type(inner.action_space).__name__
        raise ValueError(
            f"`environment` must have a discrete action space; got {kind}."
        )
    return NeurogymTask(environment, fixate=fixate, dt_ms=float(inner.dt))


@dataclass(frozen=True, eq=False)
class NeurogymTask(ClassificationTask):
    """Trials of a NeuroGym environment, aligned at their starts; made by :func:`from_neurogym`.

    The environment is seeded from the generator before every sample. Trials shorter than the
    longest of their batch are padded with steps that do not count.

    Args:
        environment: The environment; sampling seeds it, and leaves it in its last trial.
        fixate: Whether the loss counts the steps at which the right answer is to fixate.
        dt_ms: Duration of a step, the environment's own.

    Raises:
        TypeError: If ``fixate`` is not a bool.
        ValueError: If ``fixate`` is False, but no class is called "fixation"; or if the
            environment has no right answers, as those for reinforcement learning alone.

    Example:
        >>> task = from_neurogym("PerceptualDecisionMaking-v0")  # doctest: +SKIP
        >>> isinstance(task, NeurogymTask)  # doctest: +SKIP
        True

    Notes:
        Inputs are what the environment shows, below 0 too. The score counts the steps at which
        fixating is wrong, so in a go/no-go task it says nothing of no-go trials. Wrappers that
        change ``new_trial`` are obeyed, those that change ``step`` only are not, as no step is
        taken; those that remember earlier trials, as blocks do, make a sample depend on what
        was sampled before. A condition is what the environment's ``trial`` calls by a name and
        gives a number.
    """

    environment: Any = field(repr=False)
    fixate: bool = field(default=True, kw_only=True)

    _probe: Trials = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.fixate, bool):
            raise TypeError(f"`fixate` must be True or False; got {self.fixate!r}.")
        if not self.fixate and self.fixation is None:
            raise ValueError(
                "`fixate` must be True where no class is called fixation; got False."
            )
        _outer(self.environment).new_trial()
        for name in ("ob", "gt"):
            if not hasattr(_inner(self.environment), name):
                kind = type(_inner(self.environment)).__name__
                raise ValueError(
                    f"`environment` must have `{name}` after a trial is drawn; got {kind}"
                    " without."
                )
        # A generator of its own: a task that is made draws nothing from torch's global one.
        probe = self._sample(_N_PROBES, torch.Generator().manual_seed(0))
        object.__setattr__(self, "_probe", probe)

    @property
    def input_names(self) -> tuple[str, ...]:
        """What the environment calls its observations."""
        space = _inner(self.environment).observation_space
        return _names(getattr(space, "name", {}), int(np.prod(space.shape)), "input")

    @property
    def output_names(self) -> tuple[str, ...]:
        """What the environment calls its actions."""
        space = _inner(self.environment).action_space
        return _names(getattr(space, "name", {}), int(space.n), "class")

    @property
    def periods(self) -> tuple[Period, ...]:
        """The periods of the environment; none if they differ: ask ``trials.onsets`` then."""
        return self._probe.periods

    @property
    def n_steps(self) -> int:
        """How many steps a trial has; the longest of 32, if they differ."""
        return self._probe.inputs.shape[0]

    @property
    def fixation(self) -> int | None:
        """The class the environment calls fixation, if there is one."""
        names = getattr(_inner(self.environment).action_space, "name", {})
        named = names.get("fixation")
        if named is None:
            return None
        return int(np.atleast_1d(named)[0])

    @property
    def chance(self) -> float:
        """Accuracy of guessing uniformly between the classes that are not fixation."""
        return 1 / (self.n_outputs - (self.fixation is not None))

    @property
    def ideal(self) -> None:
        """Unknown to daleml."""
        return

    def _judged(self, trials: Trials) -> Tensor:
        if self.fixation is None:
            return trials.mask
        return trials.mask & (trials.targets != self.fixation)

    def _sample(self, n: int, generator: torch.Generator | None) -> Trials:
        # The environment is not copied: one whose timing is a lambda would go on drawing it
        # from the original.
        inner, outer = _inner(self.environment), _outer(self.environment)
        # Seeding takes longer than drawing a trial, so it is done once for all.
        seed = int(torch.randint(2**31, (1,), generator=generator))
        inner.seed(seed)
        _seed_durations(inner, seed)
        drawn = []
        for _ in range(n):
            outer.new_trial()
            drawn.append(_Drawn.read(inner))
        n_steps = max(len(one.answers) for one in drawn)
        # In numpy, whose small copies are quicker than torch's.
        inputs = np.zeros((n_steps, n, self.n_inputs), dtype=np.float32)
        # Steps that pad a short trial never count: any class that exists will do there.
        targets = np.full((n_steps, n), self.fixation or 0)
        lengths = np.array([len(one.answers) for one in drawn])
        for i, one in enumerate(drawn):
            inputs[: len(one.shown), i] = one.shown
            targets[: len(one.answers), i] = one.answers
        mask = torch.from_numpy(np.arange(n_steps)[:, None] < lengths)
        classes = torch.from_numpy(targets.astype(np.int64))
        if not self.fixate and self.fixation is not None:
            mask &= classes != self.fixation
        first = drawn[0]
        periods: tuple[Period, ...] = ()
        spans: dict[str, Tensor] = {}
        if all(one.starts == first.starts and one.ends == first.ends for one in drawn):
            periods = first.periods()
        else:
            spans = _spans(drawn, n_steps * self.dt_ms)
        return Trials(
            inputs=torch.from_numpy(inputs).to(torch.get_default_dtype()),
            targets=classes,
            mask=mask,
            dt_ms=self.dt_ms,
            input_names=self.input_names,
            output_names=self.output_names,
            periods=periods,
            conditions=_conditions([one.trial for one in drawn]),
            spans=spans,
        )


class _Drawn(NamedTuple):
    """What an environment holds after a trial is drawn; it writes the next one elsewhere."""

    shown: NDArray[np.float32]
    answers: NDArray[Any]
    starts: dict[str, float]
    ends: dict[str, float]
    trial: dict[str, Any]

    @classmethod
    def read(cls, inner: Any) -> _Drawn:
        """Copy it: some environments write every trial into the same arrays."""
        shown = np.array(inner.ob, dtype=np.float32).reshape(len(inner.ob), -1)
        answers = np.array(inner.gt)
        ends = {name: inner.end_t[name] for name in inner.start_t}
        return cls(shown, answers, dict(inner.start_t), ends, dict(inner.trial or {}))

    def periods(self) -> tuple[Period, ...]:
        """Return the periods in order."""
        found = []
        for name, start in self.starts.items():
            found.append(Period(name, float(start), float(self.ends[name])))
        return tuple(sorted(found, key=lambda period: period[1:]))


def _make(name: str, settings: dict[str, Any]) -> Any:
    try:
        neurogym = importlib.import_module("neurogym")
    except ImportError as error:
        rule = (
            "`environment` can be a name only where neurogym is installed, by pip install"
            " 'daleml[tasks]'"
        )
        raise ImportError(f"{rule}; got {name!r}.") from error
    with warnings.catch_warnings():
        # gymnasium warns that the metadata have no render modes; no NeuroGym environment has.
        warnings.filterwarnings("ignore", message=".*render_modes")
        return neurogym.make(name, **settings)


def _inner(environment: Any) -> Any:
    """Return the environment inside all wrappers, which holds the trial and the random state."""
    return getattr(environment, "unwrapped", environment)


def _seed_durations(inner: Any, seed: int) -> None:
    """Seed each of the random durations differently: alike, they would all be correlated."""
    for rank, duration in enumerate(getattr(inner, "timing", {}).values(), start=1):
        if hasattr(duration, "seed"):
            duration.seed((seed + rank) % 2**32)


def _outer(environment: Any) -> Any:
    """Return the outermost wrapper that has a ``new_trial`` of its own."""
    # The wrappers of gymnasium pass the method on, but warn.
    while not hasattr(type(environment), "new_trial"):
        environment = environment.env
    return environment


def _names(named: Mapping[str, Any], n: int, default: str) -> tuple[str, ...]:
    """Return names of ``n`` units, from a mapping of names to one index or several."""
    names = [f"{default} {i + 1}" for i in range(n)]
    for name, places in named.items():
        indices = np.atleast_1d(list(places) if isinstance(places, range) else places)
        for rank, index in enumerate(indices.ravel().tolist(), start=1):
            names[index] = name if indices.size == 1 else f"{name} {rank}"
    return tuple(names)


def _spans(drawn: list[_Drawn], duration_ms: float) -> dict[str, Tensor]:
    """Return start and end of each period that every trial has, (trials, 2)."""
    names = []
    for name, _, _ in drawn[0].periods():
        if all(name in one.starts for one in drawn):
            names.append(name)
    bounds = []
    for one in drawn:
        bounds.append([(one.starts[name], one.ends[name]) for name in names])
    # An environment may let a period last beyond what it shows.
    in_ms = torch.tensor(bounds, dtype=torch.get_default_dtype()).clamp(0, duration_ms)
    return dict(zip(names, in_ms.unbind(1), strict=True))


def _conditions(trials: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Return the conditions that every trial gives as a number."""
    numbers = (int, float, np.integer, np.floating)
    found = {}
    for name in trials[0]:
        values: list[Any] = [trial.get(name) for trial in trials]
        if all(isinstance(value, numbers) for value in values):
            found[name] = torch.tensor(list(map(float, values)))
    return found
