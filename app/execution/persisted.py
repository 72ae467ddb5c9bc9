"""Documents that callers name by their SHA-256 instead of sending them.

*Trusted* documents come with the store's own front end, as a manifest from hash to text; a server may let nothing
else in. *Automatic* persisted queries are learned from callers: the first sends text and hash, the others the hash.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.execution.cache import RecentlyUsed
from app.execution.errors import ErrorCode, RefusedError, refusal
from app.execution.requests import GraphQLRequest, malformed

HASH_LENGTH = 64


@dataclass(slots=True, kw_only=True)
class PersistedDocuments:
    """Finds the text of a request."""

    trusted: Mapping[str, str] = field(default_factory=dict)
    only_trusted: bool = False
    automatic: bool = True
    entries_max: int = 1_000
    chars_max: int = 2_000_000
    _learned: RecentlyUsed[str] = field(init=False, repr=False)
    _trusted_texts: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for key, text in self.trusted.items():
            if _hash(text) != key:
                raise ValueError(
                    f"The manifest of trusted documents is wrong: {key} is not the hash of its text."
                )
        self._trusted_texts = frozenset(self.trusted.values())
        self._learned = RecentlyUsed(entries_max=self.entries_max, chars_max=self.chars_max)

    def text_of(self, request: GraphQLRequest) -> str:
        """Return the text to run; raise RefusedError where there is none or it may not run."""
        key = _requested_hash(request)
        if key is None:
            if request.query is None:
                raise malformed("The request has no 'query'.")
            return self._admitted(request.query)
        known = self.trusted.get(key) or self._learned.get(key)
        if known is not None:
            return known
        if request.query is None:
            raise _not_found()
        return self._learn(key, self._admitted(request.query))

    def _learn(self, key: str, text: str) -> str:
        # Checked, or one caller could make another caller's hash stand for something else.
        if _hash(text) != key:
            raise malformed("'extensions.persistedQuery.sha256Hash' is not the hash of 'query'.")
        if self.automatic:
            self._learned.put(key, text, chars=len(text))
        return text

    def _admitted(self, text: str) -> str:
        if self.only_trusted and text not in self._trusted_texts:
            raise refusal(
                ErrorCode.FORBIDDEN, "This server runs only the documents that its store published."
            )
        return text


def _requested_hash(request: GraphQLRequest) -> str | None:
    extension = (request.extensions or {}).get("persistedQuery")
    if extension is None:
        return None
    key = extension.get("sha256Hash") if isinstance(extension, dict) else None
    if not isinstance(key, str) or len(key) != HASH_LENGTH or extension.get("version") != 1:
        raise malformed("'extensions.persistedQuery' must hold version 1 and a 'sha256Hash' in hexadecimal.")
    return key


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _not_found() -> RefusedError:
    # Clients recognise this very message, and send the text.
    message = {"message": "PersistedQueryNotFound"}
    extensions = {"code": ErrorCode.PERSISTED_QUERY_NOT_FOUND.value}
    return RefusedError([{**message, "extensions": extensions}], of_document=True)
