"""What is done at the addresses of songs: taken, shown, played, mixed, sent and removed."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from stemsplit.audio.info import AudioInfo
from stemsplit.audio.reader import open_audio
from stemsplit.errors import AudioError
from stemsplit.files.atomic import explaining
from stemsplit.jobs.request import SeparationRequest
from stemsplit.service.answers import answer_file, answer_json
from stemsplit.service.choices import Choices
from stemsplit.service.demo import NAME, find_demo
from stemsplit.service.errors import NoSuchSongError, NotSeparatedError, TooLargeError
from stemsplit.service.limits import ServiceLimits
from stemsplit.service.owner import read_owner, read_repeat, remember_owner
from stemsplit.service.playback import SEGMENT_S, Preview, read_segment
from stemsplit.service.queue import SongQueue
from stemsplit.service.record import write_record
from stemsplit.service.request import check_parameters, check_request, read_mix, read_request
from stemsplit.service.room import estimate_bytes
from stemsplit.service.song import QueuedSong, Stage
from stemsplit.service.uploads import FORM_BYTES, FormReader, open_form, read_body

_EVENT_S: Final = 0.25
_SILENCE_S: Final = 15.0
_MAX_DIGITS: Final = 9


class SongEndpoints:
    """The addresses of songs.

    Parameters
    ----------
    queue
        The songs.
    choices
        What can be asked for.
    defaults
        What holds where an upload says nothing.
    limits
        See there.
    """

    def __init__(
        self,
        queue: SongQueue,
        choices: Choices,
        defaults: SeparationRequest,
        limits: ServiceLimits,
    ) -> None:
        self._queue = queue
        self._choices = choices
        self._defaults = defaults
        self._limits = limits

    async def add(self, request: Request) -> Response:
        """Take a song."""
        query = request.query_params.multi_items()
        form = open_form(request.headers.get("content-type", ""))
        wanted = read_request(query, self._defaults)
        n_stems = check_request(wanted, self._choices, self._defaults)
        size = request.headers.get("content-length")
        if size is not None:
            self._check_size(int(size) - (0 if form is None else FORM_BYTES))
        owner = read_owner(request)
        repeat = read_repeat(request, owner, wanted)
        known = self._queue.find_repeat(repeat)
        if known is not None:
            return self._answer_taken(request, known, known.owner)
        with explaining(Path(wanted.name)), self._queue.receive(wanted, owner, repeat) as song:
            await self._receive(request, song, form)
            if form is not None:
                name = [] if "name" in request.query_params else [("name", form.file_name or "")]
                song.request = read_request([*name, *query, *form.fields], self._defaults)
                n_stems = check_request(song.request, self._choices, self._defaults)
            await run_in_threadpool(self._accept, song, n_stems)
        return self._answer_taken(request, song, owner)

    async def add_demo(self, request: Request) -> Response:
        """Take the example song of the package."""
        query = [("name", NAME), *request.query_params.multi_items()]
        wanted = read_request(query, self._defaults)
        n_stems = check_request(wanted, self._choices, self._defaults)
        owner = read_owner(request)
        with explaining(Path(NAME)), self._queue.receive(wanted, owner) as song:
            await run_in_threadpool(shutil.copyfile, find_demo(), song.upload)
            await run_in_threadpool(self._accept, song, n_stems)
        return self._answer_taken(request, song, owner)

    def _answer_taken(self, request: Request, song: QueuedSong, owner: str) -> Response:
        answer = answer_json(self._describe(song), 202, {"Location": f"/api/songs/{song.id}"})
        remember_owner(request, answer, owner)
        return answer

    def _check_size(self, n_bytes: int) -> None:
        if n_bytes > self._limits.max_bytes:
            raise TooLargeError(
                f"the file has more than {self._limits.max_bytes / 1e6:g} MB; "
                "send a shorter or a compressed one, or start the service with a higher --max-mb"
            )

    async def _receive(self, request: Request, song: QueuedSong, form: FormReader | None) -> None:
        n_bytes = 0
        with song.upload.open("xb") as file:
            async for data in read_body(request, patience_s=self._limits.patience_s):
                audio = data if form is None else form.feed(data)
                n_bytes += len(audio)
                self._check_size(n_bytes)
                await run_in_threadpool(file.write, audio)
        if form is not None:
            form.finish()
        if not n_bytes:
            raise AudioError(f"{song.request.name}: is empty (0 bytes); get a whole copy of the file")

    def _accept(self, song: QueuedSong, n_stems: int) -> None:
        """Refuse what is no audio or has no room, and write down what is taken: it is not lost any more."""
        song.upload.rename(song.source)
        info = _read_info(song)
        song.duration_s = info.duration_s
        self._queue.room.reserve(song.id, estimate_bytes(info, song.separation, n_stems))
        write_record(song)

    async def show_all(self, request: Request) -> Response:
        """Show the songs of this client."""
        _check_no_parameters(request)
        songs = self._queue.find_all(read_owner(request))
        return answer_json({"songs": [self._describe(song) for song in songs]})

    async def show(self, request: Request) -> Response:
        """Say how a song gets on, or what came of it."""
        _check_no_parameters(request)
        return answer_json(self._describe(self._find(request)))

    async def remove(self, request: Request) -> Response:
        """Remove a song."""
        _check_no_parameters(request)
        await run_in_threadpool(self._queue.remove, request.path_params["id"])
        return Response(status_code=204)

    async def send_events(self, request: Request) -> Response:
        """Send how songs get on, as server-sent events, until all of them are over."""
        given = check_parameters(request.query_params.multi_items(), ("songs",))
        ids = [id for id in given.get("songs", "").split(",") if id]
        for id in ids:
            self._queue.find(id)
        headers = {"Cache-Control": "no-store"}
        return StreamingResponse(self._follow(ids), media_type="text/event-stream", headers=headers)

    async def _follow(self, ids: list[str]) -> AsyncIterator[str]:
        said: dict[str, str] = {}
        open_ids, silent_s = list(ids), 0.0
        yield "retry: 1000\n\n"
        while open_ids:
            for id in list(open_ids):
                event, text, is_over = self._tell(id)
                if is_over:
                    open_ids.remove(id)
                if said.get(id) != text:
                    said[id], silent_s = text, 0.0
                    yield f"event: {event}\ndata: {text}\n\n"
            await asyncio.sleep(_EVENT_S)
            silent_s += _EVENT_S
            if silent_s >= _SILENCE_S:
                silent_s = 0.0
                yield ": still here\n\n"

    def _tell(self, id: str) -> tuple[str, str, bool]:
        """Return the event of a song: its name, its data, and whether it is the last one."""
        try:
            song = self._queue.find(id)
        except NoSuchSongError:
            return "removed", json.dumps({"id": id}), True
        described = self._describe(song)
        return "song", json.dumps(described), described["status"] in (Stage.DONE, Stage.FAILED)

    async def send_stem(self, request: Request) -> Response:
        """Send one stem, as it is or in another format."""
        stem = request.path_params["stem"]
        mix = read_mix(request.query_params.multi_items(), ("format", "bits", "start_s", "end_s"), (stem,))
        song = self._find(request)
        stored = song.find_stem(stem)
        if not request.query_params:
            return answer_file(request, stored, song.request.name_download(stem, stored.suffix[1:]))
        path = await run_in_threadpool(song.render, mix)
        return answer_file(request, path, song.request.name_download(stem, path.suffix[1:]))

    async def send_all(self, request: Request) -> Response:
        """Send all stems in one file."""
        conversion = read_mix(request.query_params.multi_items(), ("format", "bits"))
        song = self._find(request)
        path = await run_in_threadpool(song.pack, conversion if request.query_params else None)
        return answer_file(request, path, song.request.name_download("stems", "zip"))

    async def send_mix(self, request: Request) -> Response:
        """Send a mix of the stems."""
        mix = read_mix(request.query_params.multi_items())
        song = self._find(request)
        path = await run_in_threadpool(song.render, mix)
        return answer_file(request, path, song.request.name_download("mix", path.suffix[1:]))

    async def send_preview(self, request: Request) -> Response:
        """Send what a player has to know: lengths, peaks, and where the segments are."""
        _check_no_parameters(request)
        song = self._find(request)
        preview = _find_preview(song)
        address = f"/api/songs/{song.id}/preview"
        stems = {stem: f"{address}/stems/{quote(stem, safe='')}" for stem in preview.peaks}
        segments: dict[str, Any] = {"segment_s": SEGMENT_S, "n_segments": preview.n_segments}
        segments |= {"stems": stems, "original": f"{address}/original"}
        return answer_json(asdict(preview) | segments)

    async def send_segment(self, request: Request) -> Response:
        """Send a few seconds of a track, to be played."""
        given = check_parameters(request.query_params.multi_items(), ("segment",))
        song = self._find(request)
        preview = _find_preview(song)
        stem = request.path_params.get("stem")
        path = song.original if stem is None else song.find_track(stem)
        number = _read_segment_number(given.get("segment", "0"), preview.n_segments)
        data = await run_in_threadpool(read_segment, path, number)
        return Response(data, media_type="audio/wav", headers={"Cache-Control": "private, max-age=3600"})

    def _find(self, request: Request) -> QueuedSong:
        return self._queue.find(request.path_params["id"])

    def _describe(self, song: QueuedSong) -> dict[str, Any]:
        address = f"/api/songs/{song.id}"
        stage, place, result = self._queue.look(song)
        left_s = self._queue.estimate_time_left(song)
        known: dict[str, Any] = {"id": song.id, "input": song.request.name, "status": stage}
        known |= {"place": place, "progress": song.progress, "duration_s": song.duration_s}
        known |= {"time_left_s": None if left_s is None else round(left_s, 1)}
        if result is None:
            return known
        made = result.outputs if stage is Stage.DONE else {}
        links: dict[str, Any] = {
            "outputs": {stem: f"{address}/stems/{quote(stem, safe='')}" for stem in made}
        }
        links |= {key: f"{address}/{path}" if made else None for key, path in _LINKS.items()}
        if song.preview is None:
            links["preview"] = None
        if result.duration_s is not None:
            known["duration_s"] = result.duration_s
        known["analysis"] = song.analysis
        return result.to_dict() | known | links


_LINKS: Final[dict[str, Any]] = {"zip": "stems.zip", "mix": "mix", "preview": "preview"}


def _find_preview(song: QueuedSong) -> Preview:
    if not song.stems or song.preview is None:
        raise NotSeparatedError("the song cannot be played here; download its stems")
    return song.preview


def _read_segment_number(text: str, n_segments: int) -> int:
    # int() takes no more than 4300 digits
    if not text.isdecimal() or len(text) > _MAX_DIGITS or int(text) >= n_segments:
        raise NoSuchSongError(f"the song has no segment {text[:20]!r}; there are {n_segments}, from 0")
    return int(text)


def _read_info(song: QueuedSong) -> AudioInfo:
    reading = song.separation.reading
    try:
        with open_audio(song.source, settings=reading) as reader:
            info = reader.info
        if reading.is_excerpt and info.n_samples == 0:
            raise AudioError(f"{song.source}: ends before {reading.start_s:g} s, where the excerpt begins")
    except AudioError as error:
        raise AudioError(song.hide_paths(str(error))) from error
    return info


def _check_no_parameters(request: Request) -> None:
    check_parameters(request.query_params.multi_items(), ())
