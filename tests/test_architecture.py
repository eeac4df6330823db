"""The import rules of the house, read from the source."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"agent", "tools", "prompts", "vlm", "diffusion", "pocket", "evaluation", "benchmarks", "app"}
MAY_IMPORT: dict[str, set[str]] = {
    "prompts": set(),
    "vlm": set(),
    "diffusion": set(),
    "tools": {"vlm", "diffusion", "prompts"},
    "agent": {"tools", "vlm", "prompts"},
    "pocket": {"agent", "tools", "prompts", "vlm", "diffusion"},
    "evaluation": {"agent", "tools", "vlm", "diffusion", "prompts", "pocket"},
    "benchmarks": OURS - {"app"},
    "app": {"agent"},
}
"""Whom each package may import among ours, itself aside."""
MAY_LOAD_TORCH = {"vlm", "diffusion", "pocket", "benchmarks"}
HEAVY = {"torch", "diffusers", "transformers", "accelerate", "xgrammar"}


def package_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


FILES = [p for name in sorted(OURS) for p in sorted((ROOT / name).rglob("*.py"))] + [
    p for p in [ROOT / "app.py"] if p.exists()
]


def imported(tree: ast.AST) -> set[str]:
    """Return the first names of everything imported, at module level or not."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def at_module_level(tree: ast.Module) -> ast.Module:
    """Return the tree without function bodies and `if TYPE_CHECKING` blocks."""
    kept = [
        node
        for node in tree.body
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not (isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"))
    ]
    for node in kept:
        if isinstance(node, ast.ClassDef):
            node.body = [b for b in node.body if not isinstance(b, ast.FunctionDef | ast.AsyncFunctionDef)]
    return ast.Module(body=kept, type_ignores=[])


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_the_scan_sees_the_packages() -> None:
    """An empty scan would pass every rule below."""
    assert {package_of(p) for p in FILES} >= {"agent", "tools", "prompts", "vlm", "diffusion", "pocket"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    package = package_of(path)

    assert imported(parsed(path)) & OURS <= MAY_IMPORT[package] | {package}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_libraries_stay_where_they_belong(path: Path) -> None:
    package = package_of(path)
    names = imported(at_module_level(parsed(path)))

    assert "chainlit" not in imported(parsed(path)) or package == "app"
    if package not in MAY_LOAD_TORCH:
        assert not names & HEAVY


def test_help_does_not_load_torch() -> None:
    """A person who asks how to call the program should not wait for a framework."""
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from agent.cli import cli\n"
        "assert CliRunner().invoke(cli, ['--help']).exit_code == 0\n"
        "print('torch' in sys.modules, 'diffusers' in sys.modules, 'langgraph' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env=dict(os.environ)
    )

    assert done.stdout.split() == ["False", "False", "False"]


def test_the_web_page_only_translates_events() -> None:
    assert len((ROOT / "app.py").read_text(encoding="utf-8").splitlines()) <= 150
