"""The lock files: complete, hashed, in step with each other, and silent about where they were made."""

import json
import re
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock")
PACKAGE_LOCKS = ("tests/clients/package-lock.json", "bench/peers/mercurius/package-lock.json")


def _read(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8")


def _locked(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*])?==(\S+)", _read(name), re.MULTILINE))


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].lower() for line in requirements}


def test_every_declared_package_is_locked() -> None:
    project = tomllib.loads(_read("pyproject.toml"))
    runtime = _names(project["project"]["dependencies"])
    assert runtime - _locked("requirements.lock").keys() == set(), "run make lock"
    development = runtime | _names(project["dependency-groups"]["dev"])
    assert development - _locked("requirements-dev.lock").keys() == set(), "run make lock"


def test_both_locks_agree() -> None:
    runtime, development = (_locked(name) for name in LOCKS)
    assert runtime.items() <= development.items()


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_a_hash(name: str) -> None:
    entries = re.findall(r"^[a-z0-9].*?(?=^[a-z0-9]|\Z)", _read(name), re.MULTILINE | re.DOTALL)
    assert len(entries) == len(_locked(name))
    assert all("--hash=sha256:" in entry for entry in entries)


@pytest.mark.parametrize("name", [*LOCKS, *PACKAGE_LOCKS])
def test_no_lock_names_a_registry(name: str) -> None:
    assert re.findall(r"https?://|file:|--index-url|--find-links|\"resolved\"", _read(name)) == []


@pytest.mark.parametrize("name", PACKAGE_LOCKS)
def test_every_node_package_has_a_hash(name: str) -> None:
    packages = json.loads(_read(name))["packages"]
    assert [name for name, package in packages.items() if name and "integrity" not in package] == []
