"""What docs/cashback.md shows works as it stands there."""

import re
from pathlib import Path

import pytest

from app.domain.cashback.expression import VARIABLES
from tests.api.store import ADMINISTRATOR, Store

DOCUMENT = (Path(__file__).parents[2] / "docs" / "cashback.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```graphql\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
async def test_shown(api: Store, block: str) -> None:
    data = (await api.execute(block, None, ADMINISTRATOR)).data
    for answer in data.values():
        assert answer.get("userErrors", []) == []


def test_all_are_found() -> None:
    assert len(BLOCKS) == DOCUMENT.count("```graphql") == 4


def test_every_variable_is_named() -> None:
    assert [name for name in VARIABLES if f"`{name}`" not in DOCUMENT] == []
