"""Hazelden et al. 2023."""
