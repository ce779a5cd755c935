"""Laborieux & Zenke 2022 (NeurIPS): holomorphic equilibrium propagation."""
