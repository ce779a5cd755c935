"""Timed cases against torch and scipy, side by side in one process: `python -m benchmarks`."""
