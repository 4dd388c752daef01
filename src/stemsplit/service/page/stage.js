// The song that is looked at: on its way, failed, or in the mixer.

import { describe } from "./api.js";
import { button, byId, formatTime, icon, make, setText } from "./dom.js";
import { Mixer } from "./mixer.js";
import { t } from "./texts.js";

// as the service names them
const TONICS = ["C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"];

export class Stage {
  #songs;
  #service;
  #song = null;
  #shown = ""; // what the elements were built for
  #mixer = null;

  constructor(songs, service) {
    this.#songs = songs;
    this.#service = service;
  }

  get song() {
    return this.#song;
  }

  get mixer() {
    return this.#mixer;
  }

  select(song) {
    this.#song = song;
    this.show();
  }

  // after the language has changed
  translate() {
    if (this.#mixer) {
      this.#build(this.#song);
      this.#mixer.translate();
      this.content.append(this.#mixer.element);
    } else this.#shown = "";
    this.show();
  }

  show() {
    const song = this.#song;
    const shown = song ? `${song.key} ${kindOf(song)}` : "empty";
    byId("empty").hidden = Boolean(song);
    byId("stage").hidden = !song;
    if (shown !== this.#shown) {
      this.#shown = shown;
      this.#mixer?.close();
      this.#mixer = null;
      if (song) this.#build(song);
      if (song?.status === "done") this.#open(song);
    }
    if (song) this.#update(song);
  }

  #build(song) {
    const stage = byId("stage");
    this.status = make("p", { class: "status", role: "status", "aria-live": "polite" });
    this.facts = make("p", { class: "facts" });
    this.bar = make("progress", { max: 1, "aria-label": t("progress") });
    this.content = make("div", { class: "content" });
    const actions = make("span", { class: "actions" }, ...this.#makeActions(song));
    stage.replaceChildren(make("header", {}, make("div", {}, make("h2", {}, song.input), this.facts), actions), this.status, this.bar, this.content);
    stage.className = `panel ${kindOf(song)}`;
  }

  #makeActions(song) {
    const again = button("", () => this.#songs.retry(song), { class: "secondary" }, icon("retry"), t("try_again"));
    const remove = button("", () => this.#remove(song), { class: "secondary remove" }, icon("remove"), t(song.status === "done" || song.status === "failed" ? "remove" : "cancel"));
    return song.canRetry && song.status === "failed" ? [again, remove] : [remove];
  }

  async #remove(song) {
    try {
      await this.#songs.remove(song);
    } catch (error) {
      setText(this.status, error.message);
    }
  }

  #update(song) {
    setText(this.status, describeStatus(song));
    setText(this.facts, describeFacts(song));
    this.bar.hidden = !["waiting", "uploading", "queued", "separating"].includes(song.status);
    if (song.progress === null || song.progress === undefined) this.bar.removeAttribute("value");
    else this.bar.value = song.progress;
  }

  async #open(song) {
    if (!song.preview) {
      this.content.append(make("p", {}, t("no_preview")), ...listDownloads(song));
      return;
    }
    const content = this.content;
    content.append(make("p", { class: "quiet" }, t("loading")));
    try {
      const mixer = await Mixer.open(song, this.#service.formats);
      if (content !== this.content || this.#mixer) {
        mixer.close();
        return;
      }
      this.#mixer = mixer;
      content.replaceChildren(mixer.element);
    } catch (error) {
      content.replaceChildren(make("p", { class: "problem", role: "alert" }, error.message), ...listDownloads(song));
    }
  }
}

const kindOf = ({ status }) => (["done", "failed"].includes(status) ? status : "on-its-way");

function listDownloads(song) {
  const links = Object.entries(song.outputs).map(([stem, url]) => make("a", { class: "button", href: url, download: "" }, stem));
  return [make("p", { class: "actions" }, ...links)];
}

export function describeStatus({ status, place, progress, time_left_s: left, note, isLost, ...failure }) {
  if (isLost) return t("lost");
  if (status === "queued") return t("queued", { place });
  if (status === "uploading") return t("uploading", { percent: Math.round(100 * (progress ?? 0)) });
  if (status === "separating") {
    if (progress === null) return t("separating_unknown");
    const percent = Math.round(100 * progress);
    return left === null ? t("separating", { percent }) : t("separating_left", { percent, left: formatTime(Math.ceil(left)) });
  }
  if (status === "failed") return describe(null, failure);
  if (status === "done") return note ?? "";
  return t("waiting");
}

// "Bb minor" as the reader's language has it
function nameKey(key) {
  const [tonic, mode] = key.split(" ");
  return t(`tonality_${mode}`, { tonic: t(`tonics_${mode}`).split(" ")[TONICS.indexOf(tonic)] });
}

function describeFacts({ duration_s: duration, sample_rate: rate, analysis, models }) {
  const facts = [];
  if (duration) facts.push(formatTime(duration));
  if (rate) facts.push(`${rate / 1000} kHz`);
  if (analysis?.bpm) facts.push(t("tempo", { bpm: Math.round(analysis.bpm) }));
  if (analysis?.key) facts.push(`${nameKey(analysis.key)} (${analysis.camelot})`);
  for (const model of models ?? []) facts.push(t("by_model", { models: `${model.name} (${model.licence})` }));
  return facts.join(" · ");
}
