"""What ``daleml.training`` is made of: its inputs, and whether a run may go on."""
