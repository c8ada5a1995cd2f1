"""Figures of GPUs, for rooflines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_SOURCE = "aiconfigurator-core 0.12.0, systems/{}.yaml (NVIDIA, Apache-2.0)"


@dataclass(frozen=True)
class GPU:
    """What a roofline needs to know of a GPU.

    Parameters
    ----------
    flops
        Peak dense 16-bit tensor operations per second (two per multiply-add).
    bandwidth
        Peak bytes per second from its memory.
    link
        Bytes per second to the GPUs of its node, in one direction.
    source
        Where the figures stand.
    """

    flops: float
    bandwidth: float
    link: float
    source: str = "as given"


def _listed(file: str, tera_flops: float, giga_bandwidth: float, giga_link: float) -> GPU:
    return GPU(tera_flops * 1e12, giga_bandwidth * 1e9, giga_link * 1e9, _SOURCE.format(file))


#: Peak figures by name. NVLink where the product has it, else PCIe.
GPUS: Mapping[str, GPU] = MappingProxyType(
    {
        "a30": _listed("a30", 165, 933, 32),
        # NVIDIA A100 datasheet (June 2021): as the 80 GB one but for the memory.
        "a100-40gb": GPU(312e12, 1555e9, 300e9, "NVIDIA A100 datasheet, A100 40GB SXM"),
        "a100": _listed("a100_sxm", 312, 2039, 300),
        "a100-pcie": _listed("a100_pcie", 312, 1935, 32),
        "l4": _listed("l4", 121, 300, 32),
        "l40s": _listed("l40s", 362.05, 864, 32),
        "h100": _listed("h100_sxm", 989, 3350, 450),
        "h100-pcie": _listed("h100_pcie", 756.5, 2000, 64),
        "h200": _listed("h200_sxm", 989, 4800, 450),
        "b200": _listed("b200_sxm", 2250, 7700, 900),
        "gb200": _listed("gb200", 2500, 8000, 900),
        "rtx-pro-6000": _listed("rtx_pro_6000_server", 467.8, 1792, 64),
    }
)
