"""GraphQL's types, a file a noun. The enumerations come first: Strawberry takes one that nobody has published as it
is, without a description, at the first field that names it."""

from app.schema.types import enums as enums
