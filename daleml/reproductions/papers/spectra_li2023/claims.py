"""Li, Cornford, Ghosh & Richards 2023: why column EI learns worse, told by singular values."""

from __future__ import annotations

from daleml.reproductions.claim import (
    OURS,
    PAPER_DIRECTION,
    THE_PAPERS,
    Check,
    Claim,
    Paper,
)
from daleml.reproductions.digit_networks import UNITS
from daleml.reproductions.papers.spectra_li2023.adding_and_text import OTHER_TASKS
from daleml.reproductions.papers.spectra_li2023.experiments import ROWS, SPECTRA

# Parts of the notes of several claims.
_DRAWS = "Each seed is the mean of several matrices, ten of 100 units."
_SCALE = (
    "One recurrent layer of 100 units, batches of 32, one rate for all arms, one bias per"
    " unit that begins at 0, the gradient's norm limited at 10 for each layer, and for each"
    " tensor of column EI, as in the released code. The paper reads MNIST in 28 rows for"
    " 46,800 updates at a rate of 0.010772. The quick budget reads digits of 8 rows of 8"
    " pixels for 2,700 updates at 0.1; the paper budget reads Fashion-MNIST in 28 rows, its"
    " 60,000 training images, at the paper's rate for 11,250 updates; only the long budget"
    " goes on to 46,875. Errors are means of five looks at the test images, over the last"
    " 1,500 updates, over five epochs of digits."
)
_COLUMN_EI = (
    "The released code has an initialiser of column EI that writes a bias to centre the"
    " inputs, and a cell that then puts every bias to 0; ours begin at 0 as well."
)
_TRANSPLANT = (
    "Recurrent, input and readout weights are all transplanted, those of column EI with"
    " their autapses, and biases are zero. Where signs are kept, every recurrent and readout"
    " synapse keeps its own, and input synapses are free, as in the released code."
)
_ALONE = (
    "Before, each arm had its own rate, chosen by validation; the cell had two biases, whose"
    " sum learns at twice the rate; the gradient's norm was limited over all parameters; and"
    " column EI had a bias that centres the inputs."
)


_OTHER_TASKS = (
    "Adding problem: 20 steps, 10 units, batches of 64, a rate of 0.1 that falls by a"
    " hundredth every 20 updates, gradients limited at 7, the DANN's at 3, as in the released"
    " code; new trials in every batch, 3,000 updates. Each seed is the mean of four networks of"
    " each kind in the quick budget, and of 48 in the others, by the spread that the quick"
    " run showed. Text: characters of"
    " Python's own documentation of its language in windows of 50, one layer of 100 units,"
    " 600 updates in the quick budget and 3,000 in the paper one, at the released code's"
    " rates and limit for words of Penn Treebank, of which it models windows of 50 by three"
    " layers of 500 units and word vectors. The text differs between versions of Python."
    " A window on which a network errs more than by guessing counts as guessed: the activity"
    " of column EI may explode on one. 'Level' is read as within a tenth of the variance of"
    " the sum that is asked for, and within 0.1 nats."
)

_TRIED = (
    "More updates and seeds on Fashion-MNIST take 2.8 processor minutes for each seed and"
    " 11,250 updates, a quarter of the paper's, and 12 for all: that is the long budget. In a"
    " quarter, networks still learn, and differences vary by a point from seed to seed."
)


def _above_0(number: str, label: str) -> Check:
    """Return a direction: above 0, of no size that the paper gives."""
    return Check(number, label, at_least=0.0, no_effect=0.0, owner=PAPER_DIRECTION)


def _level(number: str, label: str, within: float) -> Check:
    """Return an equivalence, by a bound of ours."""
    low, high = -within, within
    return Check(number, label, low, high, no_effect=0.0, owner=OURS)


def _less(number: str, label: str) -> Check:
    """Return the direction of a difference of test errors: above 0."""
    return _above_0(number, f"{label}, percentage points")


def _entropy(name: str, label: str, expected: float) -> Check:
    return Check(
        f"{name} entropy, {UNITS}",
        f"normalised SVD entropy of {label}, {UNITS} units",
        at_least=round(expected - 0.02, 3),
        at_most=round(expected + 0.02, 3),
        owner=OURS,
    )


def _about(number: str, label: str, expected: float) -> Check:
    """Return the expectation of a number within a tenth."""
    low, high = round(0.9 * expected, 3), round(1.1 * expected, 3)
    return Check(number, label, at_least=low, at_most=high, owner=OURS)


PAPER = Paper(
    "spectral",
    "P. Li, J. Cornford, A. Ghosh & B. A. Richards (2023) Learning better with Dale's law:"
    " a spectral perspective. NeurIPS.",
    (
        Claim(
            "2a",
            "As initialised, a column-EI circuit has a lower SVD entropy than a recurrent"
            " DANN, which has that of an RNN.",
            "released code, SVD_entropy_analysis.ipynb",
            SPECTRA,
            (
                _above_0(
                    "dann - column_ei entropy",
                    "entropy of the DANN less that of column EI",
                ),
                _level(
                    "dann - rnn entropy",
                    "entropy of the DANN less that of the RNN",
                    0.02,
                ),
                _entropy("column_ei 0.1", "column EI with 10 % inhibitory units", 0.80),
                _entropy("dann", "the DANN", 0.95),
                _entropy("rnn", "the RNN", 0.95),
            ),
            f"{_DRAWS} Column EI has a spectral radius of 1.5 and no autapses. Entropies are"
            " expected within 0.02 of those of another implementation of the same matrices;"
            " 'the same' is read as within 0.02.",
            owner=THE_PAPERS,
            earlier="The difference between DANN and column EI was to be 0.11 at least, what"
            " the tolerances of both entropies leave. It was 0.15; the bound was ours.",
        ),
        Claim(
            "2b",
            "The SVD entropy of column EI rises with the number of units and with the"
            " fraction that is inhibitory.",
            "released code, Entropy_predictive.ipynb",
            SPECTRA,
            (
                _above_0(
                    "least rise with size",
                    "least rise of entropy from one size to the next, at any fraction",
                ),
                _above_0(
                    "least rise with inhibition",
                    "least rise of entropy from one fraction to the next, at any size",
                ),
                _level(
                    "mean difference from table",
                    "entropy less another implementation's, mean over sizes and fractions",
                    0.02,
                ),
            ),
            f"{_DRAWS} Fractions are 1, 10, 20 and 50 %; sizes 100 and 300 in the quick"
            " budget, and 1,000 in the others. The least rise is lowered by noise, not"
            " raised.",
            owner=THE_PAPERS,
            earlier="In place of the mean difference from reference values stood the largest"
            " distance, at most 0.02, which noise can only increase. It was 0.007.",
        ),
        Claim(
            "2c",
            "A column-EI circuit learns worse than an RNN, and the worse the fewer its"
            " inhibitory units.",
            "abstract; released code, experiments on the fraction of inhibitory units",
            ROWS,
            (
                _less(
                    "column_ei_10 - rnn",
                    "test error of column EI with 10 % less the RNN's",
                ),
                _less(
                    "column_ei_1 - column_ei_10",
                    "test error of column EI with 1 % less that with 10 %",
                ),
                _less(
                    "column_ei_10 - column_ei_50",
                    "test error of column EI with 10 % less that with 50 %",
                ),
            ),
            f"{_SCALE} {_COLUMN_EI}",
            owner=THE_PAPERS,
            earlier=f"The same checks, on digits alone. {_ALONE} They held.",
        ),
        Claim(
            "2d",
            "The spectrum matters more than the signs: column EI's singular vectors learn"
            " as well as an RNN once they have an RNN's singular values, and its signs cost"
            " less than its spectrum.",
            "released code, SVD_transplant.ipynb",
            ROWS,
            (
                Check(
                    "transplanted - rnn",
                    "test error of column EI's vectors with an RNN's values, signs free,"
                    " less the RNN's, percentage points",
                    at_most=1.0,
                    owner=OURS,
                ),
                _less(
                    "spectrum over signs, from column_ei",
                    "what the RNN's values spare column EI, signs kept, less what free"
                    " signs spare it",
                ),
            ),
            f"{_SCALE} {_TRANSPLANT} {_COLUMN_EI} 'As well' is read as within 1 point, which"
            " is looser than the 0.67 that the notebook prints (2.32 % against 1.65 %). Its"
            " numbers give 0.90 points for the other. The same seen from the RNN's side is"
            " 2h.",
            owner=THE_PAPERS,
            earlier=f"The same checks, on digits alone. {_ALONE} They held.",
            tried=f"On digits, free signs spare column EI as much as an RNN's values do. {_TRIED}",
        ),
        Claim(
            "2e",
            "As initialised, column EI's largest singular value stands far out; an RNN's"
            " and a DANN's do not.",
            "released code, SVD_entropy_analysis.ipynb",
            SPECTRA,
            (
                Check(
                    "column_ei 0.1 largest / median, 100",
                    "largest over median singular value of column EI with 10 % inhibitory"
                    " units, 100 units",
                    at_least=20.0,
                    # The ratio of an RNN.
                    no_effect=2.5,
                    owner=OURS,
                ),
                _about(
                    "rnn largest / median, 100",
                    "largest over median singular value of the RNN, 100 units",
                    2.5,
                ),
                _about(
                    "dann largest / median, 100",
                    "largest over median singular value of the DANN, 100 units",
                    2.5,
                ),
            ),
            f"{_DRAWS} The notebook shows spectra and prints no ratios: 20 and 2.5 are from"
            " another implementation of the same matrices, and 'about 2.5' is read as within"
            " a tenth.",
            owner=THE_PAPERS,
        ),
        Claim(
            "2f",
            "A DANN whose interneurons are drawn independently has one singular value that"
            " stands out, about 2, and still the entropy of an RNN.",
            "ours, of the released code's option random=True",
            SPECTRA,
            (
                Check(
                    "independent entropy, 100",
                    "normalised SVD entropy, 100 units",
                    at_least=0.945,
                    # The entropy of column EI.
                    no_effect=0.80,
                    owner=OURS,
                ),
                Check(
                    "independent largest, 100",
                    "largest singular value, 100 units",
                    at_least=1.8,
                    at_most=2.2,
                    # The largest singular value of uniform weights is about 2 / sqrt(3).
                    no_effect=1.15,
                    owner=OURS,
                ),
                Check(
                    "independent largest / second, 100",
                    "largest over second singular value, 100 units",
                    at_least=1.5,
                    # Nothing stands out.
                    no_effect=1.0,
                    owner=OURS,
                ),
            ),
            f"{_DRAWS} 'About 2' is read as within a tenth. That only one stands out, by"
            " half of the next at least, is our own bound.",
            owner=OURS,
        ),
        Claim(
            "2g",
            "Given more than 2,500 updates, a recurrent DANN ends level with the RNN;"
            " column EI stays worse.",
            "abstract; figures on row-sequential MNIST",
            ROWS,
            (
                _level(
                    "dann - rnn",
                    "test error of the DANN less the RNN's, percentage points",
                    1.0,
                ),
                _less("column_ei_10 - rnn", "test error of column EI less the RNN's"),
                _less("column_ei_10 - dann", "test error of column EI less the DANN's"),
            ),
            f"{_SCALE} {_COLUMN_EI} The abstract says that DANNs perform as RNNs do, without"
            " a size: 'level' is read as within 1 point, and 2,500 updates are ours, from"
            " digits.",
            owner=THE_PAPERS,
            earlier=f"The same checks, on digits alone. {_ALONE} They held.",
            tried=f"DANNs begin slower: on digits they are level after 2,700 updates. {_TRIED}",
        ),
        Claim(
            "2h",
            "An RNN, too, loses more by the singular values of column EI than by keeping"
            " the sign of every synapse.",
            "released code, SVD_transplant.ipynb",
            ROWS,
            (
                _less(
                    "spectrum over signs, from rnn",
                    "what column EI's values cost an RNN, signs free, less what kept signs"
                    " cost it",
                ),
            ),
            f"{_SCALE} {_TRANSPLANT} The notebook's numbers give 0.57 points, 1.40 against"
            " 0.82; by the names of its files, its plain RNN learned at 0.01 without a"
            " limit, and its column EI at 0.015811. The bias that an initialiser of the"
            " released code writes, -0.86 on digits, and its cell overwrites by zeros, is"
            " not used here: with it this arm errs more, whatever its singular values.",
            owner=THE_PAPERS,
            earlier="The same check, on digits alone, could not be told. There, kept signs"
            f" were those of input synapses too, and autapses were removed. {_ALONE}",
            tried=f"Settings as released, where it was undecided before. {_TRIED}",
        ),
        Claim(
            "2i",
            "Column EI is worse, and the DANN level with the RNN, at the adding problem and"
            " as a model of a text too.",
            "figures on the adding problem and Penn Treebank",
            OTHER_TASKS,
            (
                _above_0(
                    "adding, column_ei - rnn",
                    "squared error of column EI less the RNN's, adding problem",
                ),
                _above_0(
                    "adding, column_ei - dann",
                    "squared error of column EI less the DANN's, adding problem",
                ),
                _level(
                    "adding, dann - rnn",
                    "squared error of the DANN less the RNN's, adding problem",
                    0.0167,
                ),
                _above_0(
                    "text, column_ei - rnn",
                    "loss of column EI less the RNN's, text, nats per character",
                ),
                _above_0(
                    "text, column_ei - dann",
                    "loss of column EI less the DANN's, text, nats per character",
                ),
                _level(
                    "text, dann - rnn",
                    "loss of the DANN less the RNN's, text, nats per character",
                    0.1,
                ),
            ),
            _OTHER_TASKS,
            owner=THE_PAPERS,
            earlier="Not tested, since learning curves are in figures only and Penn Treebank"
            " is not shipped with daleml. Directions need no sizes, and another text will"
            " do. The paper budget trains longer on the text since two of its seeds had"
            " been seen, which lay near the bound.",
        ),
        Claim(
            "2j",
            "A small circuit of high SVD entropy beats a large one of low entropy: 200"
            " units, half of them inhibitory, against 1,000 with 1 %.",
            "released code, Entropy_predictive.ipynb: 2.52 % against 3.64 %",
            None,
            (),
            "Not tested: it is printed for 100 epochs of MNIST, 187,500 updates. One of a"
            " thousand recurrent units took 68 ms on one core, so that a seed takes 3.5 hours,"
            " and five seeds 18. The entropies themselves are those of 2b.",
            owner=THE_PAPERS,
        ),
        Claim(
            "2k",
            "Column EI is worse, and the DANN level with the RNN, on naturalistic object"
            " tracking too.",
            "not in the released code",
            None,
            (),
            "Not tested: neither the task nor its numbers could be found in what the"
            " authors released.",
            owner=THE_PAPERS,
        ),
    ),
)
