"""Protocol buffers, read just far enough to look into an ``.onnx`` file without trusting it.

A message is a series of fields, each a number, a wire type and a value: a varint, four or eight bytes, or
bytes of a declared length (text, bytes, packed numbers or another message). Nothing is copied, every length
is held against the bytes that are there.
"""

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {FIXED64: 8, FIXED32: 4}


class MalformedError(ValueError):
    """The bytes are no protocol buffer."""


def read_fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the number and the value of every field, in order.

    Raises
    ------
    MalformedError
        If the message breaks off or holds what cannot be a field.

    Examples
    --------
    >>> [(number, value) for number, value in read_fields(memoryview(bytes([8, 5])))]
    [(1, 5)]
    """
    position, end = 0, len(message)
    while position < end:
        key, position = _read_varint(message, position)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, position = _read_varint(message, position)
            yield number, value
            continue
        if kind == BYTES:
            size, position = _read_varint(message, position)
        elif kind in _FIXED_SIZES:
            size = _FIXED_SIZES[kind]
        else:
            raise MalformedError(f"wire type {kind} at byte {position}")
        if size > end - position:
            raise MalformedError(f"a field of {size} bytes, where {end - position} are left")
        yield number, message[position : position + size]
        position += size


def _read_varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return the number at `position` and the position behind it."""
    if position < len(message) and (byte := message[position]) < 0x80:  # by far the most
        return byte, position + 1
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            break
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise MalformedError(f"a number that does not end before byte {position}")
