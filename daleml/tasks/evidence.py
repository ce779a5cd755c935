"""A task of integration, in which the word that came most often is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from daleml import require
from daleml._support import seeds
from daleml.tasks.task import ClassificationTask, consecutive
from daleml.tasks.trials import Period, Trials


@dataclass(frozen=True, kw_only=True)
class EvidenceIntegration(ClassificationTask):
    r"""Say which evidence word a phrase holds most often.

    A phrase has ``n_words`` words, each evidence for one of ``n_evidence`` answers or a null
    word, and ends with one that asks for the answer. The counts are uniform over all
    compositions

    .. math:: s_1 + \dots + s_K + s_\text{null} = n, \qquad s \ge 0

    whose largest evidence is unique; the order is random. A word is a fixed random binary
    vector, divided by the root of half its length.

    Args:
        n_words: Words before the last.
        n_evidence: Number of answers, at least 2.
        n_features: Length of a word's vector, enough for words to differ.
        vocabulary: Seed of the words.
        dt_ms: How long a word lasts; a step is a word.

    Raises:
        TypeError: If a setting is of the wrong type.
        ValueError: If a setting is out of range.

    Example:
        >>> import torch
        >>> task = EvidenceIntegration()
        >>> trials = task.sample(3, generator=torch.Generator().manual_seed(0))
        >>> print(trials)
        3 trials of 50 steps, 200 ms: 50 inputs, 3 outputs
        >>> counts = torch.stack([trials.conditions[f"n_{k}"] for k in (1, 2, 3)])
        >>> torch.equal(counts.argmax(0), trials.targets[-1])
        True

    Notes:
        ``loss`` and ``score`` also take one answer per trial, (trials, n_outputs), as
        :class:`MorrisLecarNetwork` gives. The published generator can delay the question; no
        saved run of it does.

    References:
        Hazelden, Liu, Shlizerman, Shea-Brown 2023 arXiv:2311.10869.
    """

    n_words: int = 49
    n_evidence: int = 3
    n_features: int = 50
    vocabulary: int = 0
    dt_ms: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require.integer("n_words", self.n_words, minimum=1)
        require.integer("n_evidence", self.n_evidence, minimum=2)
        require.integer("n_features", self.n_features, minimum=1)
        require.integer("vocabulary", self.vocabulary)
        n_words = self.n_evidence + 2
        if 2**self.n_features < n_words:
            least = math.ceil(math.log2(n_words))
            raise ValueError(
                f"`n_features` must be at least {least} for {n_words} words; got"
                f" {self.n_features}."
            )

    @property
    def input_names(self) -> tuple[str, ...]:
        """The features of a word."""
        return tuple(f"feature {i}" for i in range(1, self.n_features + 1))

    @property
    def output_names(self) -> tuple[str, ...]:
        """The answers."""
        return tuple(f"evidence {k}" for k in range(1, self.n_evidence + 1))

    @property
    def periods(self) -> tuple[Period, ...]:
        """The phrase, and the word that asks."""
        return consecutive(phrase=self.n_words * self.dt_ms, question=self.dt_ms)

    @property
    def chance(self) -> float:
        """Accuracy of any guess: the answers are equally likely."""
        return 1 / self.n_evidence

    @property
    def ideal(self) -> float:
        """Accuracy of who counts: 1."""
        return 1.0

    @property
    def words(self) -> Tensor:
        """The vectors, (n_evidence + 2, n_features): evidence, the null word, the question."""
        generator = seeds.generator(self.vocabulary)
        shape = self.n_evidence + 2, self.n_features
        binary = torch.randint(2, shape, generator=generator)
        # No two words may be the same.
        while len(torch.unique(binary, dim=0)) < len(binary):
            binary = torch.randint(2, shape, generator=generator)
        # About half of the entries are 1, so that a word has a squared length near 1.
        return binary.to(torch.get_default_dtype()) / math.sqrt(self.n_features / 2)

    def loss(self, outputs: Tensor, trials: Trials) -> Tensor:
        """Return the cross-entropy of the answers, in nats.

        Args:
            outputs: (time, trials, n_outputs), of which the last step counts; or one answer per
                trial, (trials, n_outputs).
            trials: What the network was asked.

        Raises:
            ValueError: If ``outputs`` has another shape.
        """
        return super().loss(_at_every_step(outputs, trials), trials)

    def score(self, outputs: Tensor, trials: Trials) -> float:
        """Return the accuracy of the answers; see :meth:`loss`."""
        return super().score(_at_every_step(outputs, trials), trials)

    def _sample(self, n: int, generator: torch.Generator | None) -> Trials:
        counts = self._counts(n, generator)
        kinds = torch.arange(self.n_evidence + 1).repeat(n, 1)
        phrase = (
            kinds.flatten().repeat_interleave(counts.flatten()).view(n, self.n_words)
        )
        # Sorting random numbers shuffles each phrase on its own.
        order = torch.rand(n, self.n_words, generator=generator).argsort(1)
        question = torch.full((1, n), self.n_evidence + 1)
        words = torch.cat([phrase.gather(1, order).t(), question])
        targets = counts[:, : self.n_evidence].argmax(1).expand(self.n_steps, n).clone()
        # The answer stands at every step, and counts at the last, the question's.
        mask = torch.zeros(targets.shape, dtype=torch.bool)
        mask[-1] = True
        drawn = {f"n_{k}": counts[:, k - 1] for k in range(1, self.n_evidence + 1)}
        inputs = self.words[words]
        return self._named_trials(inputs, targets, mask, drawn)

    def _counts(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Draw counts of every kind of word, (n, n_evidence + 1)."""
        # Bars among stars: the gaps between bars at random places are uniform compositions.
        # Those whose largest evidence is a tie are drawn again.
        drawn = torch.empty(0, self.n_evidence + 1, dtype=torch.int64)
        while len(drawn) < n:
            places = torch.rand(n, self.n_words + self.n_evidence, generator=generator)
            bars = places.topk(self.n_evidence).indices.sort(1).values
            n_places = self.n_words + self.n_evidence
            ends = torch.nn.functional.pad(bars, (1, 0), value=-1)
            ends = torch.nn.functional.pad(ends, (0, 1), value=n_places)
            counts = ends.diff(dim=1) - 1
            largest = counts[:, : self.n_evidence].topk(2).values
            drawn = torch.cat([drawn, counts[largest[:, 0] > largest[:, 1]]])
        return drawn[:n]


def _at_every_step(outputs: Tensor, trials: Trials) -> Tensor:
    """Read one answer per trial as that of every step, of which only the last counts."""
    if not isinstance(outputs, Tensor) or outputs.ndim != 2:
        return outputs
    if outputs.shape[0] != len(trials):
        return outputs
    return outputs.expand(trials.inputs.shape[0], *outputs.shape)
