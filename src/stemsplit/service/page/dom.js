// Elements. Whatever comes from a file or from the service is text to the page: textContent, never HTML.

export const byId = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (typeof value === "boolean") element.toggleAttribute(name, value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const ICONS = {
  play: "M7 4.5v15l13-7.5z",
  pause: "M6 4.5h4.5v15H6zM13.5 4.5H18v15h-4.5z",
  start: "M5 5h2.5v14H5zM20 5v14L8.500 12z",
  loop: "M7 7h9V4l5 4.500-5 4.500v-3H9v3H7zM17 17H8v3l-5-4.500 5-4.500v3h7v-3h2z",
  compare: "M4 5h7v14H4zM13 5h7v14h-7zm2 2v10h3V7z",
  download: "M11 3h2v9h3.500L12 17l-4.500-5H11zM4 19h16v2H4z",
  remove: "M6 4.600 12 10.600 18 4.600 19.400 6 13.400 12 19.400 18 18 19.400 12 13.400 6 19.400 4.600 18 10.600 12 4.600 6z",
  volume: "M3 9h4l5-5v16l-5-5H3zM15 8.500c1.300.9 2 2.100 2 3.500s-.7 2.600-2 3.500zM15 4.500c3.200 1.200 5 4 5 7.500s-1.800 6.300-5 7.500v-2c2-1 3.200-3 3.200-5.500S17 7.500 15 6.500z",
  keys: "M3 6h18v12H3zm2 2v2h2V8zm3.500 0v2h2V8zM12 8v2h2V8zm3.500 0v2H19V8zM5 11.500v2h2v-2zm3.500 0v2h7v-2zm8.500 0v2h2v-2zM8 15v1.500h8V15z",
  theme: "M12 3a9 9 0 1 0 0 18zM12 3v2a7 7 0 0 1 0 14v2a9 9 0 0 0 0-18z",
  phone: "M7 2h10v20H7zm2 3v12h6V5zm2.200 13.500v1.500h1.600v-1.500z",
  retry: "M12 5V2l5 4-5 4V7a5 5 0 1 0 5 5h2a7 7 0 1 1-7-7z",
  add: "M11 4h2v7h7v2h-7v7h-2v-7H4v-2h7z",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  path.setAttribute("d", ICONS[name]);
  path.setAttribute("fill-rule", "evenodd");
  svg.append(path);
  return svg;
}

export function button(label, action, properties = {}, ...children) {
  return make("button", { type: "button", onclick: action, ...properties }, ...(children.length ? children : [label]));
}

export function iconButton(name, label, action, properties = {}) {
  return button(label, action, { class: "icon-button", "aria-label": label, title: label, ...properties }, icon(name));
}

// a screen reader reads a status only when it changes
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// as 1:23, or with digits as 1:23.4
export function formatTime(seconds, digits = 0) {
  const rounded = digits ? Number(seconds.toFixed(digits)) : Math.floor(seconds);
  const minutes = Math.floor(rounded / 60);
  const rest = (rounded - 60 * minutes).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  return `${minutes}:${rest}`;
}

export function formatBytes(bytes) {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
