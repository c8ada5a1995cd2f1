"""Who gets in: one small file per admission policy."""

from kvsteady.policies.aimd import Aimd
from kvsteady.policies.greedy import Greedy
from kvsteady.policies.kv_watermark import KvWatermark
from kvsteady.policies.look_ahead import LookAhead
from kvsteady.policies.max_active import MaxActive
from kvsteady.policies.named import NAMED, policy_of
from kvsteady.policies.nested_wait import NestedWait
from kvsteady.policies.new_token_ratio import NewTokenRatio
from kvsteady.policies.no_evict import GuaranteedNoEvict
from kvsteady.policies.rate_cap import RateCap
from kvsteady.policies.steady import Steady
from kvsteady.policies.wait import Wait
from kvsteady.policies.with_victims import WithVictims

__all__ = [
    "NAMED",
    "Aimd",
    "Greedy",
    "GuaranteedNoEvict",
    "KvWatermark",
    "LookAhead",
    "MaxActive",
    "NestedWait",
    "NewTokenRatio",
    "RateCap",
    "Steady",
    "Wait",
    "WithVictims",
    "policy_of",
]
