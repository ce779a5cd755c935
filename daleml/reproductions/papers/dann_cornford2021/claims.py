"""Cornford et al. 2021: networks under Dale's law that learn as well as those without."""

from __future__ import annotations

from daleml.reproductions.claim import (
    BY_CONSTRUCTION,
    OURS,
    PAPER_DIRECTION,
    THE_PAPERS,
    Check,
    Claim,
    Paper,
)
from daleml.reproductions.papers.dann_cornford2021.clothing import (
    CLOTHING,
    DANN_RATE,
    MLP_RATE,
)
from daleml.reproductions.papers.dann_cornford2021.experiments import (
    DIGITS,
    GRADIENTS,
    INITIALISATION,
    RATE,
    WITHOUT,
)

# Parts of the notes of several claims.
_SCALE = (
    "The paper trains on MNIST and its kin; here it is 8 x 8 digits, three hidden layers of"
    " 100 units instead of 500, batches of 32, 30 epochs. Each arm's rate is the one of a"
    " common grid with the lowest validation error, on a fifth of the training images, over"
    " three seeds: searched for once, as in the released code, and then used for all seeds."
)
_ONE_POINT = (
    "'As well as' is read as: the mean difference lies within one percentage point on both"
    " sides. The point is ours."
)


PAPER = Paper(
    "dann",
    "J. Cornford, D. Kalajdzievski, M. Leite, A. Lamarquette, D. M. Kullmann & B. A."
    " Richards (2021) Learning to live with Dale's principle: ANNs with separate excitatory"
    " and inhibitory units. ICLR.",
    (
        Claim(
            "1a",
            "As initialised, a layer's inhibition centres its excitation exactly, and its"
            " divisor is about 1.",
            "released code, ariamis/ei_models.py: initialisation with one interneuron",
            INITIALISATION,
            (
                Check(
                    "offset",
                    "largest |mean over units of the centred drive|",
                    at_most=1e-5,
                    owner=OURS,
                    by_construction=True,
                ),
                Check(
                    "shunt",
                    "mean divisor",
                    at_least=0.98,
                    at_most=1.02,
                    owner=OURS,
                    by_construction=True,
                ),
                Check(
                    "spread",
                    "standard deviation over units of the centred drive",
                    # The paper aims at 1; its scale leaves 0.77, see the note.
                    at_least=0.74,
                    at_most=0.80,
                    owner=OURS,
                    by_construction=True,
                ),
            ),
            "500 units read 500 rectified unit Gaussians. All three follow from the released"
            " constants, so that it is the code which is tested. The paper aims at a"
            " deviation of 1; its scale leaves sqrt(pi / (2 pi - 1)), 0.77, since inhibition"
            " removes what the units share. That is what is expected here.",
            owner=BY_CONSTRUCTION,
        ),
        Claim(
            "1b",
            "With corrections, a DANN learns as well as an MLP; a column-EI network, and a"
            " DANN without corrections, learn worse.",
            "abstract",
            DIGITS,
            (
                Check(
                    "dann - mlp",
                    "test error of DANN less MLP's, percentage points",
                    at_least=-1.0,
                    at_most=1.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
                Check(
                    "column_ei - dann",
                    "test error of column EI less DANN's, percentage points",
                    at_least=0.0,
                    no_effect=0.0,
                    owner=PAPER_DIRECTION,
                ),
                Check(
                    "uncorrected - dann",
                    "test error of DANN without corrections less DANN's, percentage points",
                    at_least=0.0,
                    no_effect=0.0,
                    owner=PAPER_DIRECTION,
                ),
                Check(
                    "log10 train loss dann / mlp",
                    "log10 of final training loss, DANN over MLP",
                    # "About equal" is read as at most twice: 10 ** 0.3 is 2.0.
                    at_most=0.3,
                    owner=OURS,
                ),
                Check(
                    "log10 train loss column_ei / dann",
                    "log10 of final training loss, column EI over DANN",
                    # "Much larger" is read as ten times.
                    at_least=1.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
                Check(
                    "log10 train loss uncorrected / dann",
                    "log10 of final training loss, DANN without corrections over DANN",
                    at_least=1.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
            ),
            f"{_SCALE} {_ONE_POINT} That others are worse is claimed without a size, and"
            " checked as a direction. Of training losses, no worse is read as at most twice,"
            " and much larger as ten times. Errors and losses are means of the last five"
            " epochs.",
            owner=THE_PAPERS,
            earlier="With a bound of one point on one side only, a DANN could have been any"
            " amount better.",
        ),
        Claim(
            "1c",
            "Corrections raise the usable learning rate at least tenfold: with them a DANN"
            f" learns at {RATE:g} about as well as an MLP, without them at no rate from"
            f" {WITHOUT[0]:g} on.",
            "released code, exp_configs: rates of 0.11 with and 0.004 without corrections"
            " on MNIST",
            DIGITS,
            (
                Check(
                    f"dann at {RATE:g} - mlp",
                    f"test error at {RATE:g} with corrections less MLP's, percentage points",
                    at_most=1.0,
                    owner=OURS,
                ),
                Check(
                    "best uncorrected - mlp",
                    "least test error at "
                    + ", ".join(f"{lr:g}" for lr in WITHOUT)
                    + " without corrections less MLP's, percentage points",
                    at_least=1.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
            ),
            f"{_SCALE} A rate is usable if it ends within one percentage point of the MLP"
            " at its own rate, as in 1b; one bound for both arms, and ours. It was two"
            " points until one seed of the quick budget had been seen; no seed of the"
            " paper budget had. The released rates are 28 times apart.",
            owner=THE_PAPERS,
            earlier="Corrections raise the usable learning rate more than tenfold. It held,"
            " by checks weaker than the sentence: at 0.1 a DANN trains with corrections and"
            " fails without them, and without them it ends worse at 0.01 than with them at"
            " 0.1. That 0.01 is not usable was not checked.",
        ),
        Claim(
            "1d",
            "The more outputs a layer has, the larger are the gradients of its"
            " interneurons' weights beside those of its excitatory ones.",
            "rationale of the released code's corrections, cSGD_Mixin",
            GRADIENTS,
            (
                Check(
                    "weight_ix/slope in outputs",
                    "exponent of RMS gradient of Wix over Wex in the number of outputs",
                    # The square root, by which the released code divides.
                    at_least=0.4,
                    at_most=0.6,
                    owner=OURS,
                ),
                Check(
                    "alpha/slope in outputs",
                    "exponent of RMS gradient of alpha over Wex in the number of outputs",
                    at_least=0.4,
                    at_most=0.6,
                    owner=OURS,
                ),
            ),
            "One DANN layer with ten interneurons and a softmax, labels sampled from the"
            " model: the root of the diagonal of the Fisher information. The exponent is of"
            " a log-log fit over 25 to 800 outputs. The released code divides both gradients"
            " by the root of the number of outputs, an exponent of 0.5; a tenth of leeway is"
            " ours.",
            owner=OURS,
        ),
        Claim(
            "1e",
            "A DANN's weights never change sign, and what they amount to has both signs.",
            "released code, ariamis/ei_models.py: projected gradient descent",
            DIGITS,
            (
                Check(
                    "lowest",
                    "least weight along its sign, after any step of any lawful network",
                    # Not a bound of measurement: no synapse may ever lie beyond zero.
                    at_least=0.0,
                    owner=OURS,
                    by_construction=True,
                ),
                Check(
                    "mixed",
                    "fraction of a DANN's presynaptic units with effective synapses of both"
                    " signs",
                    at_least=0.9,
                    # The effective synapses of column EI are the synapses themselves.
                    no_effect=0.0,
                    owner=OURS,
                ),
            ),
            "Every step of every DANN and column-EI network of 1b and 1c is looked at: the"
            " projection leaves no other outcome. How many units should have mixed effective"
            " signs the paper does not say; nine tenths is our bound, and of column EI it is"
            " none.",
            owner=BY_CONSTRUCTION,
        ),
        Claim(
            "1f",
            "Column EI starts slowly.",
            "reference measurements on the same digits; the paper compares with column EI",
            DIGITS,
            (
                Check(
                    "log10 early error column_ei / mlp",
                    "log10 of test error after 5 epochs, column EI over MLP",
                    # Four times.
                    at_least=0.6,
                    no_effect=0.0,
                    owner=OURS,
                ),
            ),
            f"{_SCALE} Each at its own chosen rate. Ratios are averaged as logarithms, since"
            " one large one would outweigh all others.",
            owner=OURS,
        ),
        Claim(
            "1g",
            "A DANN whose inhibition only subtracts learns about as well as an MLP too.",
            "released code, ariamis/ei_models.py: EiDense; and Li et al. 2023, who use no"
            " other",
            DIGITS,
            (
                Check(
                    "subtractive - mlp",
                    "test error of subtractive DANN less MLP's, percentage points",
                    at_least=-1.0,
                    at_most=1.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
            ),
            f"{_SCALE} {_ONE_POINT}",
            owner=OURS,
        ),
        Claim(
            "1h",
            "On Fashion-MNIST a DANN reaches the test error of a standard network.",
            "abstract, which claims it of MNIST and Kuzushiji-MNIST too",
            CLOTHING,
            (
                Check(
                    "dann - mlp",
                    "test error of DANN less MLP's, percentage points",
                    at_least=-1.0,
                    at_most=1.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
            ),
            "The published split, 60,000 images to learn from and 10,000 to judge by; three"
            " hidden layers of 500 units, 50 interneurons each, batches of 32, descent"
            f" without momentum at the released rates, {MLP_RATE:g} and {DANN_RATE:g}. It"
            " departs in three things: the released rates are those of MNIST; the paper"
            " budget has 9,375 updates, and the long one the paper's 93,750; errors are"
            " means of five judgements over the last epoch instead of the last five updates."
            f" {_ONE_POINT} The tables of test error could not be retrieved. The quick"
            " budget does not test it, for after so few updates nothing is decided. MNIST and"
            " Kuzushiji-MNIST are not tested, for lack of their files.",
            owner=THE_PAPERS,
            earlier="Of MNIST, Kuzushiji-MNIST and Fashion-MNIST; it was not tested.",
        ),
        Claim(
            "1i",
            "On CIFAR-10 a convolutional DANN learns as well as a standard VGG network.",
            "abstract; released code, conv/",
            None,
            (),
            "Not tested: the numbers could not be retrieved, the released convolutional"
            " code does not run as it is, CIFAR-10 is not shipped, and training VGG networks"
            " is beyond a laptop. A small convolutional DANN on another collection would"
            " test another claim.",
            owner=THE_PAPERS,
        ),
        Claim(
            "1j",
            "The released corrections are neither the inverse of the Fisher information's"
            " diagonal nor that of its root.",
            "released code, cSGD_Mixin: Wix over the root of the outputs, Wei over the"
            " inputs, alpha over both",
            GRADIENTS,
            (
                Check(
                    "weight_ix/Fisher slope in outputs",
                    "exponent of the Fisher information of Wix over Wex's in the number of"
                    " outputs, where the correction has 0.5",
                    # Half-way to what it is, 1.
                    at_least=0.75,
                    no_effect=0.5,
                    owner=OURS,
                ),
                Check(
                    "weight_ei/slope in inputs",
                    "exponent of RMS gradient of Wei over Wex in the number of inputs, where"
                    " the correction has 1",
                    # Half-way to its half.
                    at_most=0.75,
                    no_effect=1.0,
                    owner=OURS,
                ),
                Check(
                    "alpha/slope in inputs",
                    "exponent of RMS gradient of alpha over Wex in the number of inputs,"
                    " where the correction has 1",
                    # Half of the half that the diagonal itself would need.
                    at_most=0.25,
                    no_effect=1.0,
                    owner=OURS,
                ),
            ),
            "As 1d, and over 50 to 800 inputs of 100 outputs. The diagonal's inverse would"
            " correct Wix by its exponent in the outputs, which is twice the correction's;"
            " the root's inverse would correct Wei by its exponent in the inputs, which is"
            " half of it; and alpha's gradient does not grow with the inputs at all. Bounds"
            " lie half-way, and are ours. daleml takes the constants from the released code,"
            " and derives nothing. Descent along the natural gradient was not rebuilt.",
            owner=OURS,
            earlier="The corrections are those that the diagonal of the Fisher information"
            " prescribes. It was listed as a negative without a test; that the paper says so"
            " could not be read.",
        ),
    ),
)
