"""What nothing in an ONNX graph takes any more, left out."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnx import GraphProto


def drop_unused(graph: "GraphProto") -> None:
    """Leave out nodes and weights from which no output of the graph is made, in place."""
    used = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if used.intersection(node.output):
            kept.append(node)
            used.update(_names_taken(node))
    _replace(graph.node, reversed(kept))
    _replace(graph.initializer, [tensor for tensor in graph.initializer if tensor.name in used])


def _names_taken(node: Any) -> Iterator[str]:
    """Yield the names that a node takes, the bodies of loops and conditions included."""
    yield from node.input
    for attribute in node.attribute:
        for body in (attribute.g, *attribute.graphs):
            yield from (output.name for output in body.output)
            for inner in body.node:
                yield from _names_taken(inner)


def _replace(repeated: Any, items: Any) -> None:
    """Replace the contents of a repeated field."""
    found = list(items)
    del repeated[:]
    repeated.extend(found)
