"""What docs/scale.md shows for containers: valid for Kubernetes, and an image that has all that it needs."""

import re
import tomllib
from pathlib import PurePosixPath
from typing import Any

import pytest

from tests.docs.pages import read
from tests.support import ROOT


def test_the_indexed_job_is_valid() -> None:
    validate = pytest.importorskip("kubernetes_validate")
    yaml = pytest.importorskip("yaml")
    (text,) = re.findall(r"```yaml\n(apiVersion.*?)```", read("docs/scale.md"), flags=re.DOTALL)
    job: dict[str, Any] = yaml.safe_load(text)
    validate.validate(job, "1.31", strict=True)
    spec = job["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert spec["completionMode"] == "Indexed"
    assert f"--shard $((JOB_COMPLETION_INDEX + 1))/{spec['completions']}" in container["args"][0]


def parse_dockerfile() -> list[dict[str, Any]]:
    module = pytest.importorskip("dockerfile_parse")
    parser = module.DockerfileParser(fileobj=(ROOT / "Dockerfile").open("rb"))
    structure: list[dict[str, Any]] = parser.structure
    parser.fileobj.close()
    return structure


def test_the_image_is_built_from_what_the_package_needs() -> None:
    steps = [(step["instruction"], step["value"]) for step in parse_dockerfile()]
    copied = {
        PurePosixPath(name)
        for instruction, value in steps
        if instruction == "COPY" and "--from" not in value
        for name in value.split()[:-1]
    }
    assert all((ROOT / path).exists() for path in copied)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]}
    needed |= {*wheel["packages"], *wheel["force-include"], *wheel["shared-data"]}
    for path in map(PurePosixPath, needed):
        assert copied & {path, *path.parents}, path
    allowed = {line[1:] for line in read(".dockerignore").splitlines() if line.startswith("!")}
    assert allowed == set(map(str, copied))
    extras = set(project["project"]["optional-dependencies"])
    assert set(re.findall(r"ARG EXTRAS=(.*)", read("Dockerfile"))[0].split(",")) <= extras
    assert {"remote", "ray", "cuda"} <= extras


def test_the_image_runs_the_command_and_not_as_root() -> None:
    steps = [(step["instruction"], step["value"]) for step in parse_dockerfile()]
    assert ("ENTRYPOINT", '["stemsplit"]') in steps
    assert ("USER", "stemsplit") in steps
    assert steps.index(("USER", "stemsplit")) > [name for name, _ in steps].index("RUN")
    assert all(":" in value for name, value in steps if name == "FROM")
