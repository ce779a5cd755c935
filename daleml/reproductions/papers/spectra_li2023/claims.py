"""Li, Cornford, Ghosh & Richards 2023: why column EI learns worse, told by singular values."""

from __future__ import annotations

from daleml.reproductions.claim import Check, Claim, Paper
from daleml.reproductions.digit_networks import UNITS
from daleml.reproductions.papers.spectra_li2023.experiments import ROWS, SPECTRA

# Parts of the notes of several claims.
_DRAWS = "Each seed is the mean of several matrices, ten of 100 units."
_SCALE = (
    "The paper reads MNIST in 28 rows for 47,000 updates; here it is digits of 8 rows of 8"
    " pixels, {updates:,} updates in batches of 32, the gradient's norm clipped at 10 over"
    " all parameters. Each arm's rate is the one of a common grid with the lowest"
    " validation error, on a fifth of the training images."
)
_SHORT = _SCALE.format(updates=1125)
_TRANSPLANT = (
    "Recurrent, input and read-out weights are all transplanted, and biases are then zero."
    " Signs are kept synapse by synapse, those of the transplanted matrices."
)


def _entropy(name: str, label: str, expected: float) -> Check:
    return Check(
        f"{name} entropy, {UNITS}", f"normalised SVD entropy of {label}, {UNITS} units",
        at_least=round(expected - 0.02, 3), at_most=round(expected + 0.02, 3),
    )  # fmt: skip


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
                _entropy("column_ei 0.1", "column EI with 10 % inhibitory units", 0.80),
                _entropy("dann", "the DANN", 0.95),
                _entropy("rnn", "the RNN", 0.95),
                Check(
                    "dann - column_ei entropy",
                    "entropy of the DANN less that of column EI",
                    # What the tolerances of both entropies leave: 0.93 less 0.82.
                    at_least=0.11,
                    no_effect=0.0,
                ),
            ),
            f"{_DRAWS} Column EI has a spectral radius of 1.5 and no autapses. The least"
            " difference is what the tolerances of the two entropies leave.",
        ),
        Claim(
            "2b",
            "The SVD entropy of column EI rises with the number of units and with the"
            " fraction that is inhibitory.",
            "released code, Entropy_predictive.ipynb",
            SPECTRA,
            (
                Check(
                    "least rise with size",
                    "least rise of entropy from one size to the next, at any fraction",
                    at_least=0.0,
                    no_effect=0.0,
                ),
                Check(
                    "least rise with inhibition",
                    "least rise of entropy from one fraction to the next, at any size",
                    at_least=0.0,
                    no_effect=0.0,
                ),
                Check(
                    "farthest from table",
                    "largest distance of an entropy from another implementation's",
                    at_most=0.02,
                ),
            ),
            f"{_DRAWS} Fractions are 1, 10, 20 and 50 %; sizes 100 and 300 in the quick"
            " budget, and 1,000 in the others. That entropy rises is checked as a"
            " direction; its size by the distance from reference values.",
        ),
        Claim(
            "2c",
            "A column-EI circuit learns worse than an RNN, and the worse the fewer its"
            " inhibitory units.",
            "abstract; released code, experiments on the fraction of inhibitory units",
            ROWS,
            (
                Check(
                    "column_ei_10 - rnn",
                    "test error of column EI with 10 % less the RNN's, percentage points",
                    at_least=0.0,
                    no_effect=0.0,
                ),
                Check(
                    "column_ei_1 - column_ei_10",
                    "test error of column EI with 1 % less that with 10 %, percentage"
                    " points",
                    at_least=0.0,
                    no_effect=0.0,
                ),
                Check(
                    "column_ei_10 - column_ei_50",
                    "test error of column EI with 10 % less that with 50 %, percentage"
                    " points",
                    at_least=0.0,
                    no_effect=0.0,
                ),
            ),
            f"{_SHORT} Claimed without sizes, and checked as directions: reference"
            " measurements on digits, by another implementation, gave 8.5, 12.2 and 6.2"
            " points.",
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
                    # "As well" is read as within one point.
                    at_most=1.0,
                ),
                Check(
                    "spectrum over signs, from column_ei",
                    "what the RNN's values spare column EI, signs kept, less "
                    "what free signs spare it, percentage points",
                    at_least=0.0,
                    no_effect=0.0,
                ),
            ),
            f"{_SHORT} {_TRANSPLANT} 'As well' is read as within 1 point: on MNIST the"
            " paper's notebook prints 2.32 % against 1.65 %. The other is checked as a"
            " direction; the notebook's numbers give 0.90 points. The same seen from the"
            " RNN's side is 2h.",
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
                ),
                Check(
                    "rnn largest / median, 100",
                    "largest over median singular value of the RNN, 100 units",
                    # "About 2.5" is read as within a tenth.
                    at_least=2.25,
                    at_most=2.75,
                ),
                Check(
                    "dann largest / median, 100",
                    "largest over median singular value of the DANN, 100 units",
                    at_least=2.25,
                    at_most=2.75,
                ),
            ),
            f"{_DRAWS} 'About 2.5' is read as within a tenth.",
        ),
        Claim(
            "2f",
            "A DANN whose interneurons are drawn independently has one singular value that"
            " stands out, about 2, and still the entropy of an RNN.",
            "released code, option random=True",
            SPECTRA,
            (
                Check(
                    "independent entropy, 100",
                    "normalised SVD entropy, 100 units",
                    at_least=0.945,
                    # The entropy of column EI.
                    no_effect=0.80,
                ),
                Check(
                    "independent largest, 100",
                    "largest singular value, 100 units",
                    at_least=1.8,
                    at_most=2.2,
                    # The largest singular value of uniform weights is about 2 / sqrt(3).
                    no_effect=1.15,
                ),
                Check(
                    "independent largest / second, 100",
                    "largest over second singular value, 100 units",
                    at_least=1.5,
                    # Nothing stands out.
                    no_effect=1.0,
                ),
            ),
            f"{_DRAWS} 'About 2' is read as within a tenth. That only one stands out, by"
            " half of the next at least, is our own bound.",
        ),
        Claim(
            "2g",
            "Given more than 2,500 updates, a recurrent DANN ends level with the RNN;"
            " column EI stays worse.",
            "abstract; figures on row-sequential MNIST",
            ROWS,
            (
                Check(
                    "dann - rnn",
                    "test error of the DANN less the RNN's, percentage points",
                    # "Level" is read as within one point.
                    at_least=-1.0,
                    at_most=1.0,
                ),
                Check(
                    "column_ei_10 - rnn",
                    "test error of column EI less the RNN's, percentage points",
                    at_least=0.0,
                    no_effect=0.0,
                ),
                Check(
                    "column_ei_10 - dann",
                    "test error of column EI less the DANN's, percentage points",
                    at_least=0.0,
                    no_effect=0.0,
                ),
            ),
            f"{_SCALE.format(updates=2700)} 'Level' is read as within 1 point. That column"
            " EI stays worse is checked as a direction: reference measurements on digits,"
            " by another implementation, gave 4.8 and 5.4 points.",
        ),
        Claim(
            "2h",
            "An RNN, too, loses more by the singular values of column EI than by keeping"
            " the sign of every synapse.",
            "released code, SVD_transplant.ipynb",
            ROWS,
            (
                Check(
                    "spectrum over signs, from rnn",
                    "what column EI's values cost an RNN, signs free, less what kept signs"
                    " cost it, percentage points",
                    at_least=0.0,
                    no_effect=0.0,
                ),
            ),
            f"{_SHORT} {_TRANSPLANT} Checked as a direction; the notebook's numbers give"
            " 0.57 points, 1.40 against 0.82. Here we depart from the paper: in 1,125"
            " updates of 8 steps, column EI's values cost the RNN about nothing once each"
            " arm has its own rate; reference measurements by another implementation gave"
            " 3.0 points against 0.7. Tried: choosing rates after 15 epochs instead of 25,"
            " for 4 seeds, gave 1.3 points, with an interval from -0.2 to 2.8; what kept"
            " signs cost, 0.5 points on average, varies by more than that from seed to"
            " seed.",
        ),
        Claim(
            "2i",
            "Column EI is worse, and the DANN level with the RNN, on the adding problem and"
            " on Penn Treebank too.",
            "figures on the adding problem and Penn Treebank",
            None,
            (),
            "Not tested: the learning curves are in figures only, so there is no size to"
            " expect; Penn Treebank is not shipped with daleml, and needs word vectors that"
            " would have to be downloaded.",
        ),
        Claim(
            "2j",
            "A small circuit of high SVD entropy beats a large one of low entropy: 200"
            " units, half of them inhibitory, against 1,000 with 1 %.",
            "released code, Entropy_predictive.ipynb: 2.52 % against 3.64 %",
            None,
            (),
            "Not tested: it is printed for 100 epochs of MNIST, and a thousand recurrent"
            " units take hours here. The entropies themselves are those of 2b.",
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
        ),
    ),
)
