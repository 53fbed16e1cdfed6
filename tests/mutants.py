"""``make mutants``: change one thing at a time in what decides, and see whether a test notices.

    SAMPLE=60 SEED=7 make mutants

Draws ``SAMPLE`` changes at random, runs the tests of the changed module against each, two at a time, and prints the
score and the changes that survived. It works on copies; the checkout stays as it is.
"""

import argparse
import ast
import copy
import difflib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).resolve().parent.parent
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "var", "node_modules", ".hypothesis", ".*_cache", "__pycache__")
# What decides, and the tests that must notice: those that notice most, first.
TESTS = {
    "accounts/throttles.py": [
        "accounts/tests/test_throttles.py", "accounts/tests/test_shares.py", "mfa/tests/test_tries.py",
    ],
    "accounts/signin.py": [
        "accounts/tests/test_signing_in.py", "accounts/tests/test_throttles.py", "mfa/tests/test_otp_prompt.py",
        "mfa/tests/test_somebody_knows_my_password.py", "tests/test_cli_contract.py",
    ],
    "accounts/delivery.py": ["accounts/tests/test_delivery.py", "accounts/tests/test_mail_reports.py"],
    "accounts/bounce_addresses.py": ["accounts/tests/test_bounces.py"],
    "accounts/bounces.py": ["accounts/tests/test_bounces.py"],
    "accounts/housekeeping.py": [
        "accounts/tests/test_housekeeping.py", "accounts/tests/test_outbox.py", "accounts/tests/test_shares.py",
    ],
    "mfa/challenges.py": [
        "mfa/tests/test_challenges.py", "mfa/tests/test_otp_prompt.py", "mfa/tests/test_tries.py",
        "mfa/tests/test_changing_modes.py", "mfa/tests/test_recovery.py", "mfa/tests/test_assisted_reset.py",
        "accounts/tests/test_shares.py", "tests/test_cli_contract.py",
    ],
    "mfa/codes.py": ["mfa/tests/test_clock.py", "mfa/tests/test_activation.py", "mfa/tests/test_otp_prompt.py"],
    "mfa/activation.py": [
        "mfa/tests/test_activation.py", "mfa/tests/test_first_factor.py", "mfa/tests/test_tries.py",
    ],
    "organizations/policy.py": [
        "organizations/tests/test_policy.py", "organizations/tests/test_policy_options.py",
        "organizations/tests/test_policy_api.py", "organizations/tests/test_rights_that_ended.py",
        "mfa/tests/test_remembered_browsers.py", "tests/test_budgets.py",
    ],
}  # fmt: skip
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
# A filter's boundary, and its direction.
LOOKUPS = {"lt": ("lte", "gt"), "lte": ("lt", "gte"), "gt": ("gte", "lt"), "gte": ("gt", "lte")}
# Seen by the concurrency tests on PostgreSQL alone, or by no test at all.
NOT_CHANGED = {"durable", "no_key", "of", "frozen"}
PATIENCE_SECONDS = 600


@dataclass(frozen=True)
class Mutant:
    """One change of one module."""

    module: str
    line: int
    what: str
    source: str


def _operators(node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """Yield an expression with another operator."""
    changed = copy.deepcopy(node)
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            other = copy.deepcopy(node)
            other.ops[index] = COMPARISONS[type(operator)]()
            yield "comparison", other
    elif isinstance(changed, ast.BoolOp):
        changed.op = ast.And() if isinstance(changed.op, ast.Or) else ast.Or()
        yield "and/or", changed
    elif isinstance(changed, ast.UnaryOp) and isinstance(changed.op, ast.Not):
        yield "not", changed.operand
    elif isinstance(changed, ast.BinOp) and isinstance(changed.op, ast.Add | ast.Sub):
        changed.op = ast.Sub() if isinstance(changed.op, ast.Add) else ast.Add()
        yield "plus/minus", changed


def _values(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield other values of a constant, and other lookups of a filter."""
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "constant", ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield "constant", ast.Constant(node.value + 1)
        yield "constant", ast.Constant(node.value - 1)
    elif isinstance(node, ast.keyword) and node.arg:
        name, _dunder, lookup = node.arg.rpartition("__")
        for other in LOOKUPS.get(lookup, ()):
            yield "lookup", ast.keyword(f"{name}__{other}", copy.deepcopy(node.value))


def _statements(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield what else a statement may do: the other branch, nothing, or return nothing."""
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        if not isinstance(node.test, ast.Compare | ast.UnaryOp | ast.BoolOp):  # these have changes of their own
            changed = copy.deepcopy(node)
            changed.test = ast.UnaryOp(ast.Not(), changed.test)
            yield "condition", changed
    elif isinstance(node, ast.Return) and node.value and ast.unparse(node.value) not in {"None", "False", "0", "''"}:
        yield "return value", ast.Return(ast.Constant(None))
    elif isinstance(node, ast.Raise | ast.AugAssign | ast.Delete) or _is_call(node) or _sets_attribute(node):
        yield "statement dropped", ast.Pass()


def _swaps(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield what may stand in the place of a node, with a name for the change."""
    if isinstance(node, ast.expr):
        yield from _operators(node)
    yield from _values(node)
    yield from _statements(node)


def _is_call(node: ast.AST) -> bool:
    """Return whether a statement is a call whose result is not kept. Calls that log decide nothing."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and not ast.unparse(node).startswith("log.")


def _sets_attribute(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute)


def _sites(tree: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    """Yield each place of a tree that holds a node: its parent, the field, the index in a list."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in NOT_CHANGED:
            continue
        for name, value in ast.iter_fields(node):
            if name in {"decorator_list", "annotation", "returns"}:
                continue
            for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(child, ast.AST):
                    yield node, name, index


def mutants_of(module: str, source: str) -> Iterator[Mutant]:
    """Yield every change of a module, in the order of its text."""
    tree = ast.parse(source)
    line = 0
    for parent, name, index in list(_sites(tree)):
        value = getattr(parent, name)
        child = value if index is None else value[index]
        line = getattr(child, "lineno", line)
        for what, other in _swaps(child):
            _put(parent, name, index, other)
            yield Mutant(module, line, what, ast.unparse(ast.fix_missing_locations(tree)))
            _put(parent, name, index, child)


def _put(parent: ast.AST, name: str, index: int | None, child: ast.AST) -> None:
    if index is None:
        setattr(parent, name, child)
    else:
        getattr(parent, name)[index] = child


def is_noticed(mutant: Mutant, folder: Path, tests: list[str], number: int) -> bool:
    """Return whether a test of the mutant's module fails in ``folder``. A test that hangs has noticed too."""
    file = folder / mutant.module
    original = (ROOT / mutant.module).read_text()
    file.write_text(mutant.source)
    # Python tells a stale bytecode file by its time: no two versions of this file may share one.
    os.utime(file, (number + 1_000_000_000,) * 2)
    try:
        return _run(folder, tests) != 0
    finally:
        file.write_text(original)
        os.utime(file, (number + 1_100_000_000,) * 2)


def _run(folder: Path, tests: list[str]) -> int:
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / ".hypothesis")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, check=False, timeout=PATIENCE_SECONDS
        )
    except subprocess.TimeoutExpired:
        return 1
    if done.returncode not in {0, 1, 2}:  # 2: a module that cannot be imported any more
        raise RuntimeError(done.stdout.decode()[-2000:] + done.stderr.decode()[-2000:])
    return done.returncode


def diff_of(mutant: Mutant) -> str:
    original = ast.unparse(ast.parse((ROOT / mutant.module).read_text()))
    lines = difflib.unified_diff(original.splitlines(), mutant.source.splitlines(), n=1, lineterm="")
    return "\n".join(f"    {line}" for line in list(lines)[3:])


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sample", type=int, default=int(os.environ.get("SAMPLE", "60")))
    options.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or random.randrange(1000)))
    options.add_argument("--parallel", type=int, default=2)
    options.add_argument("--module", choices=TESTS, help="only this module")
    chosen = options.parse_args()

    modules = [chosen.module] if chosen.module else list(TESTS)
    every = [mutant for module in modules for mutant in mutants_of(module, (ROOT / module).read_text())]
    drawn = random.Random(chosen.seed).sample(every, min(chosen.sample, len(every)))
    print(f"{len(drawn)} of {len(every)} mutants; seed {chosen.seed}", flush=True)
    survivors = []
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="portal-mutants-") as temporary:
        folders: Queue[Path] = Queue()
        for number in range(chosen.parallel):
            folder = Path(temporary) / str(number)
            shutil.copytree(ROOT, folder, ignore=NOT_COPIED)
            folders.put(folder)
        for module in modules:
            if _run(Path(temporary) / "0", TESTS[module]):
                print(f"The tests of {module} fail without any change.")
                return 1

        def judge(numbered: tuple[int, Mutant]) -> tuple[Mutant, bool]:
            number, mutant = numbered
            folder = folders.get()
            try:
                return mutant, is_noticed(mutant, folder, TESTS[mutant.module], number)
            finally:
                folders.put(folder)

        with ThreadPoolExecutor(chosen.parallel) as pool:
            for mutant, noticed in pool.map(judge, enumerate(drawn)):
                print("." if noticed else "S", end="", flush=True)
                if not noticed:
                    survivors.append(mutant)

    print(f"\n{len(drawn) - len(survivors)} of {len(drawn)} killed in {time.monotonic() - started:.0f} s.")
    for mutant in survivors:
        print(f"\n{mutant.module}:{mutant.line} ({mutant.what})\n{diff_of(mutant)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
