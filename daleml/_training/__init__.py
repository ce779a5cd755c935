"""The parts of ``daleml.training``: checks of its inputs, and of whether a run may go on."""
