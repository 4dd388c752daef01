"use strict";
// Whatever comes from a file or from the service is text to the page: textContent, never HTML.

const POLL_MS = 1000;
const KEPT = "stemsplit-songs";
const byId = (id) => document.getElementById(id);

const cards = []; // all songs of this page, the newest last
const uploads = []; // cards whose files wait for their turn: one upload at a time keeps the order
let isUploading = false;
let chosen = [];
let service = null;

// what to do

async function start() {
  try {
    service = await fetchJson("/api");
  } catch (error) {
    showProblem(error.message);
    return;
  }
  for (const stem of service.stems) byId("stems").append(makeCheck(stem));
  for (const format of Object.keys(service.formats)) byId("format").append(new Option(format, format));
  const minutes = service.limits.keep_minutes;
  byId("about").textContent =
    `Songs go to the computer that runs it, and nowhere else; they are removed ${minutes} minutes after they are done.`;
  restore();
  update();
  setInterval(poll, POLL_MS);
}

function makeCheck(stem) {
  const label = make("label", "check");
  const box = make("input");
  box.type = "checkbox";
  box.value = stem;
  box.checked = true;
  label.append(box, make("span", "", stem));
  return label;
}

const boxes = () => [...byId("stems").querySelectorAll("input")];
const wanted = () => boxes().filter((box) => box.checked).map((box) => box.value);

function update() {
  // all stems of a model may already be all of the song: then there is no rest
  const nothingLeft = wanted().length === service.stems.length && service.stems_sum_to_song;
  byId("residual").disabled = nothingLeft;
  if (nothingLeft) byId("residual").checked = false;
  byId("chosen").replaceChildren(...chosen.map((file) => make("li", "", file.name)));
  byId("split").disabled = !chosen.length || !wanted().length;
  byId("split").textContent = chosen.length > 1 ? `Split ${chosen.length} songs` : "Split";
  byId("section").hidden = !cards.length;
}

function choose(files) {
  const limit = service.limits.max_bytes;
  const tooLarge = files.filter((file) => file.size > limit);
  chosen = [...chosen, ...files.filter((file) => file.size <= limit)];
  const names = tooLarge.map((file) => file.name).join(", ");
  showProblem(names ? `Too large, more than ${limit / 1e6} MB: ${names}` : "");
  update();
}

function order() {
  const stems = wanted();
  const query = new URLSearchParams({ format: byId("format").value });
  // all stems are the default, and the rest with them if there is any
  if (stems.length < service.stems.length || !service.stems_sum_to_song) query.set("stems", stems.join(","));
  if (byId("residual").checked) query.set("residual", "true");
  for (const file of chosen) {
    const card = addCard(file.name);
    card.file = file;
    card.query = new URLSearchParams([...query, ["name", file.name]]);
    queueUpload(card);
  }
  chosen = [];
  byId("files").value = "";
  update();
  byId("songs-head").scrollIntoView({ block: "start" });
}

// uploads

function queueUpload(card) {
  uploads.push(card);
  show(card, "waiting to be uploaded", 0);
  showActions(card, [makeButton("Remove", () => remove(card))]);
  uploadNext();
}

function uploadNext() {
  if (isUploading || !uploads.length) return;
  isUploading = true;
  const card = uploads.shift();
  const request = new XMLHttpRequest();
  card.request = request;
  request.open("POST", `/api/songs?${card.query}`);
  request.responseType = "json";
  request.upload.onprogress = (event) => show(card, "uploading", event.lengthComputable ? event.loaded / event.total : null);
  request.onload = () => endUpload(card, request.status === 202 ? null : tellError(request.status, request.response));
  request.onerror = () => endUpload(card, "The upload broke off: stemsplit cannot be reached.");
  request.onabort = () => endUpload(card, "The upload was stopped.");
  show(card, "uploading", 0);
  request.send(card.file);
}

function endUpload(card, problem) {
  const { response } = card.request;
  card.request = null;
  isUploading = false;
  if (problem === null) {
    card.id = response.id;
    card.file = null;
    keep();
    showSong(card, response);
  } else {
    fail(card, problem);
    showActions(card, [makeButton("Try again", () => retry(card)), makeButton("Remove", () => remove(card))]);
  }
  if (card.isRemoved && card.id) fetch(address(card), { method: "DELETE" });
  uploadNext();
}

function retry(card) {
  card.element.classList.remove("failed");
  queueUpload(card);
}

// songs on the service

const address = (card) => `/api/songs/${card.id}`;

async function poll() {
  await Promise.all(cards.filter((card) => card.id && !card.isOver && !card.isAsking).map(ask));
}

async function ask(card) {
  card.isAsking = true;
  try {
    const response = await fetch(address(card));
    if (response.status === 404) fail(card, "It is not there any more; split it again.");
    else if (response.ok) showSong(card, await response.json());
  } catch {
    show(card, "stemsplit cannot be reached; trying again", null);
  } finally {
    card.isAsking = false;
  }
}

function showSong(card, song) {
  card.isOver = song.status === "done" || song.status === "failed";
  if (song.status === "queued") show(card, `in the queue, number ${song.place}`, 0);
  if (song.status === "separating") show(card, "being separated", song.progress);
  if (song.status === "failed") fail(card, song.error);
  if (song.status === "done") showStems(card, song);
  const all = song.zip ? [makeLink("All as zip", song.zip)] : [];
  showActions(card, [...all, makeButton("Remove", () => remove(card))]);
}

function showStems(card, song) {
  show(card, song.note ? `done; ${song.note}` : "done", undefined);
  card.element.querySelector(".stems").replaceChildren(
    ...Object.entries(song.outputs).map(([stem, url]) => makeStem(song, stem, url)),
  );
}

function makeStem(song, stem, url) {
  const item = make("li");
  const player = make("audio");
  player.controls = true;
  player.preload = "metadata";
  player.src = url;
  player.setAttribute("aria-label", `${stem} of ${song.input}`);
  const link = makeLink("Download", url);
  link.setAttribute("aria-label", `Download ${stem} of ${song.input}`);
  item.append(make("span", "stem-name", stem === "residual" ? "the rest" : stem), link, player);
  const promise = promiseOf(song.levels_db[stem], song.expected_sdr_db[stem]);
  if (promise) item.append(make("span", "promise", promise));
  return item;
}

function promiseOf(level, expected) {
  if (level === null) return "silent";
  if (expected === null || expected === undefined) return "";
  const words =
    expected >= 10 ? "should be clean"
    : expected >= 6 ? "should be good; a little of the other sounds may be heard"
    : expected >= 3 ? "should be fair; some of the other sounds will be heard"
    : "may be poor, or hardly in this song";
  return `${words} (${expected.toFixed(1)} dB expected)`;
}

async function remove(card) {
  card.isRemoved = true;
  const waiting = uploads.indexOf(card);
  if (waiting >= 0) uploads.splice(waiting, 1);
  if (card.request) card.request.abort();
  if (card.id) {
    try {
      const response = await fetch(address(card), { method: "DELETE" });
      if (!response.ok && response.status !== 404) throw new Error();
    } catch {
      card.isRemoved = false;
      show(card, "It could not be removed: stemsplit cannot be reached.", undefined);
      return;
    }
  }
  cards.splice(cards.indexOf(card), 1);
  card.element.remove();
  keep();
  update();
  byId("files").focus();
}

// a phone forgets a page that is not looked at; the songs are found again

function keep() {
  const songs = cards.filter((card) => card.id).map((card) => ({ id: card.id, name: card.name }));
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(songs));
  } catch {
    // a browser that keeps nothing
  }
}

function restore() {
  let songs = [];
  try {
    songs = JSON.parse(sessionStorage.getItem(KEPT)) ?? [];
  } catch {
    // as above
  }
  for (const { id, name } of songs) {
    const card = addCard(name);
    card.id = id;
    show(card, "looking for it", null);
    showActions(card, [makeButton("Remove", () => remove(card))]);
    ask(card);
  }
}

// what is seen

function addCard(name) {
  const element = byId("card").content.cloneNode(true).firstElementChild;
  element.querySelector("h3").textContent = name;
  byId("songs").prepend(element);
  const card = { element, name, id: null, file: null, query: null, request: null, isOver: false, isRemoved: false };
  cards.push(card);
  update();
  return card;
}

// progress: 0 to 1, null if it is not known, undefined if there is none
function show(card, status, progress) {
  setText(card.element.querySelector(".status"), status);
  const bar = card.element.querySelector("progress");
  bar.hidden = progress === undefined;
  if (progress === null || progress === undefined) bar.removeAttribute("value");
  else bar.value = progress;
}

function fail(card, problem) {
  card.isOver = true;
  card.element.classList.add("failed");
  show(card, problem, undefined);
}

function showActions(card, actions) {
  const place = card.element.querySelector(".actions");
  const labels = (elements) => [...elements].map((element) => element.textContent).join();
  // what has the focus is not replaced by its like
  if (labels(place.children) !== labels(actions)) place.replaceChildren(...actions);
}

function showProblem(text) {
  setText(byId("problem"), text);
}

// a screen reader reads a status only when it changes
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

function makeButton(text, action) {
  const button = make("button", "", text);
  button.type = "button";
  button.addEventListener("click", action);
  return button;
}

function makeLink(text, url) {
  const link = make("a", "button", text);
  link.href = url;
  link.download = "";
  return link;
}

function tellError(status, response) {
  return response?.error ?? `stemsplit answered with an error (${status}).`;
}

async function fetchJson(url) {
  let response;
  try {
    response = await fetch(url);
  } catch {
    throw new Error("stemsplit cannot be reached; is it still running?");
  }
  const content = await response.json().catch(() => null);
  if (!response.ok) throw new Error(tellError(response.status, content));
  return content;
}

// events

byId("order").addEventListener("submit", (event) => {
  event.preventDefault();
  if (service && chosen.length && wanted().length) order();
});
byId("order").addEventListener("change", (event) => {
  if (!service) return;
  if (event.target.id === "files") choose([...event.target.files]);
  else update();
});
// a file that misses the field must not take the place of the page
for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());
byId("drop").addEventListener("dragover", () => byId("drop").classList.add("over"));
byId("drop").addEventListener("dragleave", () => byId("drop").classList.remove("over"));
byId("drop").addEventListener("drop", (event) => {
  byId("drop").classList.remove("over");
  if (service) choose([...event.dataTransfer.files]);
});
start();
