// Plays all tracks of a song together, to the sample, with the Web Audio API.
//
// Every track comes in segments of the same few seconds. The same segment of all tracks is started at one time of
// the audio clock, and the next one exactly where it ends; so tracks cannot drift, and only the segments around the
// playhead are in memory: five tracks of 2 s in stereo are 3.5 MB, and at most MAX_SEGMENTS are kept. Buffers are used
// again, because browsers are slow to collect them.

const LOOKAHEAD_S = 2.5; // a page in the background wakes up once a second
const START_S = 0.06;
const FADE_S = 0.008;
const TICK_MS = 120;
const MAX_SEGMENTS = 5;
const RETRY_MS = 2000; // before a segment that failed is fetched again
const REST_S = 1; // after all that is scheduled, before a buffer is used again
const FULL_SCALE = 32768;

export class Player extends EventTarget {
  #context;
  #preview;
  #tracks = new Map(); // name -> { url, gain, panner, settings }
  #master;
  #original;
  #stems;
  #spare = []; // buffers that can be used again: { buffer, since }
  #segments = new Map(); // number -> { buffers: Map or null, abort, retryAt }
  #pieces = []; // what has been scheduled: { time, from, to, sources }
  #nextTime = null; // of the audio clock
  #nextSample = 0;
  #position = 0; // in samples, while nothing plays
  #loop = null;
  #timer = null;
  #isOriginal = false;
  #volume = 1;

  constructor(preview) {
    super();
    this.#preview = preview;
    this.#context = makeContext(preview.sample_rate);
    this.#master = this.#context.createGain();
    this.#master.connect(this.#context.destination);
    this.#stems = this.#connect(this.#context.createGain(), this.#master);
    this.#original = this.#connect(this.#context.createGain(), this.#master);
    this.#original.gain.value = 0;
    for (const [name, url] of Object.entries(preview.stems)) this.#addTrack(name, url, this.#stems);
    this.#addTrack(null, preview.original, this.#original);
  }

  #connect(node, next) {
    node.connect(next);
    return node;
  }

  #addTrack(name, url, next) {
    const gain = this.#context.createGain();
    const isStereo = this.#preview.n_channels === 2 && name !== null;
    const panner = isStereo ? this.#connect(this.#context.createStereoPanner(), next) : null;
    gain.connect(panner ?? next);
    this.#tracks.set(name, { url, gain, panner, settings: { gain: 1, pan: 0, isMuted: false, isSolo: false } });
  }

  get context() {
    return this.#context;
  }

  get isPlaying() {
    return this.#timer !== null;
  }

  // of all tracks, a factor
  get volume() {
    return this.#volume;
  }

  get isOriginal() {
    return this.#isOriginal;
  }

  get loop() {
    return this.#loop && this.#loop.map((sample) => sample / this.#rate);
  }

  get duration() {
    return this.#preview.n_samples / this.#rate;
  }

  get #rate() {
    return this.#preview.sample_rate;
  }

  // seconds from the start of the song
  get position() {
    return this.#sample / this.#rate;
  }

  get #sample() {
    if (!this.isPlaying) return this.#position;
    const now = this.#context.currentTime;
    const piece = this.#pieces.findLast(({ time }) => time <= now);
    if (!piece) return this.#position;
    return Math.min(piece.to, piece.from + (now - piece.time) * this.#rate);
  }

  // bytes of decoded sound that are held
  get bufferedBytes() {
    let samples = 0;
    for (const { buffers } of this.#segments.values()) {
      for (const buffer of buffers?.values() ?? []) samples += buffer.length * buffer.numberOfChannels;
    }
    return 4 * samples;
  }

  async play() {
    if (this.isPlaying) return;
    if (this.#position >= this.#preview.n_samples) this.#position = 0;
    const timer = setInterval(() => this.#schedule(), TICK_MS);
    this.#timer = timer;
    await this.#context.resume(); // takes long in some browsers
    if (this.#timer !== timer) return; // paused meanwhile
    this.#stop(); // and so is what was scheduled meanwhile
    this.#begin();
    this.#notify("state");
  }

  pause() {
    if (!this.isPlaying) return;
    this.#position = Math.round(this.#sample);
    this.#stop();
    clearInterval(this.#timer);
    this.#timer = null;
    this.#notify("state");
  }

  seek(seconds) {
    const sample = Math.round(seconds * this.#rate);
    this.#position = Math.max(0, Math.min(sample, this.#preview.n_samples));
    if (this.isPlaying) {
      this.#stop();
      this.#begin();
    } else {
      this.#nextSample = this.#position;
      this.#load(this.#number(this.#position));
      this.#forget();
    }
    this.#notify("seek");
  }

  // [start, end] in seconds, or null
  setLoop(loop) {
    const position = this.position;
    this.#loop = loop && loop.map((seconds) => Math.round(seconds * this.#rate));
    if (this.isPlaying) this.seek(position);
    this.#notify("loop");
  }

  setOriginal(isOriginal) {
    this.#isOriginal = isOriginal;
    this.#ramp(this.#stems.gain, isOriginal ? 0 : 1);
    this.#ramp(this.#original.gain, isOriginal ? 1 : 0);
    this.#notify("mix");
  }

  setVolume(gain) {
    this.#volume = gain;
    this.#ramp(this.#master.gain, gain);
  }

  settings(name) {
    return this.#tracks.get(name).settings;
  }

  // gain: a factor; pan: -1 to 1; isMuted, isSolo
  set(name, changes) {
    Object.assign(this.settings(name), changes);
    for (const [track, { gain, panner, settings }] of this.#tracks) {
      if (track === null) continue;
      this.#ramp(gain.gain, this.sounds(track) ? settings.gain : 0);
      if (panner) this.#ramp(panner.pan, settings.pan);
    }
    this.#notify("mix");
  }

  // whether a stem is in the mix
  sounds(name) {
    const { isMuted, isSolo } = this.settings(name);
    const isAnySolo = [...this.#tracks.values()].some(({ settings }) => settings.isSolo);
    return isAnySolo ? isSolo : !isMuted;
  }

  // the stems that are in the mix, at any level
  get soundingStems() {
    const stems = [...this.#tracks.keys()].filter((name) => name !== null);
    return stems.filter((stem) => this.settings(stem).gain > 0 && this.sounds(stem));
  }

  // the node that a track leaves the mixer by
  output(name) {
    const { gain, panner } = this.#tracks.get(name);
    return panner ?? gain;
  }

  close() {
    this.pause();
    for (const { abort } of this.#segments.values()) abort.abort();
    this.#segments.clear();
    this.#context.close();
  }

  #ramp(parameter, value) {
    parameter.setTargetAtTime(value, this.#context.currentTime, FADE_S);
  }

  #notify(type) {
    this.dispatchEvent(new Event(type));
  }

  #begin() {
    this.#nextSample = this.#position;
    this.#nextTime = null;
    this.#ramp(this.#master.gain, this.#volume);
    this.#schedule();
  }

  #stop() {
    const end = this.#context.currentTime + 4 * FADE_S;
    this.#ramp(this.#master.gain, 0);
    for (const { sources } of this.#pieces) for (const source of sources) source.stop(end);
    this.#pieces = [];
  }

  #number(sample) {
    return Math.floor(sample / (this.#preview.segment_s * this.#rate));
  }

  // start what has to sound soon, as far as it is there
  #schedule() {
    while (this.isPlaying && this.#isNextDue()) {
      if (this.#isLoopEnd()) this.#nextSample = this.#loop[0];
      if (this.#nextSample >= this.#preview.n_samples) {
        this.#endIfOver();
        return;
      }
      const buffers = this.#load(this.#number(this.#nextSample));
      if (!buffers) break;
      this.#startPiece(buffers);
    }
    this.#load(this.#number(Math.min(this.#nextSample, this.#preview.n_samples - 1)));
    this.#load(this.#number(this.#nextSample) + 1);
    this.#forget();
    this.#noteWaiting();
  }

  #isNextDue() {
    return this.#nextTime === null || this.#nextTime - this.#context.currentTime < LOOKAHEAD_S;
  }

  #isLoopEnd() {
    return this.#loop !== null && this.#nextSample >= this.#loop[1];
  }

  #noteWaiting() {
    const isWaiting = this.isPlaying && (this.#nextTime ?? 0) <= this.#context.currentTime;
    if (isWaiting !== this.isWaiting) {
      this.isWaiting = isWaiting;
      this.#notify("state");
    }
  }

  #endIfOver() {
    if (this.#nextTime !== null && this.#context.currentTime < this.#nextTime) return;
    this.pause();
    this.seek(0);
  }

  #startPiece(buffers) {
    const rate = this.#rate;
    const now = this.#context.currentTime;
    if (this.#nextTime === null || this.#nextTime < now + 0.01) {
      this.#nextTime = Math.ceil((now + START_S) * rate) / rate;
    }
    const first = this.#number(this.#nextSample) * this.#preview.segment_s * rate;
    const from = this.#nextSample;
    const segmentEnd = Math.min(first + this.#preview.segment_s * rate, this.#preview.n_samples);
    const to = this.#loop && from < this.#loop[1] ? Math.min(segmentEnd, this.#loop[1]) : segmentEnd;
    const sources = [];
    for (const [name, buffer] of buffers) {
      const source = this.#context.createBufferSource();
      source.buffer = buffer;
      source.connect(this.#tracks.get(name).gain);
      source.start(this.#nextTime, (from - first) / rate, (to - from) / rate);
      sources.push(source);
    }
    this.#pieces.push({ time: this.#nextTime, from, to, sources });
    this.#pieces = this.#pieces.filter(({ time, from, to }) => time + (to - from) / rate > now - 1);
    this.#nextSample = to;
    this.#nextTime += (to - from) / rate;
  }

  // the sound of a segment, or null while it is still on its way, or has failed just now
  #load(number) {
    if (number < 0 || number >= this.#preview.n_segments) return null;
    let segment = this.#segments.get(number);
    if (!segment || segment.retryAt <= performance.now()) {
      segment = { buffers: null, abort: new AbortController(), retryAt: Infinity };
      this.#segments.set(number, segment);
      this.#fetch(number, segment);
    }
    return segment.buffers;
  }

  async #fetch(number, segment) {
    try {
      const names = [...this.#tracks.keys()];
      const buffers = await Promise.all(names.map((name) => this.#fetchTrack(name, number, segment.abort.signal)));
      segment.buffers = new Map(names.map((name, index) => [name, buffers[index]]));
      this.#notify("load");
      if (this.isPlaying) this.#schedule();
    } catch (error) {
      if (error.name === "AbortError") return; // the player has given the segment up
      segment.abort.abort(); // its other tracks
      segment.retryAt = performance.now() + RETRY_MS;
      this.dispatchEvent(new CustomEvent("problem", { detail: error }));
    }
  }

  async #fetchTrack(name, number, signal) {
    const response = await fetch(`${this.#tracks.get(name).url}?segment=${number}`, { signal });
    if (!response.ok) throw Object.assign(new Error(`${response.status}`), { status: response.status });
    return this.#read(await response.arrayBuffer());
  }

  // a wav of 16 bits, in a buffer that can be played
  #read(data) {
    const { n_channels: channels, sample_rate: rate } = this.#preview;
    const values = new Int16Array(data, findSamples(data));
    const length = values.length / channels;
    const buffer = this.#takeSpare(length) ?? this.#context.createBuffer(channels, length, rate);
    for (let channel = 0; channel < channels; channel++) {
      const samples = buffer.getChannelData(channel);
      for (let index = 0; index < length; index++) samples[index] = values[index * channels + channel] / FULL_SCALE;
    }
    return buffer;
  }

  #takeSpare(length) {
    const latest = this.#context.currentTime - REST_S;
    const index = this.#spare.findIndex(({ buffer, since }) => buffer.length === length && since <= latest);
    return index < 0 ? null : this.#spare.splice(index, 1)[0].buffer;
  }

  // keep what is played next, and where a loop begins; what is given up may be scheduled still
  #forget() {
    const next = this.#number(this.#nextSample);
    const start = this.#loop ? this.#number(this.#loop[0]) : next;
    const distance = (number) => (number === start ? 0 : number < next ? 2 * (next - number) : number - next);
    const numbers = [...this.#segments.keys()].sort((a, b) => distance(a) - distance(b));
    for (const number of numbers.slice(MAX_SEGMENTS)) {
      const { buffers, abort } = this.#segments.get(number);
      abort.abort();
      const since = Math.max(this.#context.currentTime, this.#nextTime ?? 0);
      for (const buffer of buffers?.values() ?? []) this.#spare.push({ buffer, since });
      this.#segments.delete(number);
    }
    if (this.#spare.length > 2 * this.#tracks.size) this.#spare.splice(0, this.#spare.length - 2 * this.#tracks.size);
  }
}

// where the samples of a wav begin
function findSamples(data) {
  const view = new DataView(data);
  let offset = 12;
  while (view.getUint32(offset) !== 0x64617461) offset += 8 + view.getUint32(offset + 4, true); // until "data"
  return offset + 8;
}

// at the rate of the song nothing is resampled between segments
function makeContext(sampleRate) {
  try {
    return new AudioContext({ sampleRate, latencyHint: "interactive" });
  } catch {
    return new AudioContext();
  }
}
