"""Opaque global ids, and the interface of everything that has one."""

import binascii
from typing import cast
from uuid import UUID

import strawberry

from app.domain.errors import FieldInvalid
from app.domain.global_id import global_id

ID_DESCRIPTION = "Globally unique and opaque; never parse it or make one up."


def encode_id(type_name: str, row_id: UUID) -> strawberry.ID:
    """Return the global id of a row."""
    # Not called as a type: that is a function of its own, and there may be hundreds of ids in an answer.
    return cast("strawberry.ID", global_id(type_name, row_id))


def decode_any_id(text: str, *, field: tuple[str, ...] = ("id",)) -> tuple[str, UUID]:
    """Return the type's name and the row's id, or raise `FieldInvalid`."""
    try:
        if len(text) > 100:
            raise ValueError("too long")
        plain = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
        # As `b64decode`, which takes most of its time to find out what it was given.
        content = binascii.a2b_base64(plain, strict_mode=True).decode("ascii")
        type_name, separator, row_id = content.partition(":")
        if not separator or len(row_id) != 32:
            raise ValueError("not an id")
        return type_name, UUID(int=int(row_id, 16))
    except (ValueError, binascii.Error):
        raise FieldInvalid("This is no id. Use an `id` just as the API gave it.", field=field) from None


def decode_id(text: str, type_name: str, *, field: tuple[str, ...] = ("id",)) -> UUID:
    """Return the row's id from a global id of that type, or raise `FieldInvalid`."""
    found, row_id = decode_any_id(text, field=field)
    if found != type_name:
        raise FieldInvalid(
            f"This id names another type of object. Give the id of a {type_name}.", field=field
        )
    return row_id


@strawberry.interface(description="An object that can be fetched again by its id.")
class Node:
    """Implemented by every type with a global id."""

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id; every type says how."""
        raise NotImplementedError
