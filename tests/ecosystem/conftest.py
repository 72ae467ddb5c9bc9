"""Node's tools and frameworks: installed beside these tests, with a lock of their own."""

import asyncio
import json
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import require

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SCHEMA = ROOT / "schema.graphql"
TIMEOUT_S = 180.0

Run = Callable[..., Awaitable[str]]


@pytest.fixture
def dialect() -> str:
    """What other people's programs understand does not depend on the database."""
    return "sqlite"


@pytest.fixture(scope="session")
def tools(node: str) -> Path:
    """The folder of the programs that the packages bring."""
    assert node
    folder = HERE / "node_modules" / ".bin"
    if not folder.is_dir():
        require("node", "tests/ecosystem/node_modules is not installed: run `make clients`")
    return folder


@pytest.fixture
def run(tools: Path) -> Run:
    """Run a program of the packages, or a script of this folder by node; return what it printed."""

    async def running(program: str, *arguments: object, cwd: Path = HERE, **variables: object) -> str:
        if program.endswith(".mjs"):
            command = [shutil.which("node") or "node", str(HERE / program)]
        else:
            command = [str(tools / program)]
        process = await asyncio.create_subprocess_exec(
            *command, *map(str, arguments), cwd=cwd,
            env={**os.environ, "NO_COLOR": "1", **{name: str(value) for name, value in variables.items()}},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode == 0, f"{program}:\n{out.decode()}\n{err.decode()}"
        return out.decode()

    return running


def outcome(printed: str) -> Any:
    """What a script told in its last line."""
    return json.loads(printed.strip().splitlines()[-1])
