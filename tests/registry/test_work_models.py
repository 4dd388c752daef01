"""The small models of student works: by name only, and apart from the others."""

from stemsplit.registry.installed import bundled_models, resolve, work_models
from tests.support import ROOT
from tests.support.cli import call

MAX_BYTES = 12_000_000


def test_work_models_are_small_and_found_by_name() -> None:
    works = work_models()
    assert "lstm" in works
    assert sum(path.stat().st_size for path in (ROOT / "models" / "works").iterdir()) <= MAX_BYTES
    for name, path in works.items():
        assert resolve(name) == path and (path.parent / f"{name}.md").is_file()


def test_no_work_model_is_used_unless_it_is_named() -> None:
    assert not set(bundled_models()) & set(work_models().values())


def test_work_models_are_listed_apart() -> None:
    lines = call("models", "list").lines
    place = next(number for number, line in enumerate(lines) if "only where they are named" in line)
    end = lines.index("", place)
    below = [line.split()[0] for line in lines[place + 2 : end]]
    assert below == list(work_models()) and not set(below) & {line.split()[0] for line in lines[: place - 1]}
    names = [record["name"] for record in call("models", "list", "--json").records]
    assert names[-len(below) - 1 :] == [*below, "hpss"]
