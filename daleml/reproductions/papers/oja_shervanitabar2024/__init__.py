"""Shervani-Tabar et al. 2024."""
