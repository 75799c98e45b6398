"""The four descriptions of the environment agree, and nothing machine-specific is in them."""

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


@cache
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@cache
def conda() -> dict:
    return yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))


def declared(*, extras: bool = True) -> list[Requirement]:
    lines = list(project()["dependencies"])
    if extras:
        lines += [line for extra in project()["optional-dependencies"].values() for line in extra]
    return [Requirement(line) for line in lines]


def locked() -> dict[str, Requirement]:
    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in pins}


def as_set(requirements: list[Requirement]) -> set[tuple[str, str]]:
    return {(canonicalize_name(r.name), str(r.specifier)) for r in requirements}


def test_environment_yml_and_pyproject_ask_for_the_same() -> None:
    pip_part = next(d["pip"] for d in conda()["dependencies"] if isinstance(d, dict))
    assert pip_part[-1] == "-e ."
    assert as_set([Requirement(line) for line in pip_part[:-1]]) == as_set(declared())


def test_environment_yml_asks_for_the_same_python() -> None:
    python = next(d for d in conda()["dependencies"] if str(d).startswith("python"))
    asked = SpecifierSet(python.removeprefix("python"))
    assert asked == SpecifierSet(project()["requires-python"])


def test_conda_can_read_environment_yml() -> None:
    rattler = pytest.importorskip("rattler", reason="py-rattler (conda's parser) is not installed")
    assert set(conda()) == {"name", "channels", "dependencies"}
    specs = [d for d in conda()["dependencies"] if isinstance(d, str)]
    assert len(specs) == 3
    for spec in specs:
        assert rattler.MatchSpec(spec, strict=True).name is not None


def test_the_lock_pins_everything_that_is_declared() -> None:
    pins = locked()
    for requirement in declared():
        pin = pins[canonicalize_name(requirement.name)]
        (only,) = pin.specifier
        assert only.operator == "==", pin
        assert requirement.specifier.contains(only.version), f"{pin} is not {requirement}"


def test_the_lock_holds_names_and_versions_only() -> None:
    for line in (ROOT / "requirements.lock").read_text("utf-8").splitlines():
        assert line.startswith("#") or re.fullmatch(
            r'[A-Za-z0-9._-]+==[A-Za-z0-9._]+( ; sys_platform == "linux")?', line
        ), line


def test_as_a_library_only_lower_bounds() -> None:
    for requirement in declared(extras=False):
        assert {s.operator for s in requirement.specifier} == {">="}, requirement


def test_every_package_that_is_imported_is_declared() -> None:
    extras = project()["optional-dependencies"]  # of commands that say what to install
    lines = [*project()["dependencies"], *extras["export"], *extras["publish"], *extras["course"]]
    lines += extras["heic"]
    names = {canonicalize_name(Requirement(line).name) for line in lines}
    providers = metadata.packages_distributions()
    own = {"bradcn_nb"} | set(sys.stdlib_module_names)
    own |= {"transformers"}  # `bench` measures against it where the extra "test" is installed
    for path in sorted((ROOT / "bradcn_nb").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                roots = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                roots = {str(node.module).split(".")[0]}
            else:
                continue
            for root in roots - own:
                by = {canonicalize_name(name) for name in providers.get(root, [root])}
                assert by & names, f"{path.relative_to(ROOT)} imports {root}: not in pyproject.toml"


def test_no_machine_path_or_host_in_the_project_files() -> None:
    files = ["pyproject.toml", "environment.yml", "requirements.lock", "Makefile", ".ci/run"]
    for name in files:
        text = (ROOT / name).read_text("utf-8")
        assert not re.search(r"/(home|root|work)/|file://|--index-url|--find-links", text), name
        assert "://" not in text, name


def test_the_makefile_knows_its_targets() -> None:
    """`make -n` parses the file and finds every documented target, without running anything."""
    for target in ("book", "test", "refresh", "data", "weights", "lpips", "clean", "help"):
        result = subprocess.run(
            ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
