// The mixer of one song: transport, tracks with their faders and waveforms, and the downloads.

import { ask } from "./api.js";
import { button, formatTime, icon, iconButton, make, setText } from "./dom.js";
import { Downloads } from "./downloads.js";
import { Player } from "./player.js";
import { t } from "./texts.js";
import { Waveform } from "./waveform.js";

const OFF_DB = -40;
const MAX_DB = 6;
const STEP_S = 5;
const DRAG_PX = 8;
const TONES = ["vocals", "drums", "bass", "other"];

export class Mixer {
  #song;
  #preview;
  #downloads;
  #player;
  #tracks = new Map(); // stem -> its controls
  #waves = [];
  #frame = null;
  #selected = 0;

  static async open(song, formats) {
    const preview = await ask(song.preview);
    return new Mixer(song, preview, formats);
  }

  constructor(song, preview, formats) {
    this.#song = song;
    this.#preview = preview;
    this.#player = new Player(preview);
    this.#downloads = new Downloads(song, this.#player, formats);
    this.element = make("div", { class: "mixer" });
    this.#build();
    for (const type of ["state", "seek", "loop", "mix"]) this.#player.addEventListener(type, () => this.#show());
    this.#player.addEventListener("problem", ({ detail }) => this.#explain(detail.status));
    this.#player.addEventListener("load", () => this.#say(""));
    this.#player.seek(0);
    this.#show();
  }

  get player() {
    return this.#player;
  }

  #build() {
    this.#tracks.clear();
    this.#waves = [];
    this.#buildTransport();
    this.#buildTracks();
    this.element.replaceChildren(this.transport, this.tracks, this.#downloads.element);
  }

  // after the language has changed: the song plays on, as it is mixed
  translate() {
    this.#build();
    this.#downloads.translate();
    this.#show();
  }

  close() {
    cancelAnimationFrame(this.#frame);
    this.#player.close();
  }

  // transport

  #buildTransport() {
    this.playButton = iconButton("play", t("play"), () => this.toggle(), { class: "play" });
    this.clock = make("span", { class: "clock" });
    this.loopButton = iconButton("loop", t("loop"), () => this.#toggleLoop(), { "aria-pressed": "false" });
    this.originalButton = button("", () => this.#toggleOriginal(), { class: "chip", "aria-pressed": "false" }, icon("compare"), t("original"));
    const volume = slider(t("volume"), { min: 0, max: 100, value: 100 * Math.sqrt(this.#player.volume) }, (value) => this.#player.setVolume((value / 100) ** 2));
    this.problem = make("p", { class: "problem", role: "alert" });
    this.transport = make(
      "div",
      { class: "transport" },
      iconButton("start", t("to_start"), () => this.#player.seek(0), { class: "icon-button to-start" }),
      this.playButton,
      this.clock,
      this.loopButton,
      this.originalButton,
      make("span", { class: "master" }, icon("volume"), volume),
      this.problem,
    );
  }

  // why a segment has not come
  #explain(status) {
    if (status === 401) location.reload(); // to the login
    this.#say(t(status === 404 ? "gone" : "play_problem"));
  }

  #say(text) {
    setText(this.problem, text);
  }

  toggle() {
    if (this.#player.isPlaying) this.#player.pause();
    else this.#player.play();
  }

  #toggleOriginal() {
    this.#player.setOriginal(!this.#player.isOriginal);
  }

  #toggleLoop() {
    const { position, duration, loop } = this.#player;
    const start = position < duration - 1 ? position : 0;
    this.#player.setLoop(loop ? null : [start, Math.min(duration, start + 10)]);
  }

  // tracks

  #buildTracks() {
    const { peaks: allPeaks, original_peaks: originalPeaks, n_channels: channels } = this.#preview;
    this.seek = slider(t("seek"), { min: 0, max: this.#player.duration, step: 0.1, value: 0 }, (value) => this.#player.seek(value));
    this.seek.classList.add("seek");
    this.tracks = make("div", { class: "tracks" }, make("div", { class: "ruler" }, this.seek));
    const loudest = [originalPeaks, ...Object.values(allPeaks)].flat().reduce((a, b) => Math.max(a, b), 1);
    for (const [stem, peaks] of Object.entries(allPeaks)) {
      this.tracks.append(this.#buildTrack(stem, new Waveform(peaks, loudest), channels === 2));
    }
    this.tracks.append(this.#buildOriginal(new Waveform(originalPeaks, loudest)));
  }

  #buildTrack(stem, wave, isStereo) {
    const number = this.#tracks.size + 1;
    const name = nameStem(stem);
    const solo = button("S", () => this.#toggle(stem, "isSolo"), { class: "square", "aria-pressed": "false", "aria-label": t("solo_of", { name }), title: `${t("solo")} (${number})` });
    const mute = button("M", () => this.#toggle(stem, "isMuted"), { class: "square", "aria-pressed": "false", "aria-label": t("mute_of", { name }), title: `${t("mute")} (M)` });
    const level = make("output", { class: "value" });
    const { gainDb = 0, pan: place } = this.#player.settings(stem);
    const volume = slider(t("volume_of", { name }), { min: OFF_DB, max: MAX_DB, step: 0.5, value: gainDb }, (value) => {
      this.#player.set(stem, { gain: value <= OFF_DB ? 0 : 10 ** (value / 20), gainDb: value });
    });
    const pan = slider(t("pan_of", { name }), { min: -100, max: 100, step: 5, value: 100 * place }, (value) => {
      this.#player.set(stem, { pan: value / 100 });
    });
    for (const each of [volume, pan]) each.addEventListener("dblclick", () => reset(each));
    const head = make(
      "div",
      { class: "track-head" },
      make("span", { class: "track-number" }, `${number}`),
      make("span", { class: "track-name" }, name),
      make("span", { class: "buttons" }, solo, mute),
      make("span", { class: "fader" }, icon("volume"), volume, level),
      isStereo ? make("span", { class: "pan" }, make("span", { "aria-hidden": "true" }, "L"), pan, make("span", { "aria-hidden": "true" }, "R")) : null,
      iconButton("download", t("download_of", { name }), () => this.#downloads.fetchStem(stem)),
      make("span", { class: "words" }, describeQuality(this.#song, stem)),
    );
    this.#listenToWave(wave.element);
    this.#waves.push(wave);
    const tone = TONES.includes(stem) ? stem : `tone-${number % 4}`;
    const row = make("section", { class: `track tone-${tone}`, "aria-label": name }, head, wave.element);
    row.addEventListener("focusin", () => (this.#selected = number - 1));
    this.#tracks.set(stem, { row, solo, mute, volume, pan, level });
    return row;
  }

  #buildOriginal(wave) {
    this.#listenToWave(wave.element);
    this.#waves.push(wave);
    this.originalRow = make("section", { class: "track original", "aria-label": t("original") }, make("div", { class: "track-head" }, make("span", { class: "track-number" }, "O"), make("span", { class: "track-name" }, t("original"))), wave.element);
    return this.originalRow;
  }

  #toggle(stem, setting) {
    this.#player.set(stem, { [setting]: !this.#player.settings(stem)[setting] });
  }

  // a click goes there, a stretch that is drawn is repeated
  #listenToWave(element) {
    let start = null;
    const share = (event) => {
      const { left, width } = element.getBoundingClientRect();
      return Math.min(1, Math.max(0, (event.clientX - left) / width)) * this.#player.duration;
    };
    element.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      start = { x: event.clientX, at: share(event) };
      element.setPointerCapture(event.pointerId); // it may be let go elsewhere
    });
    element.addEventListener("pointermove", (event) => {
      const isDrag = start && Math.abs(event.clientX - start.x) > DRAG_PX;
      if (isDrag) this.#showLoop([start.at, share(event)].sort((a, b) => a - b));
    });
    element.addEventListener("pointerup", (event) => {
      if (!start) return;
      const loop = [start.at, share(event)].sort((a, b) => a - b);
      const isDrag = Math.abs(event.clientX - start.x) > DRAG_PX;
      start = null;
      if (!isDrag) this.#player.seek(share(event));
      else if (loop[1] - loop[0] > 0.2) {
        this.#player.setLoop(loop);
        this.#player.seek(loop[0]);
      } else this.#show();
    });
    element.addEventListener("pointercancel", () => {
      start = null;
      this.#show();
    });
  }

  // what is seen

  #show() {
    const { isPlaying, isWaiting, isOriginal, loop } = this.#player;
    const label = isPlaying ? t("pause") : t("play");
    if (this.playButton.getAttribute("aria-label") !== label) {
      this.playButton.replaceChildren(icon(isPlaying ? "pause" : "play"));
      this.playButton.setAttribute("aria-label", label);
      this.playButton.title = label;
    }
    this.playButton.classList.toggle("waiting", Boolean(isPlaying && isWaiting));
    this.loopButton.setAttribute("aria-pressed", String(loop !== null));
    this.originalButton.setAttribute("aria-pressed", String(isOriginal));
    this.element.classList.toggle("plays-original", isOriginal);
    this.originalRow.classList.toggle("silent", !isOriginal);
    for (const [stem, controls] of this.#tracks) this.#showTrack(stem, controls, isOriginal);
    this.#showLoop(loop);
    this.#showPosition();
    this.#downloads.show();
    cancelAnimationFrame(this.#frame);
    if (isPlaying) this.#frame = requestAnimationFrame(() => this.#follow());
  }

  #showTrack(stem, { row, solo, mute, volume, pan, level }, isOriginal) {
    const { isSolo, isMuted, gainDb = 0, pan: place } = this.#player.settings(stem);
    solo.setAttribute("aria-pressed", String(isSolo));
    mute.setAttribute("aria-pressed", String(isMuted));
    const words = gainDb <= OFF_DB ? "−∞ dB" : `${gainDb > 0 ? "+" : ""}${gainDb} dB`;
    setText(level, words);
    volume.setAttribute("aria-valuetext", words);
    pan.setAttribute("aria-valuetext", place === 0 ? t("middle") : `${place < 0 ? "L" : "R"} ${Math.round(Math.abs(place) * 100)}`);
    row.classList.toggle("silent", isOriginal || !this.#player.sounds(stem));
  }

  #showLoop(loop) {
    const { duration } = this.#player;
    this.tracks.classList.toggle("looped", loop !== null);
    const [start, end] = loop ?? [0, 0];
    this.tracks.style.setProperty("--loop-start", `${(100 * start) / duration}%`);
    this.tracks.style.setProperty("--loop-end", `${(100 * end) / duration}%`);
  }

  #showPosition() {
    const { position, duration } = this.#player;
    for (const wave of this.#waves) wave.showPlayed(position / duration);
    setText(this.clock, `${formatTime(position, 1)} / ${formatTime(duration)}`);
    this.seek.value = position;
    this.seek.setAttribute("aria-valuetext", formatTime(position));
  }

  #follow() {
    this.#showPosition();
    this.#frame = requestAnimationFrame(() => this.#follow());
  }

  redraw() {
    for (const wave of this.#waves) wave.draw();
  }

  // keys

  handleKey({ key, shiftKey }) {
    const stems = [...this.#tracks.keys()];
    const player = this.#player;
    if (/^[1-9]$/.test(key)) {
      if (stems[key - 1] === undefined) return false;
      this.#selected = key - 1;
      this.#toggle(stems[key - 1], "isSolo");
      return true;
    }
    const step = shiftKey ? 1 : STEP_S;
    const actions = {
      " ": () => this.toggle(),
      ArrowLeft: () => player.seek(player.position - step),
      ArrowRight: () => player.seek(player.position + step),
      Home: () => player.seek(0),
      End: () => player.seek(player.duration),
      m: () => this.#toggle(stems[this.#selected], "isMuted"),
      o: () => this.#toggleOriginal(),
      l: () => this.#toggleLoop(),
    };
    const action = actions[key.length === 1 ? key.toLowerCase() : key];
    action?.();
    return Boolean(action);
  }
}

function slider(label, { min, max, step = 1, value }, action) {
  const input = make("input", { type: "range", min, max, step, "aria-label": label, title: label });
  input.value = value;
  input.addEventListener("input", () => action(Number(input.value)));
  return input;
}

function reset(input) {
  input.value = 0;
  input.dispatchEvent(new Event("input"));
}

export function nameStem(stem) {
  const known = ["vocals", "drums", "bass", "other", "residual", "guitar", "piano"];
  if (known.includes(stem)) return t(`stem_${stem}`);
  return stem.startsWith("no_") ? t("without", { name: nameStem(stem.slice(3)) }) : stem;
}

function describeQuality({ levels_db: levels, expected_sdr_db: expected }, stem) {
  if (levels[stem] === null) return t("silent");
  const value = expected[stem];
  if (value === null || value === undefined) return "";
  const key = value >= 10 ? "clean" : value >= 6 ? "good" : value >= 3 ? "fair" : "poor";
  return t(`quality_${key}`);
}
