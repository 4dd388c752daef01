// The words of the page, in the language of the browser or the one that was chosen; all in one table.

const KEPT = "stemsplit-language";

let table = null;
let column = 0;

export async function loadTexts() {
  table = await (await fetch("/page/texts.json")).json();
  const wanted = [read(), ...navigator.languages].filter(Boolean);
  const codes = table.languages.map(([code]) => code);
  const found = wanted.map((language) => codes.indexOf(language.slice(0, 2))).find((index) => index >= 0);
  column = found ?? 0;
  apply();
}

export const languages = () => table.languages;
export const language = () => table.languages[column][0];

export function setLanguage(code) {
  column = table.languages.findIndex(([each]) => each === code);
  try {
    localStorage.setItem(KEPT, code);
  } catch {
    // a browser that keeps nothing
  }
  apply();
}

// the text of a key, with {name} replaced by values.name
export function t(key, values = {}) {
  return table.texts[key][column].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// write a text that follows the language
export function write(element, key, values) {
  Object.assign(element.dataset, { text: key, ...values });
  element.textContent = t(key, values);
}

export const hasText = (key) => key in table.texts;

function read() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

// what is written in the page itself
function apply() {
  document.documentElement.lang = language();
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = t(element.dataset.text, element.dataset);
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", t(element.dataset.label));
    element.title = t(element.dataset.label);
  }
}
