"""Named entries of one kind."""

from __future__ import annotations

import pytest

from accelsim.errors import UnknownNameError
from accelsim.registry import Registry


@pytest.fixture
def mappers() -> Registry[int]:
    registry: Registry[int] = Registry("mapper")
    registry.add("greedy", 1)
    registry.add("exhaustive", 2)
    return registry


def test_entries_keep_their_order(mappers: Registry[int]) -> None:
    assert list(mappers) == ["greedy", "exhaustive"]
    assert len(mappers) == 2
    assert mappers["greedy"] == 1
    assert dict(mappers) == {"greedy": 1, "exhaustive": 2}


def test_adding_returns_the_entry(mappers: Registry[int]) -> None:
    assert mappers.add("new", 3) == 3


def test_a_name_is_given_once(mappers: Registry[int]) -> None:
    with pytest.raises(ValueError, match="mapper 'greedy' is registered twice"):
        mappers.add("greedy", 9)
    assert mappers["greedy"] == 1


def test_an_unknown_name_lists_the_known_ones(mappers: Registry[int]) -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown mapper 'greddy' \(did you mean 'greedy'\?"
    ):
        mappers["greddy"]
    assert "greddy" not in mappers
    assert mappers.get("greedy") == 1
