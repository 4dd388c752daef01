// Starts the page: its words, its songs, its keys.

import { ask } from "./api.js";
import { Chooser } from "./chooser.js";
import { byId, make, setText } from "./dom.js";
import { Songs } from "./songs.js";
import { describeStatus, Stage } from "./stage.js";
import { language, languages, loadTexts, setLanguage, t, write } from "./texts.js";

const THEMES = ["auto", "light", "dark"];
const songs = new Songs();
let stage = null;
let chooser = null;
let hasKeys = read("keys") !== "off";

async function start() {
  showTheme(read("theme") ?? "auto");
  await loadTexts();
  buildLanguages();
  const service = await ask("/api");
  stage = new Stage(songs, service);
  chooser = new Chooser(service, { onSplit: split, onDemo: splitDemo });
  write(byId("privacy"), "privacy", { minutes: service.limits.keep_minutes });
  offerPhone(service.address);
  songs.addEventListener("change", showSongs);
  await songs.restore();
  const [newest] = songs.all;
  if (newest) select(songs.find(location.hash.slice(1)) ?? newest);
  document.documentElement.classList.add("ready");
}

function split(files, query) {
  select(songs.add(files, query));
}

async function splitDemo(query) {
  try {
    select(await songs.addDemo(query));
  } catch (error) {
    setText(byId("problem"), error.message);
  }
}

// the list

function select(song) {
  stage.select(song);
  showSongs();
}

function showSongs() {
  const all = songs.all;
  byId("songs-panel").hidden = !all.length;
  if (stage.song && !all.includes(stage.song)) {
    stage.select(all[0] ?? null);
    byId("files").focus();
  }
  const list = byId("songs");
  for (const [index, song] of all.entries()) showItem(list, index, song);
  while (list.children.length > all.length) list.lastElementChild.remove();
  stage.show();
  showAddress(stage.song);
}

// a song has its address once the service has it
function showAddress(song) {
  if (song?.id && location.hash !== `#${song.id}`) history.replaceState(null, "", `#${song.id}`);
}

// what has the focus is not replaced by its like
function showItem(list, index, song) {
  let item = list.children[index];
  if (item?.song !== song) {
    item = make("li", {}, make("button", { type: "button", onclick: () => select(song) }, make("span", { class: "file-name" }), make("span", { class: "quiet" }), make("progress", { max: 1, "aria-hidden": "true" })));
    item.song = song;
    if (list.children[index]) list.children[index].before(item);
    else list.append(item);
  }
  const [name, status, bar] = item.firstElementChild.children;
  setText(name, song.input);
  setText(status, song.status === "done" ? t("done") : song.status === "failed" ? t("failed") : describeStatus(song));
  bar.hidden = ["done", "failed"].includes(song.status);
  bar.value = song.progress ?? 0;
  item.className = song.status;
  item.firstElementChild.setAttribute("aria-current", String(song === stage.song));
}

// looks

function read(name) {
  try {
    return localStorage.getItem(`stemsplit-${name}`);
  } catch {
    return null;
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(`stemsplit-${name}`, value);
  } catch {
    // a browser that keeps nothing
  }
}

function showTheme(theme) {
  document.documentElement.dataset.theme = theme;
  stage?.mixer?.redraw();
}

byId("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme;
  const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
  keep("theme", next);
  showTheme(next);
  setText(byId("announcer"), t(`theme_${next}`));
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => stage?.mixer?.redraw());

function buildLanguages() {
  const select = byId("language");
  select.replaceChildren(...languages().map(([code, name]) => new Option(name, code)));
  select.value = language();
  select.addEventListener("change", () => {
    setLanguage(select.value);
    if (!stage) return; // the service was not there
    chooser.translate();
    stage.translate();
    showSongs();
  });
}

// keys: they can be switched off, for those whose own tools use them

byId("help").addEventListener("click", () => byId("keys").showModal());
byId("close-keys").addEventListener("click", () => byId("keys").close());
byId("use-keys").checked = hasKeys;
byId("use-keys").addEventListener("change", ({ target }) => {
  hasKeys = target.checked;
  keep("keys", hasKeys ? "on" : "off");
});

document.addEventListener("keydown", (event) => {
  if (!hasKeys || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (belongsToControl(event)) return;
  if (event.key === "?") {
    byId("keys").showModal();
    return;
  }
  if (stage?.mixer?.handleKey(event)) event.preventDefault();
});

// a control keeps the keys that work it
function belongsToControl({ target, key }) {
  if (target.matches("select, textarea, input:not([type=range], [type=checkbox], [type=radio])")) return true;
  if (target.matches("input[type=range], input[type=radio]") && /^(Arrow|Home|End)/.test(key)) return true;
  return key === " " && target.matches("button, a, summary, input[type=checkbox], input[type=radio]");
}

// other devices, where they can reach the service

function offerPhone(address) {
  if (!address) return;
  byId("open-phone").hidden = false;
  byId("open-phone").addEventListener("click", () => {
    byId("code").src = "/api/address.svg";
    byId("phone-address").href = address;
    setText(byId("phone-address"), address);
    byId("phone").showModal();
  });
  byId("close-phone").addEventListener("click", () => byId("phone").close());
}

// the shell of the page, for a phone's home screen
if ("serviceWorker" in navigator) navigator.serviceWorker.register("/service-worker.js").catch(() => {});

start().catch((error) => {
  document.documentElement.classList.add("ready");
  setText(byId("problem"), error.message);
});
