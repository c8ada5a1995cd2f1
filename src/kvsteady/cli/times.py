"""``--time`` and ``--gpu`` to an iteration time as a run file describes it."""

from __future__ import annotations

from typing import Any

from kvsteady.errors import InputError, shown

_LINEAR = "linear:TERM=SECONDS,…, as in linear:iteration=0.02,kv_read=4e-8"


def time_part(text: str | None, gpu: str | None) -> Any:
    """A part of the schema, the name of a fitted time, or None where nothing is said."""
    from kvsteady.simulate.runfile import schema

    if text is None and gpu is not None:
        text = "roofline"
    if text == "roofline":
        if gpu is None:
            raise InputError("--gpu is missing", allowed="--time roofline --gpu h100 --model FILE")
        return schema.RooflinePart(gpu)
    if gpu is not None:
        raise InputError(f"--gpu does not go with --time {text}", allowed="with --time roofline")
    if text is None or not text.startswith("linear:"):
        return text
    known = schema.LinearPart.__struct_fields__
    terms: dict[str, float] = {}
    for pair in text.removeprefix("linear:").split(","):
        name, _, value = pair.partition("=")
        try:
            terms[name] = float(value)
        except ValueError:
            name = ""
        if name not in known:
            raise InputError(
                f"{shown(pair)} is no term",
                field="--time",
                allowed=f"{_LINEAR}; {', '.join(known)}",
            )
    return schema.LinearPart(**terms)
