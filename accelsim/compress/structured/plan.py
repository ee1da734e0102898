"""What structured pruning takes away, checked against the sizes of a model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from accelsim.errors import InputError, nearest

#: A share that is taken away.
Share = Annotated[float, Field(gt=0.0, lt=1.0)]
Layer = Annotated[int, Field(ge=0)]


class PrunePlan(BaseModel):
    """Which parts of a model are taken away; every share is what goes, not what stays.

    Attributes:
        heads: share of the key and value heads, each with all query heads that read it.
        queries: share of the query heads of every key and value head that stays.
        ffn: share of the channels of every feed-forward part.
        hidden: share of the width of the residual stream, the same channels in every layer.
        layers: whole layers: their numbers, or a share of them.
        by: how parts are ranked. ``magnitude`` by the norms of their weights; ``activation`` by the
            energy of what they write on a calibration text.
        multiple: channels that stay are rounded up to a multiple of this.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    heads: Share | None = None
    queries: Share | None = None
    ffn: Share | None = None
    hidden: Share | None = None
    layers: Share | tuple[Layer, ...] | None = None
    by: Literal["magnitude", "activation"] = "magnitude"
    multiple: int = Field(default=8, ge=1, le=4096)


#: What a plan takes away.
PARTS = ("heads", "queries", "ffn", "hidden", "layers")


def plan_of(given: PrunePlan | Mapping[str, Any]) -> PrunePlan:
    """Return a plan, checked for itself.

    Raises:
        InputError: unknown keys, shares outside of 0 to 1, or nothing to take away.
    """
    if isinstance(given, PrunePlan):
        plan = given
    else:
        unknown = sorted(set(given) - set(PrunePlan.model_fields))
        if unknown:
            known = PrunePlan.model_fields
            raise InputError(f"plan: unknown key {unknown[0]!r}{nearest(unknown[0], known)}")
        try:
            plan = PrunePlan.model_validate(dict(given))
        except ValidationError as error:
            key = error.errors()[0]["loc"][0]
            raise InputError(f"plan: {key} is {given[str(key)]!r}; {_NEEDED[str(key)]}") from None
    if all(getattr(plan, part) is None for part in PARTS):
        raise InputError(f"plan: nothing to take away; say one of {', '.join(PARTS)}")
    return plan


_SHARE = "a share above 0 and below 1 is needed"
_NEEDED: Mapping[str, str] = {
    **dict.fromkeys(("heads", "queries", "ffn", "hidden"), _SHARE),
    "layers": "numbers of layers, or a share above 0 and below 1, are needed",
    "by": "magnitude or activation is needed",
    "multiple": "a whole number of 1 to 4096 is needed",
}


@dataclass(frozen=True)
class Sizes:
    """Sizes of a decoder.

    Attributes:
        layers: layers.
        kv_heads: heads of keys and values.
        queries: query heads that read one of them.
        head_dim: channels of a head.
        ffn: channels of the feed-forward part.
        hidden: width of the residual stream.
    """

    layers: int
    kv_heads: int
    queries: int
    head_dim: int
    ffn: int
    hidden: int

    def after(self, plan: PrunePlan) -> Sizes:
        """Return the sizes that a plan leaves.

        Raises:
            InputError: shares that leave no whole number of heads, nothing, or everything.
        """
        return replace(
            self,
            layers=self.layers - len(self._dropped(plan)),
            kv_heads=_whole("heads", self.kv_heads, plan.heads, "key and value heads"),
            queries=_whole("queries", self.queries, plan.queries, "query heads of a group"),
            ffn=_rounded("ffn", self.ffn, plan.ffn, plan.multiple),
            hidden=_rounded("hidden", self.hidden, plan.hidden, plan.multiple),
        )

    def _dropped(self, plan: PrunePlan) -> range | tuple[int, ...]:
        """Return as many layers as go; which ones a share means, scores decide."""
        wanted = plan.layers
        if wanted is None:
            return ()
        if isinstance(wanted, float):
            return range(self.layers - _whole("layers", self.layers, wanted, "layers"))
        outside = [layer for layer in wanted if layer >= self.layers]
        if outside:
            raise InputError(
                f"plan: layers holds {outside[0]}; the model has layers 0 to {self.layers - 1}"
            )
        if len(set(wanted)) != len(wanted):
            raise InputError(f"plan: layers is {list(wanted)}; each may stand there once")
        if len(wanted) == self.layers:
            raise InputError(f"plan: layers takes all {self.layers} away; at least one must stay")
        return wanted


def _whole(part: str, count: int, share: float | None, what: str) -> int:
    """Return how many stay of what cannot be cut."""
    if share is None:
        return count
    left = count * (1.0 - share)
    if not math.isclose(left, round(left), abs_tol=1e-6) or round(left) in (0, count):
        fits = ", ".join(f"{1 - n / count:.4g}" for n in range(count - 1, 0, -1))
        known = f"shares that do: {fits}" if fits else "there is only one, so none can go"
        raise InputError(
            f"plan: {part} is {share:.4g} of {count} {what}, which leaves no whole number of them "
            f"({known})"
        )
    return round(left)


def _rounded(part: str, count: int, share: float | None, multiple: int) -> int:
    """Return how many channels stay."""
    if share is None:
        return count
    left = math.ceil(count * (1.0 - share) / multiple - 1e-9) * multiple
    if left >= count:
        raise InputError(
            f"plan: {part} is {share:.4g} of {count} channels; {left} would stay in multiples of "
            f"{multiple}, so none can go"
        )
    return left
