"""The REST interface as an OpenAPI document, and as a page for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from stemsplit import __version__
from stemsplit.audio.encoding import FORMATS

_SEPARATION: Final = {
    "stems": "Stems to make, separated by commas. Default: all that the models offer.",
    "residual": "`true`: also what the stems leave over.",
    "karaoke": "Make this stem, and the song without it.",
    "format": f"Of the files: {', '.join(FORMATS)}. Default: wav.",
    "bits": "16, 24 or 32f. Default: as the song has it.",
    "preset": "fast or best: less time, or better stems.",
    "model": "An installed model instead of those of the service.",
    "analyse": "`true`: also estimate tempo and key.",
    "start_s": "Where the excerpt begins that is separated, in seconds. Default: at the start.",
    "end_s": "Where it ends. Default: at the end.",
}
_CONVERSION: Final = {
    "format": f"{', '.join(FORMATS)}. Default: wav.",
    "bits": "16, 24 or 32f. Default: as the stems have it.",
    "start_s": "Where a part of it begins, in seconds.",
    "end_s": "Where it ends, in seconds.",
}
_MIX: Final = {
    "stems": "Stems that sound, separated by commas. Default: all.",
    "gains_db": "Gains in dB, -60 to 12, like drums:-6,bass:3.",
    "pans": "Pans, -1 (left) to 1 (right), like drums:-0.5.",
    **_CONVERSION,
}
_ERRORS: Final = {
    400: "A mistake in the request.",
    401: "The password is missing or wrong.",
    403: "A page of another site may not change anything.",
    404: "Not there, or not any more.",
    409: "Not separated yet, or an Idempotency-Key that was used for something else.",
    413: "More bytes than are taken.",
    415: "Neither a song nor a form.",
    422: "Not audio, or shorter than the excerpt that is asked for.",
    429: "Too many wrong passwords.",
    503: "Too many songs are waiting.",
    507: "The disk is full.",
}
_ALWAYS: Final = (400, 401, 429)


@dataclass(frozen=True)
class Operation:
    """What one request does.

    Parameters
    ----------
    method, path
        As in ``GET /api``; what is in braces is a part of the path.
    summary
        One sentence.
    parameters
        Of the query: name and meaning.
    answer
        Status and media type when all goes well.
    errors
        Statuses beside those that every request may meet.
    takes_song
        Whether its body is a song.
    """

    method: str
    path: str
    summary: str
    parameters: Mapping[str, str]
    answer: tuple[int, str]
    errors: Sequence[int] = ()
    takes_song: bool = False


OPERATIONS: Final = (
    Operation(
        "get",
        "/api",
        "What there is: version, stems, models with their licences, device, formats, limits.",
        {},
        (200, "application/json"),
    ),
    Operation("get", "/api/openapi.json", "This document.", {}, (200, "application/json")),
    Operation("get", "/api/docs", "This document, for people.", {}, (200, "text/html")),
    Operation(
        "get",
        "/api/address.svg",
        "The address for other devices as a QR code, where they can reach the service.",
        {},
        (200, "image/svg+xml"),
        (404,),
    ),
    Operation(
        "post",
        "/api/songs",
        "Takes a song, which then waits for its turn.",
        {"name": "What the song is called. Default: the name of the file in a form.", **_SEPARATION},
        (202, "application/json"),
        (403, 409, 413, 415, 422, 503, 507),
        takes_song=True,
    ),
    Operation(
        "post",
        "/api/demo",
        "Takes the example song of the package.",
        {"name": "What the song is called.", **_SEPARATION},
        (202, "application/json"),
        (403, 503, 507),
    ),
    Operation(
        "get", "/api/songs", "The songs of this client, as its cookie says.", {}, (200, "application/json")
    ),
    Operation(
        "get",
        "/api/songs/{id}",
        "How a song gets on; at the end its stems and all that is known of them.",
        {},
        (200, "application/json"),
        (404,),
    ),
    Operation(
        "delete",
        "/api/songs/{id}",
        "Removes a song, and stops it if need be.",
        {},
        (204, ""),
        (403, 404),
    ),
    Operation(
        "get",
        "/api/events",
        "How songs get on, as server-sent events, until all of them are over.",
        {"songs": "Ids, separated by commas."},
        (200, "text/event-stream"),
        (404,),
    ),
    Operation(
        "get",
        "/api/songs/{id}/stems/{stem}",
        "A stem, as it is or converted.",
        _CONVERSION,
        (200, "audio/*"),
        (404, 409, 507),
    ),
    Operation(
        "get",
        "/api/songs/{id}/stems.zip",
        "All stems in one file.",
        {key: _CONVERSION[key] for key in ("format", "bits")},
        (200, "application/zip"),
        (404, 409, 507),
    ),
    Operation("get", "/api/songs/{id}/mix", "A mix of the stems.", _MIX, (200, "audio/*"), (404, 409, 507)),
    Operation(
        "get",
        "/api/songs/{id}/preview",
        "What a player needs: lengths, peaks to draw, and where the segments are.",
        {},
        (200, "application/json"),
        (404, 409),
    ),
    Operation(
        "get",
        "/api/songs/{id}/preview/original",
        "Two seconds of the song itself, to be played.",
        {"segment": "Counted from 0."},
        (200, "audio/wav"),
        (404, 409),
    ),
    Operation(
        "get",
        "/api/songs/{id}/preview/stems/{stem}",
        "Two seconds of a stem, to be played.",
        {"segment": "Counted from 0."},
        (200, "audio/wav"),
        (404, 409),
    ),
)


def make_document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _describe(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "stemsplit", "version": __version__, "license": {"name": "MIT"}},
        "security": [{}, {"password": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"password": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Error": _make_object({"error": "string", "error_type": "string"}),
                "Song": _make_object(
                    {"id": "string", "input": "string", "status": "string"}
                    | dict.fromkeys(("place", "progress", "duration_s", "time_left_s"), "number")
                ),
            },
        },
    }


def _make_object(properties: Mapping[str, str]) -> dict[str, Any]:
    kinds = {key: {"type": kind if kind == "string" else [kind, "null"]} for key, kind in properties.items()}
    return {"type": "object", "properties": kinds, "required": list(properties)}


def _describe(operation: Operation) -> dict[str, Any]:
    status, media_type = operation.answer
    answers: dict[str, Any] = {str(status): {"description": "All went well."}}
    if media_type:
        answers[str(status)]["content"] = {media_type: {"schema": _find_schema(operation)}}
    for error in sorted({*_ALWAYS, *operation.errors}):
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        answers[str(error)] = {"description": _ERRORS[error], "content": content}
    described = {
        "summary": operation.summary,
        "parameters": _describe_parameters(operation),
        "responses": answers,
    }
    return described | ({"requestBody": _SONG_BODY} if operation.takes_song else {})


def _find_schema(operation: Operation) -> dict[str, Any]:
    if operation.method == "post" or operation.path == "/api/songs/{id}":
        return {"$ref": "#/components/schemas/Song"}
    return {"type": "object"} if operation.answer[1] == "application/json" else {"type": "string"}


def _describe_parameters(operation: Operation) -> list[dict[str, Any]]:
    text = {"type": "string"}
    parts = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    found: list[dict[str, Any]] = [
        {"name": part, "in": "path", "required": True, "schema": text} for part in parts
    ]
    for name, meaning in operation.parameters.items():
        found.append({"name": name, "in": "query", "description": meaning, "schema": text})
    if operation.takes_song:
        meaning = "An upload that is sent again with the same key is the same song."
        found.append({"name": "Idempotency-Key", "in": "header", "description": meaning, "schema": text})
    return found


_BINARY: Final = {"type": "string", "format": "binary"}
_SONG_BODY: Final = {
    "required": True,
    "content": {
        "application/octet-stream": {"schema": _BINARY},
        "audio/*": {"schema": _BINARY},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"file": _BINARY} | {name: {"type": "string"} for name in _SEPARATION},
                "required": ["file"],
            }
        },
    },
}


def make_page() -> str:
    """Return the document as HTML."""
    sections = "".join(_write_operation(operation) for operation in OPERATIONS)
    return (
        '<!doctype html><html lang="en" data-theme="auto"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<title>stemsplit: REST interface</title><link rel="stylesheet" href="/page/style.css">'
        '<link rel="icon" href="/page/mark.svg" type="image/svg+xml"></head><body class="reference"><main>'
        '<h1><img src="/page/mark.svg" alt="" width="36" height="36"> stemsplit: REST interface</h1>'
        f"<p>Version {escape(__version__)}. The same as a document for programs: "
        '<a href="/api/openapi.json">openapi.json</a>. Errors are JSON: '
        "<code>{&quot;error&quot;: ..., &quot;error_type&quot;: ...}</code>.</p>"
        f"{sections}</main></body></html>"
    )


def _write_operation(operation: Operation) -> str:
    rows = "".join(
        f"<dt><code>{escape(name)}</code></dt><dd>{escape(meaning)}</dd>"
        for name, meaning in operation.parameters.items()
    )
    errors = ", ".join(f"{error}: {_ERRORS[error].rstrip('.').lower()}" for error in operation.errors)
    title = f"{operation.method.upper()} {operation.path}"
    status, media_type = operation.answer
    answers = f"{status} {media_type}{'; ' + errors if errors else ''}"
    return (
        f'<section class="panel"><h2><code>{escape(title)}</code></h2><p>{escape(operation.summary)}</p>'
        + (f"<dl>{rows}</dl>" if rows else "")
        + f'<p class="quiet">{escape(answers)}</p></section>'
    )
