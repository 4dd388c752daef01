"""Validation of the values of a file: they are converted to a dataclass by the types of its fields.

Types are Python's own, with ``Literal`` for a choice and ``Annotated[float, between(0, 1)]`` for a bounded
number. Every error names the key, quotes the value and says what is allowed.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from stemsplit.did_you_mean import propose
from stemsplit.errors import ModelError, StemsplitError

T = TypeVar("T")

_MAX_QUOTED = 100
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
}


def between(least: float, most: float) -> msgspec.Meta:
    """Return the bounds of a number, both included, for ``Annotated``."""
    return msgspec.Meta(ge=least, le=most)


NonEmpty = msgspec.Meta(min_length=1)


def convert(
    values: Mapping[str, Any],
    kind: type[T],
    *,
    label: str = "",
    error: type[StemsplitError] = ModelError,
    aliases: Iterable[str] = (),
    names: Mapping[str, Any] | None = None,
) -> T:
    """Convert `values` to the dataclass `kind`; lists become tuples and integers floats where it has these.

    Parameters
    ----------
    values
        Values by the names of the fields.
    kind
        A dataclass; its ``__post_init__`` checks conditions on several fields.
    label
        Prefix of the keys in errors, such as ``metadata stemsplit.``.
    error
        Type of the error that is raised.
    aliases
        Other keys of the file, which are suggested as well if a key is unknown.
    names
        Types that the fields refer to and that the module of `kind` imports for type checkers only.

    Raises
    ------
    StemsplitError
        Of the type `error`, if a key is unknown or missing, or a value is of the wrong kind or out of range.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            raise error(f"unknown field {key!r}{propose(key, [*fields, *aliases])}")
    for key, field in fields.items():
        is_needed = field.default is field.default_factory is dataclasses.MISSING
        if is_needed and key not in values:
            raise error(f"{label}{key} is missing")
    types = get_type_hints(kind, localns=None if names is None else dict(names), include_extras=True)
    return kind(
        **{
            key: convert_value(value, types[key], name=label + key, error=error)
            for key, value in values.items()
        }
    )


def takes_text(kind: Any) -> bool:
    """Tell whether a field of type `kind` holds text: plain, not empty, or one of a choice."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return isinstance(inner[0], str)
    return kind is str or (origin is Annotated and takes_text(inner[0]))


def convert_value(value: Any, kind: Any, *, name: str, error: type[StemsplitError] = ModelError) -> Any:
    """Return one value as `kind`; errors call it `name`.

    Raises
    ------
    StemsplitError
        Of the type `error`, if it is of another kind or out of range.

    Examples
    --------
    >>> convert_value(2, Annotated[float, between(0, 10)], name="overlap")
    2.0
    >>> convert_value("2", Annotated[float, between(0, 10)], name="overlap")
    Traceback (most recent call last):
    stemsplit.errors.ModelError: overlap is '2'; it must be a number from 0 to 10
    """
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError) as problem:
        quoted = repr(value)
        if len(quoted) > _MAX_QUOTED:
            quoted = quoted[:_MAX_QUOTED] + " ..."
        raise error(f"{name} is {quoted}; {_say_wanted(kind, str(problem))}") from problem


def _say_wanted(kind: Any, problem: str) -> str:
    """Describe the allowed values of `kind`, given the message of msgspec."""
    inner = [each for each in get_args(kind) if each is not NoneType]
    if get_origin(kind) is Literal:
        return f"it must be one of {', '.join(map(str, inner))}"
    if get_origin(kind) is Annotated and inner[1:] and getattr(inner[1], "ge", None) is not None:
        bounds = inner[1]
        return f"it must be {_WORDS[inner[0].__name__]} from {bounds.ge} to {bounds.le}"
    wanted, _, place = problem.partition(" - at `$")
    if place:
        return f"each value in it {_describe(wanted)}"
    return f"it {_describe(wanted)}"


def _describe(wanted: str) -> str:
    """Turn "Expected `str | array`, got `int`" into "must be text or a list"."""
    match = re.match(r"Expected `([^`]+)`( of length >= 1)?", wanted)
    if match is None:
        return f"is wrong: {wanted}"
    kinds = [_WORDS.get(name, name) for name in match[1].split(" | ") if name != "null"]
    return f"must be {' or '.join(kinds)}" + (", and not empty" if match[2] else "")
