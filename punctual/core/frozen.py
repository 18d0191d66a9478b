"""Values made so often that the interpreter need not keep them from being changed: mypy does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

_Value = TypeVar("_Value")


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(field,))
def frozen(*, slots: bool = True) -> Callable[[type[_Value]], type[_Value]]:
    """A dataclass of columns that stays as it was made.

    `dataclass(frozen=True)` sets every field the long way round: for the hundred fields of a tap a fiftieth of its time.
    Without `slots` where something is worked out when it is asked for. Columns are not compared: their values are.
    """
    return dataclass(eq=False, slots=slots)
