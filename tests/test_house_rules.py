"""Rules of the house that no linter knows, read from the source; each is shown to find what it forbids."""

import ast
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SOURCE = REPOSITORY / "src" / "rebalancer"
MODULES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))

VAGUE_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "base", "handler", "handlers", "tools"}
CATCH_ALL = {
    "executions/runner.py",
    "web/server.py",
    "guards/watch.py",
    "transfer/lane.py",
}  # lane: a process begins there
SIGNALS = {"executions/process.py"}
SAMPLES = {"cli/proof.py"}  # reads the demo's own sample files


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    offends: Callable[[ast.AST], bool]
    offence: str  # source that must be found
    innocent: str  # source that must not be found
    allowed: Callable[[str], bool] = lambda _module: False


def dotted(node: ast.AST) -> str:
    """Return ``os.walk`` for that expression; a part that is no plain name is left out: ``.walk``."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def calls(*names: str) -> Callable[[ast.AST], bool]:
    """Offended by a call of one of the names; ``.kill`` is a method of whatever it is."""

    def offends(node: ast.AST) -> bool:
        if not isinstance(node, ast.Call):
            return False
        called = dotted(node.func)
        return any(called.endswith(name) if name.startswith(".") else called == name for name in names)

    return offends


def imports(*names: str) -> Callable[[ast.AST], bool]:
    """Offended by ``from os import walk``, which would hide the name from the other rules."""

    def offends(node: ast.AST) -> bool:
        return isinstance(node, ast.ImportFrom) and any(f"{node.module}.{alias.name}" in names for alias in node.names)

    return offends


def either(*rules: Callable[[ast.AST], bool]) -> Callable[[ast.AST], bool]:
    return lambda node: any(rule(node) for rule in rules)


def removes_recursively_by_program(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        words = node.value.split()
        return words[:1] == ["rm"] and len(words) > 1 and words[1].startswith("-")
    if not isinstance(node, (ast.List, ast.Tuple)) or not node.elts:
        return False
    first = node.elts[0]
    return isinstance(first, ast.Constant) and first.value in {"rm", "/bin/rm", "/usr/bin/rm"}


def catches_everything(node: ast.AST) -> bool:
    """Offended by catching everything for good; to clean up and raise again is no catching."""
    if not isinstance(node, ast.ExceptHandler) or raises_again(node):
        return False
    kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    return any(kind is None or dotted(kind) in {"Exception", "BaseException"} for kind in kinds)


def raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def imports_relatively(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and node.level > 0


RULES = [
    Rule(
        "no recursive removal",
        either(
            calls(".rmtree", "rmtree", "os.removedirs", "os.renames"),
            imports("shutil.rmtree", "os.removedirs", "os.renames"),
            removes_recursively_by_program,
        ),
        offence="shutil.rmtree(folder)",
        innocent='"there is no rmtree here"\nos.unlink(name, dir_fd=folder)',
    ),
    Rule("no rm program", removes_recursively_by_program, 'run(["rm", "-r", folder])', 'run(["mv", "rm", "-r"])'),
    Rule("no rm in a shell", removes_recursively_by_program, 'run("rm -rf /x", shell=True)', '"rm is a word"'),
    Rule(
        "no walk that joins paths as text",
        either(calls("os.walk", "os.fwalk", ".rglob", ".walk"), imports("os.walk", "os.fwalk")),
        offence="for found in os.walk(root): pass",
        innocent="walk(root)",
        allowed=lambda module: module in SAMPLES,
    ),
    Rule(
        "signals only to processes proven ours",
        either(
            calls("os.kill", "os.killpg", "signal.pidfd_send_signal", ".pidfd_send_signal"),
            imports("os.kill", "os.killpg", "signal.pidfd_send_signal"),
        ),
        offence="from os import kill",
        innocent="import signal\nsignal.signal(signal.SIGTERM, stop)",
        allowed=lambda module: module in SIGNALS,
    ),
    Rule(
        "a process is ended in the room of the executions only",
        calls(".kill", ".terminate", ".send_signal"),
        offence="worker.process.terminate()",
        innocent="process.terminated()",
        allowed=lambda module: module.startswith("executions/"),
    ),
    Rule(
        "everything is caught in three places only",
        catches_everything,
        offence="try: pass\nexcept (OSError, Exception): pass",
        innocent="try: pass\nexcept BaseException:\n    clean_up()\n    raise",
        allowed=lambda module: module in CATCH_ALL,
    ),
    Rule(
        "nothing is caught bare",
        catches_everything,
        offence="try: pass\nexcept: pass",
        innocent="with suppress(OSError): pass",
        allowed=lambda module: module in CATCH_ALL,
    ),
    Rule("imports are absolute", imports_relatively, "from . import names", "from rebalancer import names"),
    Rule(
        "only the command line prints",
        calls("print"),
        offence="print('done')",
        innocent="output.print_table(rows)",
        allowed=lambda module: module.startswith("cli/"),
    ),
]


def offences(rule: Rule, source: str) -> Iterator[int]:
    return (getattr(node, "lineno", 0) for node in ast.walk(ast.parse(source)) if rule.offends(node))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_house_keeps_the_rule(rule: Rule) -> None:
    found = [
        f"src/rebalancer/{module}:{line}"
        for module in MODULES
        if not rule.allowed(module)
        for line in offences(rule, (SOURCE / module).read_text())
    ]

    assert found == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_rule_finds_what_it_forbids_and_nothing_else(rule: Rule) -> None:
    assert list(offences(rule, rule.offence)) != []
    assert list(offences(rule, rule.innocent)) == []


def vague(modules: list[str]) -> list[str]:
    return [module for module in modules if VAGUE_NAMES.intersection(Path(module).with_suffix("").parts)]


def test_every_module_is_named_after_what_it_holds() -> None:
    assert vague(MODULES) == []
    assert vague(["transfer/utils.py", "common/names.py", "names.py"]) == ["transfer/utils.py", "common/names.py"]


def test_there_is_source_to_be_judged() -> None:
    assert {"errors.py", "transfer/__init__.py", "planning/plan.py"}.issubset(MODULES)


def test_the_lock_names_no_machine_and_holds_every_dependency() -> None:
    lock = (REPOSITORY / "requirements.lock").read_text()
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    locked = {line.partition("==")[0] for line in lock.splitlines() if "==" in line}
    wanted = {name_of(text) for text in [*project["dependencies"], *project["optional-dependencies"]["dev"]]}

    assert wanted.issubset(locked)
    assert not any(mark in lock for mark in ("://", "--index-url", "--find-links", "--trusted-host", "/home/", "/opt/"))


def name_of(requirement: str) -> str:
    return requirement.partition(">=")[0].strip()
