"""Runs of made-up studies, which workers import: they draw chance, are killed, and keep count of themselves."""

import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import torch


def draws(seed, lr=0.1, rule="a"):
    """Draw from every global generator, and sum what depends on the number of threads."""
    wide = torch.rand(300, 300)
    return {
        "python": random.random() * lr,
        "numpy": np.random.rand(),
        "torch": wide[0, 0],
        "sum": (wide @ wide).sum(),
        "threads": torch.get_num_threads(),
        "rule": len(rule),
        "double": torch.zeros(1).dtype == torch.float64,
    }


def counted(seed, ledger, lr=0.1, pause=0.0):
    """Measure something, and write into a ledger that this run has ended."""
    found = draws(seed, lr)
    time.sleep(pause)
    write(ledger, f"{seed} {lr}")
    return found


def killing(seed, ledger, lr=0.1, victim=2, pause=0.0):
    """Kill the own worker in the middle of one run, the first time that it is begun."""
    mark = Path(f"{ledger}.killed")
    if seed == victim and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return counted(seed, ledger, lr, pause)


def deadly(seed, ledger):
    """Kill the own worker in every run of one seed."""
    write(ledger, f"{seed} begun")
    if seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"loss": seed}


def write(ledger, line):
    """Add a line to a file that several processes write to."""
    handle = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{line}\n".encode())
    os.close(handle)


def ended(ledger):
    """Return the runs that have ended, each as often as it has."""
    return sorted(Path(ledger).read_text().splitlines())
