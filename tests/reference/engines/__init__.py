"""Engines, one request at a time: what the kernels are compared with."""
