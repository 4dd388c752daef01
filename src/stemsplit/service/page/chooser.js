// What is to be split, and into what: the files that are chosen, and the settings of the separation.

import { byId, formatBytes, iconButton, make, setText } from "./dom.js";
import { nameStem } from "./mixer.js";
import { t } from "./texts.js";

const HEAD_BYTES = 16;
// what these begin with is no audio, whatever the file is called
const OTHERS = [
  [0x25, 0x50, 0x44, 0x46], // PDF
  [0x89, 0x50, 0x4e, 0x47], // PNG
  [0xff, 0xd8, 0xff], // JPEG
  [0x47, 0x49, 0x46, 0x38], // GIF
  [0x50, 0x4b, 0x03, 0x04], // zip
  [0x7f, 0x45, 0x4c, 0x46], // ELF
  [0x4d, 0x5a], // exe
];

export class Chooser {
  #service;
  #chosen = [];
  #onSplit;

  constructor(service, { onSplit, onDemo }) {
    this.#service = service;
    this.#onSplit = onSplit;
    this.#buildSettings();
    byId("chooser").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#split();
    });
    byId("chooser").addEventListener("change", (event) => {
      if (event.target.id === "files") this.#take([...event.target.files]);
      if (event.target.id === "model-choice") this.#buildStems();
      this.show();
    });
    byId("demo").addEventListener("click", () => {
      if (this.#canSplit()) onDemo(this.query());
    });
    this.#listenToDrops();
    this.show();
  }

  #listenToDrops() {
    const isFile = ({ dataTransfer }) => [...dataTransfer.types].includes("Files");
    // a file that misses the field must not take the place of the page
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      byId("drop").classList.toggle("over", isFile(event));
    });
    document.addEventListener("dragleave", () => byId("drop").classList.remove("over"));
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      byId("drop").classList.remove("over");
      this.#take([...event.dataTransfer.files]);
    });
  }

  // settings

  #buildSettings() {
    this.#buildChoices();
    this.#buildStems();
  }

  #buildChoices() {
    const presets = ["", ...this.#service.presets].map((name) => new Option(t(`preset_${name || "standard"}`), name));
    byId("preset").replaceChildren(...presets);
    const installed = this.#service.installed_models;
    byId("model-field").hidden = !installed.length;
    const served = new Option(this.#service.models.map(({ name }) => name).join(", "), "");
    byId("model-choice").replaceChildren(served, ...installed.map(({ name }) => new Option(name, name)));
  }

  // the model that is chosen: its stems and its licence
  #model() {
    const chosen = this.#service.installed_models.find(({ name }) => name === byId("model-choice").value);
    return chosen ?? { stems: this.#service.stems, isServed: true };
  }

  #buildStems() {
    const { stems, isServed, ...model } = this.#model();
    byId("karaoke").replaceChildren(...stems.map((stem) => new Option(nameStem(stem), stem)));
    byId("stems").replaceChildren(...stems.map((stem) => check(stem)));
    const models = isServed ? this.#service.models : [model];
    const words = models.map((each) => t(`commercial_${each.commercial}`, each));
    setText(byId("model"), words.join(" "));
  }

  #mode() {
    return document.querySelector("input[name=mode]:checked").value;
  }

  #stems() {
    return [...byId("stems").querySelectorAll("input:checked")].map(({ value }) => value);
  }

  // the parameters of an upload
  query() {
    const query = new URLSearchParams();
    if (this.#mode() === "karaoke") query.set("karaoke", byId("karaoke").value);
    if (this.#mode() === "some") {
      const stems = this.#stems();
      const isAll = stems.length === this.#model().stems.length && this.#sumsToSong();
      if (!isAll) {
        query.set("stems", stems.join(","));
        query.set("residual", String(byId("residual").checked));
      }
    }
    for (const [name, id] of [["preset", "preset"], ["model", "model-choice"]]) {
      if (byId(id).value) query.set(name, byId(id).value);
    }
    if (byId("analyse").checked) query.set("analyse", "true");
    const { start, end } = this.#excerpt();
    if (start) query.set("start_s", start);
    if (end !== null) query.set("end_s", end);
    return query;
  }

  // in seconds; an empty field is the start or the end of the song, and NaN what is no time
  #excerpt() {
    if (!byId("excerpt").checked) return { start: 0, end: null };
    return { start: parseTime(byId("excerpt-start").value) ?? 0, end: parseTime(byId("excerpt-end").value) };
  }

  #hasExcerpt() {
    const { start, end } = this.#excerpt();
    return start >= 0 && (end === null || end > start);
  }

  // whether all stems of the model are all of the song; of installed models the page does not know
  #sumsToSong() {
    return Boolean(this.#model().isServed) && this.#service.stems_sum_to_song;
  }

  // files

  async #take(files) {
    const checked = await Promise.all(files.map((file) => this.#check(file)));
    this.#chosen.push(...files.filter((_, index) => !checked[index]));
    this.show();
    const refused = checked.filter(Boolean);
    if (refused.length) setText(byId("problem"), refused.join(" "));
    byId("files").value = "";
  }

  // why a file is refused; null if it is not
  async #check(file) {
    const limit = this.#service.limits.max_bytes;
    const name = file.name;
    if (!file.size) return t("is_empty", { name });
    if (file.size > limit) return t("is_too_large", { name, limit: formatBytes(limit) });
    const head = await readHead(file);
    if (!head) return t("is_unreadable", { name });
    const ending = name.includes(".") ? name.split(".").pop().toLowerCase() : "";
    const isNamed = /^(audio|video)\//.test(file.type) || this.#service.extensions.includes(ending) || !ending;
    const isOther = OTHERS.some((bytes) => bytes.every((byte, index) => head[index] === byte));
    return !isNamed || isOther ? t("is_no_audio", { name }) : null;
  }

  #split() {
    if (!this.#chosen.length || !this.#canSplit()) return;
    const files = this.#chosen;
    this.#chosen = [];
    this.show();
    this.#onSplit(files, this.query());
  }

  #canSplit() {
    return (this.#mode() !== "some" || this.#stems().length > 0) && this.#hasExcerpt();
  }

  show() {
    byId("karaoke-field").hidden = this.#mode() !== "karaoke";
    byId("some-fields").hidden = this.#mode() !== "some";
    byId("excerpt-fields").hidden = !byId("excerpt").checked;
    const nothingLeft = this.#stems().length === this.#model().stems.length && this.#sumsToSong();
    byId("residual").disabled = nothingLeft;
    byId("chosen").replaceChildren(...this.#chosen.map((file) => this.#makeChosen(file)));
    const button = byId("split");
    button.disabled = !this.#chosen.length || !this.#canSplit();
    setText(button, this.#chosen.length > 1 ? t("split_n", { n: this.#chosen.length }) : t("split"));
    setText(byId("problem"), this.#hasExcerpt() ? "" : t("excerpt_invalid"));
  }

  // after the language has changed
  translate() {
    const values = { karaoke: byId("karaoke").value, stems: this.#stems(), preset: byId("preset").value, model: byId("model-choice").value };
    this.#buildChoices();
    byId("preset").value = values.preset;
    byId("model-choice").value = values.model;
    this.#buildStems();
    byId("karaoke").value = values.karaoke;
    for (const box of byId("stems").querySelectorAll("input")) box.checked = values.stems.includes(box.value);
    this.show();
  }

  #makeChosen(file) {
    const remove = iconButton("remove", t("unchoose", { name: file.name }), () => {
      this.#chosen = this.#chosen.filter((each) => each !== file);
      this.show();
      byId("files").focus();
    });
    return make("li", {}, make("span", { class: "file-name" }, file.name), make("span", { class: "quiet" }, formatBytes(file.size)), remove);
  }
}

// null where nothing can be read, as of a folder
async function readHead(file) {
  try {
    return new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer());
  } catch {
    return null;
  }
}

// seconds of a time such as 83.5, 1:23.5 or 1:00:00; null for none, NaN for what is no time
function parseTime(text) {
  const trimmed = text.trim().replace(",", ".");
  if (!trimmed) return null;
  if (!/^(\d+:)?(\d+:)?\d+(\.\d*)?$/.test(trimmed)) return NaN;
  return trimmed.split(":").reduce((seconds, part) => 60 * seconds + Number(part), 0);
}

function check(stem) {
  const box = make("input", { type: "checkbox", value: stem, checked: true });
  return make("label", { class: "check" }, box, make("span", {}, nameStem(stem)));
}
