"""Values from outside: converted by the types of a dataclass, refused by the name of their key."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest

from stemsplit.errors import ModelError, SettingsError
from stemsplit.files.schema import NonEmpty, between, convert, takes_text


@dataclass(frozen=True)
class Sample:
    """One field of each kind."""

    name: Annotated[str, NonEmpty]
    size: Annotated[int, between(0, 8)] = 0
    share: Annotated[float, between(0, 1)] = 0.5
    colour: Literal["red", "blue"] = "red"
    known: bool | Literal["unknown"] = "unknown"
    items: tuple[str, ...] = ()
    table: Mapping[str, str] = field(default_factory=dict)
    limit: float | None = None


def test_lists_become_tuples_and_whole_numbers_floats() -> None:
    found = convert({"name": "a", "items": ["b", "c"], "share": 1, "known": True}, Sample)
    assert found == Sample("a", share=1.0, known=True, items=("b", "c"))
    assert type(found.share) is float


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nam": "b"}, r"unknown field 'nam'; did you mean 'name'\?"),
        ({"grap": "b"}, r"unknown field 'grap'; did you mean 'graph'\?"),
        ({"name": ""}, "name is ''; it must be text, and not empty"),
        ({"name": 3}, "name is 3; it must be text$"),
        ({"size": 9}, "size is 9; it must be a whole number from 0 to 8"),
        ({"size": True}, "size is True; it must be a whole number from 0 to 8"),
        ({"size": 1.5}, "size is 1.5; it must be a whole number"),
        ({"share": float("nan")}, "share is nan; it must be a number from 0 to 1"),
        ({"share": float("inf")}, "share is inf; it must be a number from 0 to 1"),
        ({"colour": "green"}, "colour is 'green'; it must be one of red, blue"),
        ({"known": "perhaps"}, "known is 'perhaps'"),
        ({"items": "b"}, "items is 'b'; it must be a list"),
        ({"items": ["b", 2]}, r"items is \['b', 2\]; each value in it must be text"),
        ({"table": ["b"]}, r"table is \['b'\]; it must be a table"),
        ({"limit": "b"}, "limit is 'b'; it must be a number$"),
        ({"items": ["b" * 500, 2]}, r"items is \['b{90,98} \.\.\.; each"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_error_names_the_key_and_says_what_it_must_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        convert({"name": "a"} | changes, Sample, aliases=("graph",))


def test_a_missing_key_is_named_with_its_label() -> None:
    with pytest.raises(SettingsError, match=r"^metadata name is missing$"):
        convert({}, Sample, label="metadata ", error=SettingsError)


def test_fields_of_text_are_told_from_the_others() -> None:
    assert takes_text(str) and takes_text(Annotated[str, NonEmpty]) and takes_text(Literal["a"])
    assert not takes_text(int) and not takes_text(tuple[str, ...]) and not takes_text(float | None)
