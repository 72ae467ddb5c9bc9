"""Ranges of time."""

import strawberry

from app.schema.types.scalars import DateTime


@strawberry.input(description="A range of time, both ends inclusive.")
class TimeRange:
    """From and to; either may be left out."""

    from_: DateTime | None = strawberry.field(default=None, name="from", description="At this time or later.")
    to: DateTime | None = strawberry.field(default=None, description="At this time or earlier.")
