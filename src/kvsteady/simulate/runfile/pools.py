"""Prefill and decode pools of a run file: what must be there, and how KV gets across."""

from __future__ import annotations

from pathlib import Path

from kvsteady.errors import InputError
from kvsteady.memory import read_model_config
from kvsteady.simulate.fleet import Transfer
from kvsteady.simulate.runfile import schema


def pools_of(run: schema.RunFile) -> tuple[schema.PoolPart, schema.PoolPart] | None:
    """Both pools; None where every replica prefills and decodes.

    Raises
    ------
    InputError
        One pool without the other, a transfer without pools, or other replicas beside them.
    """
    if run.prefill is None and run.decode is None and run.transfer is None:
        return None
    for name in ("prefill", "decode"):
        if getattr(run, name) is None:
            given = "transfer" if run.prefill is run.decode is None else "the other pool"
            raise InputError(
                f"is missing, and {given} is given", field=name, allowed="prefill and decode"
            )
    for name, usual in (("replicas", 1), ("router", None)):
        if getattr(run, name) != usual:
            raise InputError(
                "prefill and decode are given too", field=name, allowed=f"{name} of each pool"
            )
    assert run.prefill is not None
    assert run.decode is not None
    return run.prefill, run.decode


def transfer_of(run: schema.RunFile, folder: Path) -> Transfer:
    """How long KV is on its way; no time where the file does not say.

    Raises
    ------
    InputError
        Two speeds, bytes per second without knowing the bytes per token, or a number out of range.
    """
    part = schema.TransferPart() if run.transfer is None else run.transfer
    if part.bytes_per_second is None:
        if part.bytes_per_token is not None:
            raise InputError(
                "bytes_per_second is missing", field="transfer", allowed="with bytes_per_token"
            )
        return Transfer(part.seconds_per_token or 0.0, part.seconds)
    if part.seconds_per_token is not None:
        raise InputError(
            "seconds_per_token and bytes_per_second are both given",
            field="transfer",
            allowed="one of them",
        )
    each: float | None = part.bytes_per_token
    if each is None and run.memory.model is not None:
        model = read_model_config(folder / run.memory.model, kv_dtype=run.memory.kv_dtype or "auto")
        each = model.bytes_per_token
    if each is None:
        raise InputError(
            "is missing",
            field="transfer.bytes_per_token",
            allowed="bytes of KV per token, or a model in memory",
        )
    return Transfer.over(part.bytes_per_second, each, part.seconds)
