"""What must happen, from the law of lengths: equilibrium, spectrum, orbits, thresholds, caps."""

from kvsteady.theory.caps import RateCaps, rate_caps, reservation_rate
from kvsteady.theory.certify import Certificate, Proven, certified_radius, certify, certify_weights
from kvsteady.theory.envelope import Envelope, Known, envelope
from kvsteady.theory.equilibrium import Equilibrium, equilibrium
from kvsteady.theory.eviction_scaling import EvictionScaling, eviction_scaling
from kvsteady.theory.first_eviction import FirstEviction, disturbed, first_eviction
from kvsteady.theory.lyapunov import LyapunovCertificate, lyapunov
from kvsteady.theory.mixing import Mixing, Replica, mixed_workload, mixing
from kvsteady.theory.mixing_map import MixingMap, mixing_map
from kvsteady.theory.orbits import (
    Multipliers,
    Orbit,
    OrbitStability,
    balanced_orbit,
    balanced_orbits,
    find_orbit,
    floquet,
    orbits,
    pulse_cycle,
    pulse_family,
    worst_cycle,
)
from kvsteady.theory.resume import (
    Attractor,
    Motion,
    Recompute,
    attractor,
    long_prompt_recompute,
    recompute_bound,
)
from kvsteady.theory.resume_orbits import (
    OneCohort,
    ResumeOrbit,
    every_resume_orbit,
    find_resume_orbits,
    one_cohort,
)
from kvsteady.theory.spectrum import (
    Monotone,
    Spectrum,
    Stability,
    spectrum,
    spectrum_of_weights,
)
from kvsteady.theory.thresholds import PromptThreshold, asymptotic_threshold, prompt_threshold
from kvsteady.theory.tiers import Direction, TierDesign, design_tiers
from kvsteady.theory.winding import RootCount, count_roots_outside

__all__ = [
    "Attractor",
    "Certificate",
    "Direction",
    "Envelope",
    "Equilibrium",
    "EvictionScaling",
    "FirstEviction",
    "Known",
    "LyapunovCertificate",
    "Mixing",
    "MixingMap",
    "Monotone",
    "Motion",
    "Multipliers",
    "OneCohort",
    "Orbit",
    "OrbitStability",
    "PromptThreshold",
    "Proven",
    "RateCaps",
    "Recompute",
    "Replica",
    "ResumeOrbit",
    "RootCount",
    "Spectrum",
    "Stability",
    "TierDesign",
    "asymptotic_threshold",
    "attractor",
    "balanced_orbit",
    "balanced_orbits",
    "certified_radius",
    "certify",
    "certify_weights",
    "count_roots_outside",
    "design_tiers",
    "disturbed",
    "envelope",
    "equilibrium",
    "every_resume_orbit",
    "eviction_scaling",
    "find_orbit",
    "find_resume_orbits",
    "first_eviction",
    "floquet",
    "long_prompt_recompute",
    "lyapunov",
    "mixed_workload",
    "mixing",
    "mixing_map",
    "one_cohort",
    "orbits",
    "prompt_threshold",
    "pulse_cycle",
    "pulse_family",
    "rate_caps",
    "recompute_bound",
    "reservation_rate",
    "spectrum",
    "spectrum_of_weights",
    "worst_cycle",
]
