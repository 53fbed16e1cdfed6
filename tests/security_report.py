"""Which tests prove which security requirement, and whether they passed.

Reads the results that ``make test`` left; fails if a requirement has no test or one of its tests did not pass.
"""

import ast
import re
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / "var" / "reports"
NOT_BUILT = "(not built yet"
NUMBER = re.compile(r"SR-(\d+)")


def requirements() -> dict[int, str]:
    """Give the text of each requirement by number."""
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", (ROOT / "docs" / "requirements.md").read_text(), re.MULTILINE)
    return {int(number): text for number, text in rows}


def _numbers(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> set[int]:
    return {int(number) for number in NUMBER.findall(ast.get_docstring(node) or "")}


def tests_by_requirement() -> dict[int, set[str]]:
    """Give the tests that name each requirement, in their own docstring or in that of their class or file."""
    found: dict[int, set[str]] = defaultdict(set)

    def look(node: ast.Module | ast.ClassDef, name: str, inherited: set[int]) -> None:
        for child in node.body:
            if isinstance(child, ast.ClassDef):
                look(child, f"{name}.{child.name}", inherited | _numbers(child))
            elif isinstance(child, ast.FunctionDef) and child.name.startswith("test_"):
                for number in inherited | _numbers(child):
                    found[number].add(f"{name}.{child.name}")

    for file in ROOT.glob("*/**/test_*.py"):
        if ".venv" not in file.parts:
            tree = ast.parse(file.read_text())
            look(tree, ".".join(file.relative_to(ROOT).with_suffix("").parts), _numbers(tree))
    return found


def results() -> dict[str, str]:
    """Give ``passed`` or ``FAILED`` of each test that ran, over all runs and parameters; skipped ones did not run."""
    outcome: dict[str, str] = {}
    for file in REPORTS.glob("*.xml"):
        for case in ET.parse(file).iter("testcase"):
            if case.find("skipped") is not None:
                continue
            name = f"{case.get('classname')}.{str(case.get('name')).split('[')[0]}"
            failed = case.find("failure") is not None or case.find("error") is not None
            outcome[name] = "FAILED" if failed or outcome.get(name) == "FAILED" else "passed"
    return outcome


def main() -> int:
    tests, ran = tests_by_requirement(), results()
    if not ran:
        print("There are no results yet: run `make test` first.")
        return 1
    wrong = later = 0
    for number, text in requirements().items():
        if NOT_BUILT in text and not tests[number]:
            later += 1
            print(f"{'later':7}SR-{number:<3}           {text}")
            continue
        states = [ran.get(name, "not run") for name in tests[number]]
        passed = states.count("passed")
        ok = passed > 0 and passed == len(states)
        wrong += not ok
        print(f"{'ok' if ok else 'FAILED':7}SR-{number:<3} {passed:3} of {len(states):<3} {text}")
        for name in sorted(tests[number]):
            if ran.get(name) != "passed":
                print(f"         {ran.get(name, 'not run')}: {name}")
    proven = len(requirements()) - wrong - later
    print(f"{proven} of {len(requirements())} requirements are proven by tests that passed; {later} are not built yet.")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
