"""The songs of the page: uploaded, followed, lost and found again, with a service that the test plays."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from tests.support.scripts import run_script

# `answer` is the service: it returns a status and JSON, or throws where it cannot be reached
SERVICE = """
import { readFileSync } from "node:fs";
const table = JSON.parse(readFileSync(new URL("./texts.json", import.meta.url)));
const later = setTimeout;
const settle = () => new Promise((resolve) => later(resolve, 0));
const timers = [], streams = [], asked = [], uploads = [];
let answer = () => [404, {}], reloads = 0, language = "en";
const define = (values) => {
  for (const [name, value] of Object.entries(values)) Object.defineProperty(globalThis, name, { value });
};
define({
  addEventListener: () => {},
  document: { documentElement: {}, querySelectorAll: () => [] },
  navigator: { get languages() { return [language]; } },
  location: { reload: () => { reloads += 1; } },
  setTimeout: (action) => timers.push(action),
  clearTimeout: () => timers.splice(0),
  EventSource: class {
    listeners = {};
    constructor() { streams.push(this); }
    addEventListener(type, action) { this.listeners[type] = action; }
    close() {}
  },
  XMLHttpRequest: class {
    upload = {};
    open() {}
    setRequestHeader() {}
    send() { uploads.push(this); }
  },
  fetch: async (path) => {
    if (path === "/page/texts.json") return { json: async () => table };
    asked.push(path);
    const [status, content] = answer(path);
    return { ok: status < 300, status, json: async () => content };
  },
});
const { loadTexts } = await import("./texts.js");
const { ask, download } = await import("./api.js");
const { Songs } = await import("./songs.js");
const { describeStatus } = await import("./stage.js");
async function wake() {
  for (const action of timers.splice(0)) await action();
  await settle();
}
async function finishUpload(status, response) {
  Object.assign(uploads.at(-1), { status, response });
  if (status) uploads.at(-1).onload();
  else uploads.at(-1).onerror();
  await settle();
}
"""


def act(script: str, *arguments: object, folder: Path) -> Any:
    """Return what a script prints that asks the service."""
    return run_script(SERVICE + script, *arguments, folder=folder)


def test_a_song_that_a_new_service_does_not_know_is_gone_and_not_asked_for_again(tmp_path: Path) -> None:
    script = """
    await loadTexts();
    const songs = new Songs();
    answer = () => [200, { songs: [{ id: "a", status: "separating", progress: 0.5, time_left_s: null }] }];
    await songs.restore();
    answer = () => { throw new TypeError("refused"); };
    streams.at(-1).listeners.error();
    await wake();
    const lost = describeStatus(songs.all[0]);
    answer = () => [404, { error: "no such song", error_type: "NoSuchSongError" }];
    await wake();
    console.log(JSON.stringify({ lost, gone: describeStatus(songs.all[0]), timers: timers.length }));
    """
    assert act(script, folder=tmp_path) == {
        "lost": "stemsplit cannot be reached; trying again",
        "gone": "The song is not there any more; split it again.",
        "timers": 0,
    }


@pytest.mark.parametrize("action", ["ask", "upload", "download"])
def test_who_is_not_logged_in_any_more_meets_the_login(action: str, tmp_path: Path) -> None:
    script = """
    language = "de";
    await loadTexts();
    const refused = [401, { error: "a password is needed", error_type: "PasswordError" }];
    answer = () => refused;
    const songs = new Songs();
    let said = null;
    if (given[0] === "upload") {
      songs.add([{ name: "song.wav" }], []);
      await finishUpload(...refused);
      said = describeStatus(songs.all[0]);
    } else {
      await (given[0] === "ask" ? ask : download)("/api").catch(({ message }) => (said = message));
    }
    console.log(JSON.stringify({ reloads, said }));
    """
    assert act(script, action, folder=tmp_path) == {
        "reloads": 1,
        "said": "Das Passwort fehlt oder gilt nicht mehr.",
    }


def test_a_song_that_fails_says_why_in_the_language_of_its_reader(tmp_path: Path) -> None:
    script = """
    language = "de";
    await loadTexts();
    const failed = { status: "failed", error: "x.mp3: cannot be decoded", error_type: "AudioError" };
    const other = { ...failed, error_type: "ModelError" };
    console.log(JSON.stringify([describeStatus(failed), describeStatus(other)]));
    """
    assert act(script, folder=tmp_path) == [
        "Die Datei lässt sich nicht als Audio lesen: x.mp3: cannot be decoded",
        "x.mp3: cannot be decoded",
    ]


def test_only_an_upload_that_failed_can_be_tried_again(tmp_path: Path) -> None:
    """The file is gone once the service has it."""
    script = """
    await loadTexts();
    const songs = new Songs();
    const song = songs.add([{ name: "song.wav" }], []);
    await finishUpload(0, null);
    const broke = [song.status, song.canRetry];
    songs.retry(song);
    await finishUpload(202, { id: "a", status: "queued" });
    streams.at(-1).listeners.song({ data: JSON.stringify({ id: "a", status: "failed", error: "?" }) });
    console.log(JSON.stringify({ broke, after: [song.status, song.canRetry] }));
    """
    assert act(script, folder=tmp_path) == {"broke": ["failed", True], "after": ["failed", False]}
