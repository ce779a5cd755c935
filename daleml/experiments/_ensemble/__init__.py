"""The parts of :class:`daleml.experiments.Ensemble`: storage, ways of running, and training."""
