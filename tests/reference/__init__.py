"""Slow, plain implementations of the theory, to hold the fast ones against."""
