"""The real schema is answered alike as prepared and by graphql-core: mutations told again, and all that lists show."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from graphql import (
    GraphQLField,
    get_introspection_query,
    get_named_type,
    is_composite_type,
    is_required_argument,
)

from app.execution.documents import Documents
from app.execution.engine import Engine
from app.schema.schema import schema
from tests.api.mutations import MUTATIONS, Mutation
from tests.api.store import ADMINISTRATOR, ANONYMOUS, SUPPORT, Caller, Store, document, root_fields

# Breadth, not depth: the fast loop leaves it to `make test`.
pytestmark = pytest.mark.slow

UNLIKE = {"verifyLedger"}
"""What tells how long it took."""


@contextmanager
def run_by_core(api: Store) -> Iterator[None]:
    """Switch prepared operations off while the block runs."""
    engine: Engine = api.app.state.endpoint.engine
    kept = engine._documents
    engine._documents = Documents(schema, limits=engine._limits, introspection=True, prepared=False)
    try:
        yield
    finally:
        engine._documents = kept


async def both(api: Store, text: str, variables: dict[str, Any], caller: Caller) -> tuple[str, str]:
    """Send an operation twice: the bodies as prepared and by graphql-core, in every byte but the request's id."""
    ours = (await api.client.post("/graphql", json=_body(text, variables), headers=caller.headers)).text
    with run_by_core(api):
        cores = (await api.client.post("/graphql", json=_body(text, variables), headers=caller.headers)).text
    return ours, cores


def _body(text: str, variables: dict[str, Any]) -> dict[str, Any]:
    return {"query": text, "variables": variables}


def everything(known: GraphQLField, depth: int) -> str:
    """Write all that can be asked of a field without arguments of one's own; lists by two."""
    named = get_named_type(known.type)
    if not is_composite_type(named):
        return ""
    fields = {
        name: found
        for name, found in getattr(named, "fields", {}).items()
        if not any(is_required_argument(argument) for argument in found.args.values())
    }
    if depth == 0:
        fields = {name: f for name, f in fields.items() if not is_composite_type(get_named_type(f.type))}
    if named.name.endswith("Connection"):
        fields = {name: f for name, f in fields.items() if name in {"nodes", "totalCount", "pageInfo"}}
    inner = [f"{name}{_first(found)} {everything(found, depth - 1)}" for name, found in fields.items()]
    return "{ __typename " + " ".join(inner) + " }"


def _first(known: GraphQLField) -> str:
    return "(first: 2)" if "first" in known.args else ""


ASKED = [
    name
    for name, known in root_fields("Query").items()
    if not any(is_required_argument(argument) for argument in known.args.values()) and name not in UNLIKE
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
async def test_mutations_that_are_told_again(api: Store, mutation: Mutation) -> None:
    scene = await mutation.prepare(api)
    await api.done(mutation.name, scene.input, scene.caller)

    ours, cores = await both(api, document(mutation.name), {"input": scene.input}, scene.caller)

    assert ours == cores
    assert f'"{mutation.name}"' in ours


@pytest.mark.parametrize("caller", [ADMINISTRATOR, SUPPORT, ANONYMOUS], ids=["admin", "support", "nobody"])
@pytest.mark.parametrize("name", ASKED)
async def test_all_that_lists_show(api: Store, name: str, caller: Caller) -> None:
    await api.funded("5.00")
    engine: Engine = api.app.state.endpoint.engine
    known = root_fields("Query")[name]
    asked = (f"{{ {name}{_first(known)} {everything(known, depth)} }}" for depth in (4, 3, 2, 1, 0))
    # As much as the limits allow.
    text = next(text for text in asked if engine._documents.document(text).ast is not None)

    ours, cores = await both(api, text, {}, caller)

    assert ours == cores
    assert "GRAPHQL_VALIDATION_FAILED" not in ours


async def test_introspection(api: Store) -> None:
    ours, cores = await both(api, get_introspection_query(input_value_deprecation=True), {}, ANONYMOUS)

    assert ours == cores
    assert "__schema" in ours
