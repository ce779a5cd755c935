"""A task of language, in which the next character is to be predicted."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from daleml import require
from daleml.tasks.task import ClassificationTask, consecutive
from daleml.tasks.trials import Period, Trials


@dataclass(frozen=True, eq=False)
class CharacterModel(ClassificationTask):
    """Predict each next character of a text.

    A trial is a window of the text, its start drawn uniformly; every step counts. Characters
    are one-hot.

    Args:
        text: What to model, longer than ``length``.
        length: How many characters, hence steps, a trial has.
        vocabulary: All characters there may be, in order; default: those of ``text``, sorted.
        dt_ms: Duration of a step, that is of a character.

    Raises:
        TypeError: If ``text`` or ``vocabulary`` is no string.
        ValueError: If ``text`` is too short, or has a character that is not in ``vocabulary``.

    Example:
        >>> task = CharacterModel("to be, or not to be: that is the question. " * 20, length=30)
        >>> task.n_inputs, task.decode(task.encode("be that"))
        (16, 'be that')
        >>> train, validation = task.split(0.9)
        >>> print(train.sample(8))
        8 trials of 30 steps, 3000 ms: 16 inputs, 16 outputs
        >>> task.measure, round(task.chance, 2)
        ('nats per character', 2.43)

    References:
        Mikolov, Sutskever, Deoras, Le, Kombrink, Cernocky 2012, Subword language modeling with
        neural networks.
    """

    text: str = field(repr=False)
    length: int = 50
    vocabulary: str | None = None

    measure = "nats per character"
    higher_is_better = False

    _codes: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("text", "vocabulary"):
            value = getattr(self, name)
            may_lack = name == "vocabulary" and value is None
            if not isinstance(value, str) and not may_lack:
                raise TypeError(
                    f"`{name}` must be a string; got {type(value).__name__}."
                )
        require.integer("length", self.length, minimum=1)
        if len(self.text) <= self.length:
            raise ValueError(
                f"`text` must have more than `length`, {self.length}, characters; got"
                f" {len(self.text)}."
            )
        vocabulary = self.vocabulary
        if vocabulary is None:
            vocabulary = "".join(sorted(set(self.text)))
        if len(set(vocabulary)) < len(vocabulary):
            raise ValueError(
                f"`vocabulary` must hold each character once; got {vocabulary!r}."
            )
        # A frozen dataclass is set this way once, when it is made.
        object.__setattr__(self, "vocabulary", vocabulary)
        object.__setattr__(self, "_codes", self.encode(self.text))

    @classmethod
    def from_file(cls, path: str | Path, **settings: Any) -> CharacterModel:
        """Model the text in a file.

        Args:
            path: A text file, UTF-8.
            settings: Passed on: ``length``, ``vocabulary``, ``dt_ms``.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is no UTF-8 text, or too short.
        """
        try:
            return cls(Path(path).read_text(encoding="utf-8"), **settings)
        except UnicodeDecodeError as error:
            raise ValueError(
                f"`path` must be a text file in UTF-8; got {path}."
            ) from error

    def split(self, fraction: float = 0.9) -> tuple[CharacterModel, CharacterModel]:
        """Divide the text into a part to learn from and the rest to judge by, of one vocabulary.

        Args:
            fraction: Fraction of the text in the first part.

        Raises:
            ValueError: If a part is too short for a window.
        """
        # Windows of the two parts never overlap, so neither tells of the other.
        cut = round(require.fraction("fraction", fraction) * len(self.text))
        if not self.length < cut < len(self.text) - self.length:
            rule = f"`fraction` must leave more than {self.length} characters on both sides"
            raise ValueError(f"{rule}; got {cut} and {len(self.text) - cut}.")
        first = dataclasses.replace(self, text=self.text[:cut])
        return first, dataclasses.replace(self, text=self.text[cut:])

    def encode(self, text: str) -> Tensor:
        """Return the codes of the characters of a text: their places in the vocabulary, int64.

        Raises:
            ValueError: If a character is not in the vocabulary.
        """
        vocabulary = self.vocabulary or ""
        codes = dict(zip(vocabulary, range(len(vocabulary)), strict=True))
        unknown = sorted(set(text) - set(codes))
        if unknown:
            raise ValueError(
                f"`text` must hold characters of the vocabulary only; got {unknown[0]!r}."
            )
        return torch.tensor([codes[character] for character in text], dtype=torch.int64)

    def decode(self, codes: Tensor) -> str:
        """Return the text that has these codes.

        Raises:
            ValueError: If a code is no character's.
        """
        vocabulary, wanted = self.vocabulary or "", torch.as_tensor(codes).tolist()
        wrong = [code for code in wanted if not 0 <= code < len(vocabulary)]
        if wrong:
            raise ValueError(
                f"`codes` must be between 0 and {len(vocabulary) - 1}; got {wrong[0]}."
            )
        return "".join(vocabulary[code] for code in wanted)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The characters, as Python writes them."""
        return tuple(map(repr, self.vocabulary or ""))

    @property
    def output_names(self) -> tuple[str, ...]:
        """The characters again."""
        return self.input_names

    @property
    def periods(self) -> tuple[Period, ...]:
        """One: the text."""
        return consecutive(text=self.length * self.dt_ms)

    @property
    def chance(self) -> float:
        r"""Nats per character of the best guesser who knows how frequent characters are.

        That guesser does not know what came before, and reaches the unigram entropy

        .. math:: -\sum_c p_c \ln p_c

        where :math:`p_c` weighs each character of the text by how many
        windows ask for it: fewer do near its ends.
        """
        # The character at place i is the target of as many windows as hold it after their first.
        place = torch.arange(1, len(self.text), dtype=torch.float64)
        most = min(self.length, len(self.text) - self.length)
        windows = torch.minimum(place, len(self.text) - place).clamp(max=most)
        asked = self._codes[1:]
        counts = torch.bincount(asked, weights=windows, minlength=self.n_outputs)
        p = counts / windows.sum()
        return float(-torch.xlogy(p, p).sum())

    @property
    def ideal(self) -> None:
        """Unknown: the entropy of a language is not to be had from a text of it."""
        return

    def score(self, outputs: Tensor, trials: Trials) -> float:
        """Return the cross-entropy in nats, averaged over the characters."""
        return float(self.loss(outputs.detach(), trials))

    def _sample(self, n: int, generator: torch.Generator | None) -> Trials:
        start = torch.randint(len(self.text) - self.length, (n,), generator=generator)
        # One character more than steps: each is the target of the one before.
        windows = self._codes[torch.arange(self.length + 1)[:, None] + start]
        one_hot = torch.nn.functional.one_hot(windows[:-1], self.n_inputs)
        return self._named_trials(
            inputs=one_hot.to(torch.get_default_dtype()),
            targets=windows[1:].contiguous(),
            mask=torch.ones(self.length, n, dtype=torch.bool),
            conditions={"start": start},
        )
