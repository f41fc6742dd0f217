"""The layout: floors and circles of imports, modules where they belong, one meaning per class name."""

from __future__ import annotations

import ast
import re
import runpy
from functools import cache
from pathlib import Path

import pytest

import viral

PROJECT = Path(__file__).resolve().parent.parent
PACKAGES = ("viral", "jobs", "serve", "cluster")
LOOSE = {"__init__", "errors", "config"}
MOST_JOBS = 20  # modules directly in jobs; more is a list that nobody reads
ABOVE = {"viral": {"jobs", "serve", "cluster"}, "jobs": {"serve", "cluster"}, "serve": {"jobs", "cluster"}}


@cache
def modules() -> dict[str, Path]:
    """Every module of the product, by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in (PROJECT / package).rglob("*.py"):
            parts = path.relative_to(PROJECT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports() -> dict[str, set[str]]:
    """For each module the modules of the product that it imports, wherever in the file."""
    return {name: set(_imported(path)) for name, path in modules().items()}


def _imported(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                found.append(submodule if submodule in modules() else str(node.module))
    return [name for name in found if name in modules() and name not in PACKAGES]


@cache
def floors() -> dict[str, int]:
    """For each room of `viral` its floor, from the drawing in viral/README.md (top floor first)."""
    text = (PROJECT / "viral" / "README.md").read_text(encoding="utf-8")
    drawing = re.search(r"## Floors.*?```\n(.*?)```", text, re.DOTALL)
    assert drawing, "viral/README.md draws no floors"
    lines = [re.split(r"\s{2,}", line.strip())[0].split(" · ") for line in reversed(drawing[1].splitlines()) if line]
    return {room: floor for floor, rooms in enumerate(lines) for room in rooms}


def room(module: str) -> str:
    return module.split(".")[1]


def test_the_drawing_names_every_room_of_viral() -> None:
    children = (PROJECT / "viral").iterdir()
    folders = {path.name for path in children if path.is_dir() and path.name != "__pycache__"}
    assert set(floors()) == folders | (LOOSE - {"__init__"})


def test_rooms_import_only_from_lower_floors() -> None:
    upwards = [
        f"{name} imports {target}"
        for name, targets in imports().items()
        if name.startswith("viral.")
        for target in targets
        if target.startswith("viral.") and room(name) != room(target) and floors()[room(target)] >= floors()[room(name)]
    ]
    assert upwards == []


@pytest.mark.parametrize("package", list(ABOVE))
def test_no_package_imports_one_above_it(package: str) -> None:
    found = {
        f"{name} imports {target}"
        for name, targets in imports().items()
        if name.partition(".")[0] == package
        for target in targets
        if target.partition(".")[0] in ABOVE[package]
    }
    assert found == set()


def test_no_import_goes_in_a_circle() -> None:
    finished: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name in finished:
            return
        for target in sorted(imports()[name]):
            visit(target, (*path, name))
        finished.add(name)

    for name in sorted(modules()):
        visit(name, ())


def test_no_string_names_a_module_above() -> None:
    found = []
    for name, path in modules().items():
        package = name.partition(".")[0]
        for text in _strings(path):
            for mention in re.findall(r"\b(?:viral|jobs|serve|cluster)(?:\.\w+)+", text):
                if _is_above(mention, name, package):
                    found.append(f"{name} names {mention}")
    assert found == []


def _strings(path: Path) -> list[str]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def _is_above(mention: str, name: str, package: str) -> bool:
    parts = mention.split(".")
    target = next((".".join(parts[:n]) for n in range(len(parts), 1, -1) if ".".join(parts[:n]) in modules()), None)
    if target is None:
        return False
    if parts[0] in ABOVE.get(package, set()):
        return True
    if package == parts[0] == "viral" and name != "viral" and room(name) != room(target):
        return floors()[room(target)] >= floors()[room(name)]
    return False


def test_no_module_of_viral_is_loose() -> None:
    assert {path.stem for path in (PROJECT / "viral").glob("*.py")} == LOOSE


def test_each_module_of_jobs_is_a_command() -> None:
    paths = [path for path in (PROJECT / "jobs").glob("*.py") if path.stem != "__init__"]
    assert len(paths) <= MOST_JOBS
    lacking = [
        path.stem for path in paths if not re.search(r"^def command\(|^command = ", path.read_text("utf-8"), re.M)
    ]
    assert lacking == ["train"] or lacking == []


def test_class_names_have_one_meaning() -> None:
    script = runpy.run_path(str(PROJECT / ".ci" / "class_names.py"))
    assert script["repeated"](PROJECT) == {}


def test_the_documented_names_are_exported() -> None:
    text = (PROJECT / "viral" / "README.md").read_text(encoding="utf-8")
    listed = re.search(r"## In a notebook.*?```python\n(.*?)```", text, re.DOTALL)
    assert listed
    assert set(viral.__all__) - {"__version__"} == set(re.findall(r"\bviral\.(\w+)", listed[1]))
    for name in viral.__all__:
        assert getattr(viral, name) is not None
