"""The demo: networks learn digits, prove their signs, and have their synapses fitted."""

from daleml.demo.demo_training import Arm, Trained, learn
from daleml.demo.dense_networks import ARMS
from daleml.demo.row_networks import ARMS as RECURRENT_ARMS
from daleml.demo.running_demo import run

__all__ = ["ARMS", "RECURRENT_ARMS", "Arm", "Trained", "learn", "run"]
