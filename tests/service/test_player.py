"""The player of the page, with an audio clock that the test turns: what sounds when, and what is fetched."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from tests.support.scripts import run_script

# A song of silence at 100 Hz, in segments of 2 s. `step` turns the clock, and has the player look at it.
CLOCK = """
const RATE = 100, SEGMENT_S = 2, N_SEGMENTS = 15;
const clock = { now: 0, tick: null };
const fetched = [], sources = [], problems = [];
let overwritten = 0, respond = () => 200, resume = async () => {};
const ends = (source) => Math.min(source.end, source.stopped);

class Parameter { setTargetAtTime() {} }
class Node {
  gain = new Parameter();
  pan = new Parameter();
  connect(next) { this.next = next; return next; }
}
class Source extends Node {
  stopped = Infinity;
  start(time, offset, duration) {
    Object.assign(this, { time, offset, end: time + duration });
    sources.push(this);
  }
  stop(time) { this.stopped = time; }
}
class Buffer {
  constructor(channels, length) {
    this.numberOfChannels = channels;
    this.length = length;
    this.data = Array.from({ length: channels }, () => new Float32Array(length));
  }
  getChannelData(channel) {
    if (sources.some((source) => source.buffer === this && ends(source) > clock.now)) overwritten += 1;
    return this.data[channel];
  }
}
globalThis.AudioContext = class {
  get currentTime() { return clock.now; }
  createGain() { return new Node(); }
  createStereoPanner() { return new Node(); }
  createBufferSource() { return new Source(); }
  createBuffer(channels, length) { return new Buffer(channels, length); }
  resume() { return resume(); }
};
globalThis.setInterval = (action) => { clock.tick = action; return {}; };
globalThis.clearInterval = () => { clock.tick = null; };
Object.defineProperty(globalThis, "performance", { value: { now: () => 1000 * clock.now } });
globalThis.fetch = async (url, { signal }) => {
  fetched.push({ url, signal });
  const status = respond(url);
  if (status === 0) await new Promise((_, reject) => (signal.onabort = () => reject(signal.reason)));
  const data = new DataView(new ArrayBuffer(20 + 2 * SEGMENT_S * RATE));
  data.setUint32(12, 0x64617461);
  return { ok: status === 200, status, arrayBuffer: async () => data.buffer };
};
const settle = () => new Promise((resolve) => setTimeout(resolve, 0));
async function step() {
  clock.now += 0.12;
  clock.tick?.();
  await settle();
}

const { Player } = await import("./player.js");
const player = new Player({
  sample_rate: RATE,
  n_channels: 1,
  n_samples: N_SEGMENTS * SEGMENT_S * RATE,
  n_segments: N_SEGMENTS,
  segment_s: SEGMENT_S,
  stems: { bass: "bass", drums: "drums" },
  original: "original",
});
player.addEventListener("problem", ({ detail }) => problems.push(detail.status ?? null));
// stretches of time that a track sounds twice in
function countDoubled() {
  const heard = sources.filter((source) => ends(source) > source.time).sort((a, b) => a.time - b.time);
  const tracks = new Map();
  for (const source of heard) tracks.set(source.next, [...(tracks.get(source.next) ?? []), source]);
  let doubled = 0;
  for (const each of tracks.values()) {
    doubled += each.filter((source, index) => index && ends(each[index - 1]) > source.time + 1e-9).length;
  }
  return doubled;
}
"""


def play(script: str, *arguments: object, folder: Path) -> Any:
    """Return what a script prints that has a player."""
    return run_script(CLOCK + script, *arguments, folder=folder)


@pytest.mark.parametrize("loop", [(4, 20), (0, 16), (1.9, 14.2), (9, 11.5)])
def test_a_loop_overwrites_no_buffer_that_is_played_still(loop: tuple[float, float], tmp_path: Path) -> None:
    script = """
    player.setLoop(given);
    player.seek(given[0]);
    await settle();
    await player.play();
    for (let n = 0; n < 400; n++) await step();
    const { position } = player;
    console.log(JSON.stringify({ overwritten, doubled: countDoubled(), n: sources.length, position }));
    """
    said = play(script, *loop, folder=tmp_path)
    assert (said["overwritten"], said["doubled"]) == (0, 0)
    assert said["n"] > 3 * 40 / 2
    assert loop[0] <= said["position"] <= loop[1]


@pytest.mark.parametrize(("presses", "is_playing"), [(1, True), (2, False), (3, True)])
def test_a_clock_that_is_slow_to_start_begins_nothing_twice(
    presses: int, *, is_playing: bool, tmp_path: Path
) -> None:
    script = """
    const waiting = [];
    resume = () => new Promise((resolve) => waiting.push(resolve));
    player.seek(0);
    await settle();
    for (let n = 0; n < given[0]; n++) {
      if (player.isPlaying) player.pause();
      else player.play();
      await step();
    }
    for (const wake of waiting) wake();
    for (let n = 0; n < 30; n++) await step();
    const heard = sources.filter((source) => ends(source) > source.time).length;
    console.log(JSON.stringify({ doubled: countDoubled(), isPlaying: player.isPlaying, heard }));
    """
    said = play(script, presses, folder=tmp_path)
    assert (said["doubled"], said["isPlaying"]) == (0, is_playing)
    assert bool(said["heard"]) is is_playing


def test_a_segment_that_fails_is_fetched_again_every_two_seconds(tmp_path: Path) -> None:
    """Its other tracks are not waited for, and it plays as soon as it is there."""
    script = """
    respond = (url) => (url.startsWith("bass?segment=0") ? 404 : url.startsWith("drums") ? 0 : 200);
    await player.play();
    for (let n = 0; n < 100; n++) await step();
    const failed = fetched.filter(({ url }) => url === "bass?segment=0").length;
    const drums = fetched.filter(({ url }) => url === "drums?segment=0");
    const aborted = drums.filter(({ signal }) => signal.aborted).length;
    const status = [...problems];
    respond = () => 200;
    for (let n = 0; n < 20; n++) await step();
    const [isWaiting, position] = [player.isWaiting, player.position];
    console.log(JSON.stringify({ failed, aborted, status, isWaiting, position }));
    """
    said = play(script, folder=tmp_path)
    assert said["failed"] == said["aborted"] == 6
    assert said["status"] == [404] * 6
    assert (said["isWaiting"], said["position"] > 0) == (False, True)
