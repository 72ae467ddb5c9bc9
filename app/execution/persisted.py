"""Documents that callers name by their SHA-256 instead of sending them.

*Trusted* documents come with the store's own front end, as a manifest from hash to text; a server may let nothing
else in. *Automatic* persisted queries are learned from callers: the first sends text and hash, the others the hash.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import orjson

from app.execution.cache import RecentlyUsed
from app.execution.errors import ErrorCode, RefusedError, refusal
from app.execution.requests import GraphQLRequest, malformed

HASH_LENGTH = 64


class ManifestError(ValueError):
    """The manifest of trusted documents can't be used; the message says why."""


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
                raise ManifestError(
                    f"{key[:HASH_LENGTH]} is not the SHA-256 of its document, in lower case; "
                    "have the client's build make the manifest with SHA-256"
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


def read_manifest(content: bytes) -> dict[str, str]:
    """Return the documents of a manifest by their hashes; raise ManifestError where it is none.

    Two shapes are read: an object from hash to text, which Relay's compiler writes (`persistConfig` with a file and
    the algorithm SHA256), and the manifest of Apollo's `generate-persisted-query-manifest`.
    """
    try:
        manifest = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ManifestError(f"it is not JSON: {error}") from None
    documents = dict(_entries(manifest))
    if not documents:
        raise ManifestError("it holds no document")
    return documents


def _entries(manifest: object) -> Iterator[tuple[str, str]]:
    if not isinstance(manifest, dict):
        raise ManifestError("it is not a JSON object from hash to document")
    pairs: list[tuple[object, object]] = list(manifest.items())
    if manifest.get("format") == "apollo-persisted-query-manifest":
        operations = manifest.get("operations")
        if manifest.get("version") != 1 or not isinstance(operations, list):
            raise ManifestError("it is an Apollo manifest of a version other than 1")
        pairs = [(o.get("id"), o.get("body")) if isinstance(o, dict) else (None, None) for o in operations]
    for key, text in pairs:
        if not isinstance(key, str) or not isinstance(text, str):
            raise ManifestError("one of its entries has no hash or no document")
        yield key, text


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
