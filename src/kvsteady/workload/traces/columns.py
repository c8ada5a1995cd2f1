"""Which columns of a table hold the lengths and the time."""

from __future__ import annotations

from dataclasses import dataclass, fields

from kvsteady.errors import InputError, shown

# How many of a unit make a second; "iso" is a date and time in words.
PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
TIME_UNITS = (*PER_SECOND, "iso")


@dataclass(frozen=True)
class Columns:
    """The names of the columns that kvsteady reads.

    Attributes
    ----------
    prompt, output
        Columns of prompt and output tokens. In JSON, ``usage.prompt_tokens`` is a field within a
        field and ``0`` the first item of a record that is a list.
    time
        Column of arrival times, or None where there is none.
    time_unit
        ``s``, ``ms``, ``us`` or ``ns`` since any origin, or ``iso``: a date and time such as
        ``2023-11-16 18:15:46.6805900`` or ``2024-05-10T00:00:00.009930+00:00`` (UTC where no
        offset is given).

    Raises
    ------
    InputError
        An empty name, one column named twice, or an unknown unit.
    """

    prompt: str
    output: str
    time: str | None = None
    time_unit: str = "s"

    def __post_init__(self) -> None:
        if not all(self.names):
            raise InputError("a column has an empty name", field="columns")
        if len(set(self.names)) < len(self.names):
            raise InputError(f"one column is named twice: {', '.join(self.names)}", field="columns")
        if self.time_unit not in TIME_UNITS:
            raise InputError(
                f"{shown(self.time_unit)} is no unit of time",
                field="time_unit",
                allowed=", ".join(TIME_UNITS),
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The columns to read: prompt, output and, where there is one, time."""
        lengths = (self.prompt, self.output)
        return lengths if self.time is None else (*lengths, self.time)

    @classmethod
    def parse(cls, text: str) -> Columns:
        """Read ``prompt=A,output=B[,time=C[,time_unit=ms]]``, as the command line takes it.

        Raises
        ------
        InputError
            A part without ``=``, an unknown or repeated key, or no prompt or output.
        """
        keys = [each.name for each in fields(cls)]
        given: dict[str, str] = {}
        for part in text.split(","):
            key, equals, name = (piece.strip() for piece in part.partition("="))
            if not equals or key not in keys or key in given:
                raise InputError(
                    f"{shown(part)} cannot be used",
                    field="columns",
                    allowed=f"prompt=A,output=B,time=C, each of {', '.join(keys)} once",
                )
            given[key] = name
        for key in ("prompt", "output"):
            if key not in given:
                raise InputError(
                    f"no {key} column in {shown(text)}",
                    field="columns",
                    allowed="prompt=A,output=B, with time=C where there is one",
                )
        return cls(**given)
