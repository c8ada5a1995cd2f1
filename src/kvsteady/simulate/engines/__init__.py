"""Engines: one file each, named with the version whose decisions it reproduces."""
