"""Verdicts on the spectrum that are proofs: exact integer and ball arithmetic (python-flint)."""

from kvsteady.theory.certify.certificate import Certificate, Proven, certify, certify_weights
from kvsteady.theory.certify.isolate import IsolatedRoots, isolate_roots
from kvsteady.theory.certify.radius import certified_radius
from kvsteady.theory.certify.whole import whole_weights

__all__ = [
    "Certificate",
    "IsolatedRoots",
    "Proven",
    "certified_radius",
    "certify",
    "certify_weights",
    "isolate_roots",
    "whole_weights",
]
