// The songs of this browser: uploaded one after the other, followed as the service tells, found again on a reload.

import { ask, upload } from "./api.js";
import { t } from "./texts.js";

const RETRY_MS = 2000;

export class Songs extends EventTarget {
  #songs = []; // the newest last
  #waiting = []; // those whose files wait: one upload at a time keeps the order
  #isUploading = false;
  #events = null;
  #followed = "";
  #retry = null;

  constructor() {
    super();
    addEventListener("offline", () => this.#reconnect());
    addEventListener("online", () => this.#reconnect());
  }

  get all() {
    return [...this.#songs].reverse();
  }

  find(key) {
    return this.#songs.find((song) => song.key === key);
  }

  async restore() {
    const { songs } = await ask("/api/songs");
    for (const described of songs) this.#add({ ...described, key: described.id });
    this.#follow();
  }

  // upload files as `query` has it; returns the first
  add(files, query) {
    const added = files.map((file) => {
      const each = new URLSearchParams([...query, ["name", file.name]]);
      return this.#add({ key: makeKey(), input: file.name, status: "waiting", file, query: each });
    });
    this.#waiting.push(...added);
    this.#uploadNext();
    return added[0];
  }

  async addDemo(query) {
    const described = await ask(`/api/demo?${query}`, { method: "POST" });
    const song = this.#add({ ...described, key: described.id });
    this.#follow();
    return song;
  }

  retry(song) {
    song.key = makeKey();
    this.#change(song, { status: "waiting", error: null });
    this.#waiting.push(song);
    this.#uploadNext();
  }

  async remove(song) {
    this.#waiting = this.#waiting.filter((each) => each !== song);
    song.isRemoved = true;
    song.upload?.abort();
    if (song.id) {
      await ask(`/api/songs/${song.id}`, { method: "DELETE" }).catch((error) => {
        if (error.status !== 404) throw error;
      });
    }
    this.#songs = this.#songs.filter((each) => each !== song);
    this.#follow();
    this.#notify();
  }

  #add(song) {
    this.#songs.push(song);
    this.#notify();
    return song;
  }

  #change(song, changes) {
    Object.assign(song, changes);
    this.#notify();
  }

  #notify() {
    this.dispatchEvent(new Event("change"));
  }

  async #uploadNext() {
    if (this.#isUploading || !this.#waiting.length) return;
    this.#isUploading = true;
    const song = this.#waiting.shift();
    this.#change(song, { status: "uploading", progress: 0 });
    song.upload = upload(song.file, song.query, song.key, (progress) => this.#change(song, { progress }));
    try {
      const described = await song.upload.promise;
      if (song.isRemoved) ask(`/api/songs/${described.id}`, { method: "DELETE" }).catch(() => {});
      else this.#change(song, { ...described, file: null, canRetry: false });
    } catch (error) {
      if (error.name !== "AbortError") this.#change(song, { status: "failed", error: error.message, canRetry: true });
    }
    song.upload = null;
    this.#isUploading = false;
    this.#follow();
    this.#uploadNext();
  }

  // one stream for all songs that are not over yet
  #follow() {
    const ids = this.#songs.filter(({ id, status }) => id && ["queued", "separating"].includes(status)).map(({ id }) => id);
    const followed = ids.join(",");
    if (followed === this.#followed && this.#events) return;
    this.#events?.close();
    clearTimeout(this.#retry);
    this.#events = null;
    this.#followed = followed;
    if (!ids.length) return;
    const events = new EventSource(`/api/events?songs=${followed}`);
    this.#events = events;
    events.addEventListener("song", ({ data }) => this.#take(JSON.parse(data)));
    events.addEventListener("removed", ({ data }) => this.#lose(JSON.parse(data).id));
    events.addEventListener("error", () => this.#reconnect());
  }

  #take(described) {
    const song = this.#songs.find(({ id }) => id === described.id);
    if (!song) return;
    this.#change(song, { ...described, isLost: false });
    if (["done", "failed"].includes(song.status)) this.#follow();
  }

  #lose(id) {
    const song = this.#songs.find((each) => each.id === id);
    if (song) this.#giveUp(song);
    this.#follow();
  }

  #giveUp(song) {
    this.#change(song, { status: "failed", error: t("gone"), id: null, isLost: false });
  }

  // the stream ends also when the service is away, or has forgotten a song: ask for each
  #reconnect() {
    this.#events?.close();
    this.#events = null;
    this.#followed = "";
    clearTimeout(this.#retry);
    this.#retry = setTimeout(async () => {
      for (const song of this.#songs.filter(({ id, status }) => id && ["queued", "separating"].includes(status))) {
        try {
          this.#change(song, { ...(await ask(`/api/songs/${song.id}`)), isLost: false });
        } catch (error) {
          if (error.status === 404) this.#giveUp(song);
          else this.#change(song, { isLost: true });
        }
      }
      if (this.#songs.some(({ isLost }) => isLost)) this.#reconnect();
      else this.#follow();
    }, RETRY_MS);
  }
}

// not every browser has randomUUID outside of https
function makeKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
