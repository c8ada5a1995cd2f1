"""Ratios to named peers, measured in one run: ``python -m benchmarks``."""
