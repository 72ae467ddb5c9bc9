"""The house rules of the design that a machine can check.

The contracts on imports stand in pyproject.toml and are read by import-linter; here is what they cannot say.
"""

import ast
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

PROJECT = Path(__file__).parent.parent
APP = PROJECT / "app"

FUNCTION_LINES_MAX = 60
FORBIDDEN_NAMES = {"utils", "util", "base", "helpers", "helper", "common", "misc"}
NOT_IN_A_LAYER = {"app", "app.schema", "app.migrations"}

# What the domain may use of the standard library: nothing here reads a clock, rolls a die or touches the machine.
# Data of standards, with no behaviour of its own: docs/adr/0001-domain-of-pure-decisions.md.
DOMAIN_DATA = {"iso4217"}
DOMAIN_STDLIB = {
    "__future__",
    "abc",
    "base64",
    "binascii",
    "bisect",
    "collections",
    "csv",  # as a grammar, over text that is there
    "dataclasses",
    "datetime",  # its clock (now, today) is banned by app/domain/ruff.toml
    "decimal",
    "enum",
    "fractions",
    "functools",
    "hashlib",
    "heapq",
    "itertools",
    "json",
    "math",
    "operator",
    "re",
    "string",
    "types",
    "typing",
    "unicodedata",
    "uuid",  # as a type; making ids is banned by app/domain/ruff.toml
    "zoneinfo",
}


def _module_name(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _sources(folder: Path = APP) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "migrations" not in path.parts)


def _named(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


def _lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.slow
def test_the_import_contracts_hold() -> None:
    done = _lint_imports(PROJECT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("app/domain/money.py", "import app.settings"),
        ("app/resolvers/wallet.py", "import app.schema.query"),
        ("app/services/wallet.py", "import app.services.order"),
        ("app/services/cashback/rules.py", "import app.services.order"),
        ("app/auth.py", "import app.live"),
        ("app/jobs.py", "import app.webhooks"),
    ],
)
def test_the_import_contracts_bite(tmp_path: Path, path: str, line: str) -> None:
    for name in (path, f"{line.removeprefix('import ').replace('.', '/')}.py"):
        module = tmp_path / name
        module.parent.mkdir(parents=True, exist_ok=True)
        module.touch()
    for package in ("domain", "services/cashback"):
        (tmp_path / "app" / package).mkdir(parents=True, exist_ok=True)
    (tmp_path / "app" / "services" / "ledger.py").touch()
    for folder in [tmp_path / "app", *(found for found in (tmp_path / "app").rglob("*") if found.is_dir())]:
        (folder / "__init__.py").touch()
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    before = _lint_imports(tmp_path)
    assert before.returncode == 0, before.stdout

    (tmp_path / path).write_text(f"{line}\n", encoding="utf-8")

    done = _lint_imports(tmp_path)
    assert done.returncode == 1
    assert "BROKEN" in done.stdout


def test_every_module_has_its_place_in_a_layer() -> None:
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(contract["layers"] for contract in settings["contracts"] if contract["id"] == "layers")
    placed = {name.strip(" ()") for line in layers for name in line.split("|")}
    homeless = [
        module
        for module in sorted(grimp.build_graph("app", cache_dir=None).modules)
        if module not in NOT_IN_A_LAYER
        and not module.startswith("app.migrations.")
        and not any(module == place or module.startswith(f"{place}.") for place in placed)
    ]
    assert homeless == [], "name them in the layers of pyproject.toml"


def _imports_of_models_from_elsewhere(graph: grimp.ImportGraph) -> set[str]:
    allowed = ("app.models", "app.services", "app.loaders", "app.schema.types")
    return {
        f"{importer} imports {model}"
        for model in {"app.models"} | graph.find_descendants("app.models")
        for importer in graph.find_modules_that_directly_import(model)
        if not any(importer == room or importer.startswith(f"{room}.") for room in allowed)
    }


def test_only_services_loaders_and_types_import_models() -> None:
    guilty = _imports_of_models_from_elsewhere(grimp.build_graph("app", cache_dir=None))
    assert guilty == set(), "db.py lists them as strings; everybody else asks a service"


def test_an_import_of_models_from_elsewhere_is_found() -> None:
    graph = grimp.build_graph("app", cache_dir=None)
    for importer in ("app.services.made_up", "app.resolvers.made_up"):
        graph.add_import(importer=importer, imported="app.models.made_up")
    found = {line for line in _imports_of_models_from_elsewhere(graph) if "made_up" in line}
    assert found == {"app.resolvers.made_up imports app.models.made_up"}


def test_the_endpoint_knows_no_wallet() -> None:
    known = ("app.execution", "app.readings")
    guilty = [
        f"{_named(path)}:{line} imports {name}"
        for path in _sources(APP / "execution")
        for line, name in _imports(path)
        if name.split(".")[0] == "app" and not name.startswith(known)
    ]
    assert guilty == [], "what it needs to know of callers and of the store is handed in"


def test_the_domain_imports_itself_and_safe_standard_library_only() -> None:
    guilty = [
        f"{_named(path)}:{line} imports {name}"
        for path in _sources(APP / "domain")
        for line, name in _imports(path)
        if not (
            name == "app.domain"
            or name.startswith("app.domain.")
            or name.split(".")[0] in DOMAIN_STDLIB | DOMAIN_DATA
        )
    ]
    assert guilty == []


def test_the_domain_never_waits() -> None:
    waiting = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    guilty = [
        f"{_named(path)}:{node.lineno}"
        for path in _sources(APP / "domain")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, waiting)
    ]
    assert guilty == []


def test_the_clock_and_chance_are_banned_in_the_domain_only(tmp_path: Path) -> None:
    (tmp_path / "app" / "domain").mkdir(parents=True)
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    shutil.copy(APP / "domain" / "ruff.toml", tmp_path / "app" / "domain")
    bad = "import datetime as dt\nimport random\nimport time\n\nNOW = dt.datetime.now(dt.UTC)\n"
    for folder in ("app", "app/domain"):
        (tmp_path / folder / "clock.py").write_text(bad, encoding="utf-8")
    ruff = [str(Path(sys.executable).with_name("ruff")), "check", "--no-cache", "--select=TID251", "app"]

    done = subprocess.run(ruff, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)

    found = [line for line in done.stdout.splitlines() if "clock.py" in line]
    assert len(found) == 3, done.stdout
    assert all("domain" in line for line in found)


def test_the_models_package_is_empty() -> None:
    # Re-exports here would hide from the contracts which module imports which model.
    assert (APP / "models" / "__init__.py").read_text(encoding="utf-8").strip() == ""


def test_functions_fit_a_screen() -> None:
    guilty = [
        f"{_named(path)}:{node.lineno} {node.name} has {length} lines"
        for path in _sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert guilty == []


def test_a_noun_names_every_module() -> None:
    guilty = [_named(path) for path in APP.rglob("*") if path.stem in FORBIDDEN_NAMES]
    assert guilty == []


def test_nothing_of_the_app_is_a_module_name_twice() -> None:
    # x.py beside x/ would leave one of the two unreachable.
    guilty = [_named(path) for path in _sources() if path.with_suffix("").is_dir()]
    assert guilty == []
