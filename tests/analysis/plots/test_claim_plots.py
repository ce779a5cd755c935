from types import SimpleNamespace

from daleml.analysis import plots


def test_a_claim_of_zeros_has_an_axis_that_can_be_read():
    check = SimpleNamespace(
        label="wrong signs", at_least=None, at_most=0.0, no_effect=None
    )
    one = SimpleNamespace(
        check=check, values=[0.0, 0.0], mean=0.0, low=0.0, high=0.0, verdict="holds"
    )
    claim = SimpleNamespace(id="example")
    drawing = plots.claim(SimpleNamespace(measured=[one], claim=claim))
    low, high = drawing.axes[0].get_xlim()
    assert high - low > 0.1
