"""Field types of a chip's file: quantities with units, and sections that state their source."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from accelsim.units import parse


def _reader(unit: str) -> BeforeValidator:
    def read(value: Any) -> Any:
        return parse(value, unit) if isinstance(value, str | int | float) else value

    return BeforeValidator(read)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


_AS_NUMBER = PlainSerializer(lambda value: value, return_type=float)

# Bounds keep every time of a run inside 64-bit picoseconds.
Hertz = Annotated[
    float, _reader("Hz"), Field(ge=1e3, le=1e12, json_schema_extra={"examples": ["1 GHz"]})
]
Seconds = Annotated[
    float, _reader("s"), Field(ge=0, le=1, json_schema_extra={"examples": ["100 ns"]})
]
BytesPerSecond = Annotated[
    float,
    _reader("B/s"),
    Field(ge=1e6, le=1e18, json_schema_extra={"examples": ["1.2 TB/s"]}),
]
Bytes = Annotated[
    int,
    BeforeValidator(_whole),
    _reader("B"),
    Field(gt=0, le=1 << 50, json_schema_extra={"examples": ["2 MiB"]}),
]


class Section(BaseModel):
    """A part of a chip's file.

    ``source`` covers the numbers of the section. ``estimated`` is true when all of them are
    estimates, or lists the keys that are; a shipped chip states one of the two everywhere.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str | None = Field(default=None, description="Where the numbers come from.")
    estimated: bool | tuple[str, ...] = Field(
        default=False, description="true, or the keys of this section that are estimates."
    )
    note: str | None = Field(default=None, description="Anything a reader should know.")
