"""Shervani-Tabar et al. 2024 (arXiv): Oja's rule beside learning from errors."""
