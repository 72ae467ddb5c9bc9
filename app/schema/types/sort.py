"""Which way lists are sorted."""

from enum import StrEnum

from app.schema.types.enums import publish


class SortDirection(StrEnum):
    """Which way a list is sorted."""

    ASC = "ASC"
    """Smallest, oldest or first of the alphabet first."""
    DESC = "DESC"
    """Largest, newest or last of the alphabet first."""


publish(SortDirection, "Which way a list is sorted.")
