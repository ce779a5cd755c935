"""What makes the update rules fast. The rules themselves are in ``daleml.optim.rules``."""
