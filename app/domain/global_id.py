"""How the API names a row: an opaque id that tells its type, the same in answers and in what is sent out."""

import base64
from binascii import b2a_base64, hexlify
from collections.abc import Callable
from uuid import UUID


def global_id(type_name: str, row_id: UUID) -> str:
    """Return the global id of a row."""
    # Letters, digits and the colon give neither of the two characters that base64 for URLs has otherwise.
    content = f"{type_name}:{row_id.hex}".encode()
    return base64.b64encode(content).rstrip(b"=").decode()


def global_ids(type_name: str) -> Callable[[UUID], str]:
    """Return what writes the global ids of a type's rows, as `global_id` does."""
    prefix = f"{type_name}:".encode()
    # Three bytes are four letters: what whole groups of three begin with is the same in all ids.
    whole = len(prefix) - len(prefix) % 3
    head, rest = b2a_base64(prefix[:whole], newline=False).decode(), prefix[whole:]
    # As long for every row; padding fills the last group of four.
    length = -(-(len(rest) + 32) * 4 // 3)

    def write(row_id: UUID) -> str:
        return head + b2a_base64(rest + hexlify(row_id.bytes), newline=False)[:length].decode()

    return write


def row_id(given: str) -> UUID:
    """Return the row that a global id of our own names; `ValueError` for what is none."""
    content = base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)).decode()
    return UUID(content.partition(":")[2])
