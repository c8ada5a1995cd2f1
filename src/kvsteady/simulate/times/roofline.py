"""Iteration time from a model's config.json and a GPU's figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike

from kvsteady.errors import InputError, shown
from kvsteady.memory import (
    DTYPE_BYTES,
    ModelConfig,
    Weights,
    model_weights,
    parameter_count,
    read_model_config,
)
from kvsteady.simulate.times.form import TimeForm, rows_form
from kvsteady.simulate.times.gpus import GPU, GPUS
from kvsteady.simulate.times.linear import LinearTime
from kvsteady.workload.ranges import real_number, whole_number

#: Share of the peak FLOP/s that a long prefill reaches. Measured matrix products of Llama-3.1-8B at
#: 2,048 tokens: 0.79 on A100, 0.72 on H100, 0.75 on RTX PRO 6000 (aiconfigurator-core 0.12.0).
COMPUTE_EFFICIENCY = 0.75

#: Share of the peak bandwidth that decoding reaches: aiconfigurator-core 0.12.0 uses 0.8; one
#: request on an A100 40GB was measured at 0.77 (johnmusgrave.com, vLLM 0.23.0).
BANDWIDTH_EFFICIENCY = 0.8

#: How far arithmetic hides behind the reading of weights: 1 is the classical roofline, 0 their sum.
#: Llama-3.1-8B at 300 tokens: 0.4 on RTX PRO 6000 to 0.7 on A100 and H100 (aiconfigurator-core).
OVERLAP = 0.5

#: Seconds of an iteration that are neither arithmetic nor memory: kernel starts, the engine's loop.
OVERHEAD = 0.5e-3

# Seconds of one all-reduce beyond its bytes (aiconfigurator-core 0.12.0, p2p_latency).
_EXCHANGE_LATENCY = 10e-6
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")


@dataclass(frozen=True)
class RooflineTime:
    """Seconds of an iteration on one replica, by what they are spent on.

    Reading the weights and multiplying by them overlap; attention, the exchange between GPUs and
    the overhead come on top.

    Parameters
    ----------
    weights
        Reading the weights once.
    prefill, decode
        Arithmetic of one prefill token, and of one decoded token (which needs the output head).
    kv_read
        Reading one KV token.
    prefill_pairs
        Attention of one query-key pair of the prefill.
    exchange
        All-reduces of one token, under tensor parallelism.
    overhead
        Every iteration.
    overlap
        See `OVERLAP`.
    """

    weights: float
    prefill: float
    decode: float
    kv_read: float
    prefill_pairs: float
    exchange: float
    overhead: float
    overlap: float = OVERLAP

    def form(self) -> TimeForm:
        """A group of two rows, of which the larger counts, and a group of what adds up."""
        hidden, plain = self.overlap, 1.0 - self.overlap
        compute = (0.0, 0.0, hidden * self.prefill, hidden * self.decode, 0.0, 0.0)
        memory = (hidden * self.weights, 0.0, 0.0, 0.0, 0.0, 0.0)
        added = (
            plain * self.weights + self.overhead,
            0.0,
            plain * self.prefill + self.exchange,
            plain * self.decode + self.exchange,
            self.kv_read,
            self.prefill_pairs,
        )
        return rows_form([compute, memory], [added])

    def summed(self) -> LinearTime:
        """The same without any overlap: a linear upper bound, and a prior for `fit_time`."""
        return LinearTime(
            iteration=self.weights + self.overhead,
            prefill=self.prefill + self.exchange,
            decode=self.decode + self.exchange,
            kv_read=self.kv_read,
            prefill_pairs=self.prefill_pairs,
        )


def roofline(
    config: ModelConfig | str | PathLike[str] | Mapping[str, object],
    gpu: GPU | str,
    *,
    tensor_parallel: int = 1,
    weights: int | float | str | None = None,
    active_parameters: float | None = None,
    compute_efficiency: float = COMPUTE_EFFICIENCY,
    bandwidth_efficiency: float = BANDWIDTH_EFFICIENCY,
    overlap: float = OVERLAP,
    overhead: float = OVERHEAD,
) -> RooflineTime:
    """What an iteration takes, from first principles. Expect ±30%; a fit or a table is better.

    Every KV layer counts as reading the whole context (sliding windows: an upper bound), and all
    experts' weights as read in each iteration (few tokens: an upper bound).

    Parameters
    ----------
    config
        A model, or what `kvsteady.memory.read_model_config` reads.
    gpu
        A key of `GPUS`, or figures of your own.
    tensor_parallel
        GPUs that every layer is split over.
    weights
        Size of all weights, for `kvsteady.memory.parse_bytes`; None: see `model_weights`.
    active_parameters
        Parameters one token is multiplied with; None: all but the embedding. Must be given for
        mixtures of experts, and where they cannot be counted.
    compute_efficiency, bandwidth_efficiency
        Shares of the peak figures that are reached, in (0, 1].
    overlap, overhead
        See `OVERLAP` and `OVERHEAD`.

    Raises
    ------
    InputError
        If an argument is out of range, the GPU is not listed, or something cannot be derived.
    """
    model = config if isinstance(config, ModelConfig) else read_model_config(config)
    figures = _figures(gpu)
    tp = whole_number(tensor_parallel, "tensor_parallel", 1, 2**16)
    flops = tp * figures.flops * _share(compute_efficiency, "compute_efficiency")
    bandwidth = figures.bandwidth * _share(bandwidth_efficiency, "bandwidth_efficiency")
    sizes = model_weights(model, weights)
    read = sizes.total if sizes.tied else sizes.total - sizes.embedding
    body, head = _multiplied(model, active_parameters)
    attending = sum(kind.holds_kv for kind in model.layers)
    pair = 4.0 * attending * model.attention_heads * model.head_dim  # query·key and weight·value
    all_reduces = 2 * len(model.layers) if tp > 1 else 0
    return RooflineTime(
        weights=read / tp / bandwidth,
        prefill=2.0 * body / flops,
        decode=2.0 * (body + head) / flops,
        kv_read=attending * model.layer_bytes(tp) / bandwidth,
        prefill_pairs=pair / flops,
        exchange=all_reduces * _ring_bytes(model, tp) / figures.link,
        overhead=_at_least_0(overhead, "overhead") + all_reduces * _EXCHANGE_LATENCY,
        overlap=_share(overlap, "overlap") if overlap else 0.0,
    )


def _figures(gpu: GPU | str) -> GPU:
    if isinstance(gpu, GPU):
        for name in ("flops", "bandwidth", "link"):
            real_number(getattr(gpu, name), name)
        return gpu
    if gpu not in GPUS:
        raise InputError(f"no figures of {shown(gpu)}", field="gpu", allowed=", ".join(GPUS))
    return GPUS[gpu]


def _share(value: object, name: str) -> float:
    share = real_number(value, name)
    if share > 1:
        raise InputError(f"{shown(value)} is out of range", field=name, allowed="0 < share ≤ 1")
    return share


def _at_least_0(value: object, name: str) -> float:
    return real_number(value, name) if value else 0.0


def _multiplied(model: ModelConfig, given: float | None) -> tuple[float, float]:
    """Parameters that multiply every token, and those of the head, which only decoded ones meet."""
    if given is not None:
        return real_number(given, "active_parameters"), 0.0
    for name in _EXPERTS:
        if model.fields.values.get(name):
            raise InputError(
                "a mixture of experts does not multiply every token with all its parameters",
                field="active_parameters",
                allowed="how many it does, as the model's name or card says",
            )
    count: Weights = parameter_count(model)
    return count.total - count.embedding - count.head, count.embedding if count.tied else count.head


def _ring_bytes(model: ModelConfig, tp: int) -> float:
    """What each GPU sends for one token in one ring all-reduce."""
    dtype = DTYPE_BYTES[model.dtype] if model.dtype is not None else 2
    return 2.0 * (tp - 1) / tp * model.fields.count("hidden_size") * dtype
