"""The demo's sentences come from its numbers: other numbers, other sentences."""

import copy

import pytest

from daleml.pages import demo_words


def arm(label, error, ks, entropy, *, lawful=True, matrix="2"):
    return {
        "label": label,
        "test_error": [error],
        "sign_flips": [0.0 if lawful else 0.05],
        "sign_violations": [[0.0]] if lawful else [],
        "steps": 100,
        "lawless_steps": 0,
        "ks_lognormal_before": [0.01],
        "ks_lognormal": [ks],
        "svd_entropy": {matrix: [entropy, entropy]},
    }


ARMS = {
    "mlp": arm("MLP", 0.01, 0.1, 0.95, lawful=False, matrix="2.weight"),
    "column_ei": arm("column EI", 0.025, 0.2, 0.79),
    "dann_sgd": arm("DANN, SGD", 0.012, 0.13, 0.94),
    "dann_eg": arm("DANN, EG", 0.008, 0.011, 0.94),
}


@pytest.fixture
def arms():
    return copy.deepcopy(ARMS)


def test_the_lead_claims_no_more_than_was_found(arms):
    assert "no synapse of any of them had the wrong sign, ever" in demo_words.lead(arms)
    assert "after each of 300 steps" in demo_words.lead(arms)
    arms["dann_eg"]["lawless_steps"] = 7
    said = demo_words.lead(arms)
    assert "7 of those steps left a synapse with the wrong sign" in said
    assert "no synapse" not in said


def test_errors_are_those_of_the_networks(arms):
    said = demo_words.errors(arms)
    assert "MLP's 1.00%" in said
    assert "for column EI by +1.5 points" in said
    assert "for DANN, EG by -0.2 points" in said
    arms["dann_eg"]["test_error"] = [0.03]
    assert "for DANN, EG by +2.0 points" in demo_words.errors(arms)


def test_what_learning_left_of_a_shape_is_measured(arms):
    first, second = demo_words.kept_shape(arms)
    assert "Here the distance from log-normal grew 13-fold. EG" in first
    assert first.endswith("Here the shape of ln|w| stayed nearly as it was.")
    assert "was 0.0100 at the start; it is 0.1300 after gradient descent" in second
    arms["dann_sgd"]["ks_lognormal"] = [0.012]
    arms["dann_eg"]["ks_lognormal"] = [0.005]
    first, _ = demo_words.kept_shape(arms)
    assert "zero. Here the shape of ln|w| stayed nearly as it was. EG" in first
    assert first.endswith("Here the weights came nearer to a log-normal.")


def test_spectra_are_compared_by_their_entropies(arms):
    said = demo_words.spectra(arms, 2)
    assert "0.950 for the MLP, 0.790 for column EI and 0.940 for the DANN" in said
    assert "The DANN starts nearer to the MLP than column EI does." in said
    arms["column_ei"]["svd_entropy"]["2"] = [0.95, 0.95]
    arms["dann_sgd"]["svd_entropy"]["2"] = [0.6, 0.6]
    said = demo_words.spectra(arms, 2)
    assert "Column EI starts nearer to the MLP than the DANN does." in said
    arms["dann_sgd"]["svd_entropy"]["2"] = [0.94, 0.94]
    assert "start equally far" in demo_words.spectra(arms, 2)


def test_spectra_of_recurrent_networks_too():
    said = demo_words.row_spectra({"RNN": 0.95, "column EI": 0.8, "DANN": 0.94})
    assert "0.950 for the RNN, 0.800 for column EI and 0.940 for the DANN" in said
    assert "The DANN starts nearer to the RNN than column EI does." in said


def test_counts_are_called_counts_where_they_are():
    said = demo_words.how_fitted({"Worm, by receptor": True, "Fly": False})
    assert "Those of Worm are whole numbers, and are fitted as counts" in said
    assert "Those of Fly are means of counts" in said
    assert "means" not in demo_words.how_fitted({"Worm": True})


def test_the_best_family_of_a_connectome_is_named():
    row = {"best family": "inversegaussian", "log-normal behind by (AICc)": 37.2}
    said = demo_words.first_of_brains({"Worm, by receptor": [row]})
    expected = "For Worm the inverse Gaussian ranks first, with the log-normal 37.2 AICc behind."
    assert said == expected
    first = row | {"best family": "lognormal"}
    assert demo_words.first_of_brains({"Fly": [first]}).endswith("ranks first.")
    assert demo_words.first_of_brains({"Fly": [row | {"best family": None}]}) == ""


def test_populations_without_a_family_are_named():
    rows = {"mlp": [{"not fitted": "too few"}], "dann_eg": [{"not fitted": ""}]}
    assert demo_words.unfitted(rows) == ""
    rows["dann_eg"].append({"not fitted": "nearly equal"})
    assert "Where weights are `nearly equal`" in demo_words.unfitted(rows)
