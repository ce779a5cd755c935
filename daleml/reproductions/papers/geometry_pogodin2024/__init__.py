"""Pogodin et al. 2024 (ICLR): the geometry of plasticity and the change of weights."""
