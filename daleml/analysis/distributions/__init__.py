"""Distributions of synaptic weights: fitted as they were observed, and compared."""
