"""Why a door turns a message away.

The whole tree::

    WebhookError
    ├── NotAuthentic        nothing shows that the store sent it
    └── Untranslatable      the store sent it, and it can't be understood
"""


class WebhookError(Exception):
    """A message that a door turns away; `message` is a sentence for whoever set the door up."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotAuthentic(WebhookError):
    """Nothing shows that the store sent it. The sentence is for logs: a stranger learns nothing from it."""


class Untranslatable(WebhookError):
    """An authentic message that can't be understood; `path` says which part of it, such as `data.lines[2].total`."""

    def __init__(self, problem: str, *, path: str = "") -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.problem = problem
        self.path = path
