import os

os.environ.setdefault("MPLBACKEND", "Agg")  # before anything imports matplotlib
# Before anything imports numpy, whose threads would wait for cores that other tests hold: scipy's
# searches for a maximum took seven times the processor time beside a busy process. Programs that
# tests start have it too.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings

# Fixtures of a module begin before those of a test: many threads would make them many times slower
# where several tests run side by side.
torch.set_num_threads(1)

settings.register_profile(
    "daleml", deadline=None, derandomize=True
)  # no clock, and the same examples each time
settings.load_profile("daleml")


@pytest.fixture(autouse=True)
def one_thread_and_a_known_seed():
    """Tests run side by side; small tensors gain nothing from threads."""
    torch.set_num_threads(1)
    # `torch.manual_seed` would also write down, for every device that is not there, where it was
    # called: a millisecond for each test, and kept for good.
    torch.default_generator.manual_seed(0)


@pytest.fixture(autouse=True)
def no_figure_is_left_open():
    yield
    import sys

    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
