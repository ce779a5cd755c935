"""Cornford et al. 2021: networks under Dale's law that learn as well as those without."""

from __future__ import annotations

from daleml.reproductions.claim import Check, Claim, Paper
from daleml.reproductions.papers.dann_cornford2021.experiments import (
    DIGITS,
    GRADIENTS,
    INITIALISATION,
    RATE,
)

# Parts of the notes of several claims.
_FACTS = "reference measurements on digits, by another implementation,"
_SCALE = (
    "The paper trains on MNIST and its kin; here it is 8 x 8 digits, three hidden layers of"
    " 100 units instead of 500, batches of 32, 30 epochs. Each arm's rate is the one of a"
    " common grid with the lowest validation error, on a fifth of the training images."
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
                ),
                Check("shunt", "mean divisor", at_least=0.98, at_most=1.02),
                Check(
                    "spread",
                    "standard deviation over units of the centred drive",
                    # The paper aims at 1; its scale leaves 0.77, see the note.
                    at_least=0.74,
                    at_most=0.80,
                ),
            ),
            "500 units read 500 rectified unit Gaussians. The paper aims at a deviation of"
            " 1; its scale leaves 0.77 of it, since inhibition removes what the units"
            " share. That is what is expected here.",
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
                    at_most=1.0,
                ),
                Check(
                    "column_ei - dann",
                    "test error of column EI less DANN's, percentage points",
                    at_least=0.0,
                    no_effect=0.0,
                ),
                Check(
                    "uncorrected - dann",
                    "test error of DANN without corrections less DANN's, percentage points",
                    at_least=0.0,
                    no_effect=0.0,
                ),
                Check(
                    "log10 train loss dann / mlp",
                    "log10 of final training loss, DANN over MLP",
                    # "About equal" is read as at most twice: 10 ** 0.3 is 2.0.
                    at_most=0.3,
                ),
                Check(
                    "log10 train loss column_ei / dann",
                    "log10 of final training loss, column EI over DANN",
                    # "Much larger" is read as ten times.
                    at_least=1.0,
                    no_effect=0.0,
                ),
                Check(
                    "log10 train loss uncorrected / dann",
                    "log10 of final training loss, DANN without corrections over DANN",
                    at_least=1.0,
                    no_effect=0.0,
                ),
            ),
            f"{_SCALE} That others are worse is claimed without a size, and checked as a"
            f" direction: {_FACTS} gave 0.9 and 1.5 points. Of training losses, 'about"
            " equal' is read as at most twice, and 'much larger' as ten times. Errors and"
            " losses are means of the last five epochs.",
        ),
        Claim(
            "1c",
            "Corrections raise the usable learning rate more than tenfold.",
            "released code, exp_configs: rates of 0.11 with and 0.004 without corrections"
            " on MNIST",
            DIGITS,
            (
                Check(
                    f"dann/error at {RATE:g}",
                    "test error at 0.1 with corrections, %",
                    at_most=5.0,
                ),
                Check(
                    f"uncorrected at {RATE:g} - dann at {RATE:g}",
                    "test error at 0.1 without corrections less that with them, percentage"
                    " points",
                    # The reference measurements gave 24.9 % and 1.5 %.
                    at_least=23.4,
                    no_effect=0.0,
                ),
                Check(
                    f"uncorrected at {RATE / 10:g} - dann at {RATE:g}",
                    "test error at 0.01 without corrections less that at 0.1 with them,"
                    " percentage points",
                    at_least=0.0,
                    no_effect=0.0,
                ),
            ),
            f"{_SCALE} Usable is read as: at 0.1 it trains with corrections and fails"
            f" without them, by no less than {_FACTS} gave (1.5 % against 24.9 %), and"
            " without them even a tenth of the rate ends worse. What counts as training,"
            " at most 5 %, is our own bound. A ratio of the largest rates below some error"
            " was tried, and depends on which error: without corrections no rate of the"
            " grid stays below 10 % for every seed.",
        ),
        Claim(
            "1d",
            "The more outputs a layer has, the larger are the gradients of its"
            " interneurons' weights beside those of its excitatory ones.",
            "rationale of the released code's corrections, cSGD_Mixin",
            GRADIENTS,
            (
                Check(
                    "weight_ix/slope",
                    "exponent of RMS gradient of Wix over Wex in the number of outputs",
                    # Growth as the root of the number of outputs is an exponent of 0.5.
                    at_least=0.4,
                    at_most=0.6,
                    no_effect=0.0,
                ),
                Check(
                    "alpha/slope",
                    "exponent of RMS gradient of alpha over Wex in the number of outputs",
                    at_least=0.4,
                    at_most=0.6,
                    no_effect=0.0,
                ),
            ),
            "One DANN layer with ten interneurons and a softmax, labels sampled from the"
            " model: the root of the diagonal of the Fisher information. The exponent is of"
            " a log-log fit over 25 to 800 outputs.",
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
                ),
                Check(
                    "mixed",
                    "fraction of a DANN's presynaptic units with effective synapses of both"
                    " signs",
                    at_least=0.9,
                    # The effective synapses of column EI are the synapses themselves.
                    no_effect=0.0,
                ),
            ),
            "Every step of every DANN and column-EI network of 1b and 1c is looked at. How"
            " many units should have mixed effective signs the paper does not say; nine"
            " tenths is our bound, and of column EI it is none.",
        ),
        Claim(
            "1f",
            "Column EI starts slowly.",
            "reference measurements on the same digits; the paper compares with column EI",
            DIGITS,
            (
                Check(
                    "early error column_ei / mlp",
                    "test error after 5 epochs, column EI over MLP",
                    at_least=4.0,
                    no_effect=1.0,
                ),
            ),
            f"{_SCALE} Each at its own chosen rate.",
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
                    at_most=1.0,
                ),
            ),
            _SCALE,
        ),
        Claim(
            "1h",
            "On MNIST, Kuzushiji-MNIST and Fashion-MNIST a DANN reaches the test error of a"
            " standard network.",
            "abstract",
            # Without an experiment, the claim is listed as not tested.
            None,
            (),
            "Not tested: the tables of test error could not be retrieved, so there is no"
            " size to expect, and the images are not shipped with daleml.",
        ),
        Claim(
            "1i",
            "On CIFAR-10 a convolutional DANN learns as well as a standard VGG network.",
            "abstract; released code, conv/",
            None,
            (),
            "Not tested: the numbers could not be retrieved, the released convolutional"
            " code does not run as it is, and training VGG networks is beyond a laptop.",
        ),
        Claim(
            "1j",
            "The corrections are those that the diagonal of the Fisher information"
            " prescribes.",
            "rationale of the released code's corrections, cSGD_Mixin",
            None,
            (),
            "Listed as a negative: the Fisher information of Wix grows in proportion to the"
            " number of outputs, while the released correction is one over its root. daleml"
            " takes the constants from the released code, and derives nothing. Descent"
            " along the diagonal natural gradient itself was not rebuilt.",
        ),
    ),
)
