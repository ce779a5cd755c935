"""Laborieux & Zenke 2022."""
