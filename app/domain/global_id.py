"""How the API names a row: an opaque id that tells its type, the same in answers and in what is sent out."""

import base64
from uuid import UUID


def global_id(type_name: str, row_id: UUID) -> str:
    """Return the global id of a row."""
    # Letters, digits and the colon give neither of the two characters that base64 for URLs has otherwise.
    content = f"{type_name}:{row_id.hex}".encode()
    return base64.b64encode(content).rstrip(b"=").decode()


def row_id(given: str) -> UUID:
    """Return the row that a global id of our own names; `ValueError` for what is none."""
    content = base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)).decode()
    return UUID(content.partition(":")[2])
