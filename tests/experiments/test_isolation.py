"""Python's ``random`` within a run is the run's own, whatever other threads draw."""

import random
import threading

from daleml.experiments.isolation import isolated
from daleml.experiments.python_random import own_random


def drawn(disturb):
    found = []
    with own_random(3):
        for draw in (random.random, random.gauss, lambda: random.sample(range(99), 5)):
            found.append(draw(*((0, 1) if draw is random.gauss else ())))
            disturb()
        state = random.getstate()
        found.append(random.random())
        random.setstate(state)
        assert found[-1] == random.random()
    return found


def test_other_threads_change_nothing():
    def elsewhere():
        thread = threading.Thread(target=lambda: (random.random(), random.seed(5)))
        thread.start()
        thread.join()

    before, functions = random.getstate(), random.random
    assert drawn(elsewhere) == drawn(lambda: None)
    assert random.getstate() == before
    assert random.random is functions


def test_it_draws_what_the_seed_gives_by_hand():
    with isolated(7):
        inside = [random.random(), random.randint(0, 9), random.choice("abc")]
        random.seed(7)
        assert random.random() == inside[0]
    by_hand = random.Random(7)
    assert inside == [by_hand.random(), by_hand.randint(0, 9), by_hand.choice("abc")]
