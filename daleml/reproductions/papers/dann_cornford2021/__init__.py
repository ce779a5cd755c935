"""Cornford et al. 2021."""
