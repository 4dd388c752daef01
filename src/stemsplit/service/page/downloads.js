// What is downloaded of a song: a stem, all of them in one file, or the mix as it is played.

import { download } from "./api.js";
import { button, icon, make, setText } from "./dom.js";
import { t } from "./texts.js";

export class Downloads {
  #song;
  #player;
  #formats;

  // formats: those that the service writes, each with its bit depths
  constructor(song, player, formats) {
    this.#song = song;
    this.#player = player;
    this.#formats = formats;
    this.element = make("div", { class: "downloads" });
    this.#build();
  }

  // after the language has changed
  translate() {
    const [format, bits, onlyLoop] = [this.format.value, this.bits.value, this.onlyLoop.checked];
    this.#build();
    this.format.value = format;
    this.#showBits();
    this.bits.value = bits;
    this.onlyLoop.checked = onlyLoop;
  }

  // after the mix has changed
  show() {
    this.mixButton.disabled = !this.#player.soundingStems.length;
  }

  fetchStem(stem) {
    this.#download(this.#withFormat(this.#withExcerpt(this.#song.outputs[stem])));
  }

  #build() {
    this.format = make("select", { id: "mix-format" }, ...Object.keys(this.#formats).map((format) => new Option(format.toUpperCase(), format)));
    this.bits = make("select", { id: "mix-bits" });
    this.onlyLoop = make("input", { type: "checkbox", id: "only-loop" });
    this.mixButton = button("", () => this.#download(this.#mixUrl()), { class: "main", id: "download-mix" }, icon("download"), t("download_mix"));
    const zip = button("", () => this.#download(this.#withFormat(this.#song.zip)), { class: "secondary", id: "download-all" }, icon("download"), t("download_all"));
    this.format.addEventListener("change", () => this.#showBits());
    this.#showBits();
    this.status = make("p", { class: "status", role: "status" });
    this.element.replaceChildren(
      make("label", { class: "field" }, make("span", {}, t("format")), this.format),
      make("label", { class: "field" }, make("span", {}, t("bits")), this.bits),
      make("label", { class: "check" }, this.onlyLoop, make("span", {}, t("only_loop"))),
      make("span", { class: "actions" }, zip, this.mixButton),
      this.status,
    );
  }

  #showBits() {
    const depths = this.#formats[this.format.value];
    this.bits.replaceChildren(new Option(t("as_song"), ""), ...depths.map((bits) => new Option(bits === "32f" ? t("float_bits") : t("n_bits", { bits }), bits)));
    this.bits.disabled = !depths.length;
  }

  #mixUrl() {
    const stems = this.#player.soundingStems;
    const query = new URLSearchParams({ stems: stems.join(",") });
    const pairs = (key, read) => {
      const values = stems.map((stem) => [stem, read(this.#player.settings(stem))]).filter(([, value]) => value);
      if (values.length) query.set(key, values.map((pair) => pair.join(":")).join(","));
    };
    pairs("gains_db", ({ gainDb }) => gainDb);
    pairs("pans", ({ pan }) => pan);
    return this.#withFormat(this.#withExcerpt(`${this.#song.mix}?${query}`));
  }

  #withExcerpt(url) {
    const { loop } = this.#player;
    return this.onlyLoop.checked && loop ? extend(url, { start_s: loop[0].toFixed(4), end_s: loop[1].toFixed(4) }) : url;
  }

  // the stems as they are need no conversion
  #withFormat(url) {
    const isStored = this.format.value === this.#song.settings.format && !this.bits.value;
    const isStem = !url.startsWith(this.#song.mix);
    if (isStored && isStem && !url.includes("?")) return url;
    return extend(url, { format: this.format.value, ...(this.bits.value ? { bits: this.bits.value } : {}) });
  }

  async #download(url) {
    this.status.classList.remove("problem");
    setText(this.status, t("preparing"));
    try {
      await download(url);
      setText(this.status, "");
    } catch (error) {
      this.status.classList.add("problem");
      setText(this.status, error.message);
    }
  }
}

function extend(url, parameters) {
  return `${url}${url.includes("?") ? "&" : "?"}${new URLSearchParams(parameters)}`;
}
