"""Refusals as answers."""

import strawberry

from app.domain.errors import DomainError
from app.schema.types.enums import ErrorCode


@strawberry.type(description="Why a mutation was refused, and what to do next. Nothing has changed.")
class UserError:
    """One refusal."""

    code: ErrorCode = strawberry.field(description="For programs.")
    message: str = strawberry.field(description="For people: what is wrong and what to do next.")
    field: list[str] | None = strawberry.field(
        description="The path of the input field that it is about, if any."
    )


def user_error(error: DomainError) -> UserError:
    """Return a refusal of the domain as GraphQL shows it."""
    return UserError(code=error.code, message=error.message, field=list(error.field) or None)
