// The service as the page asks it.

import { hasText, t } from "./texts.js";

export class ApiError extends Error {
  constructor(status, content) {
    super(describe(status, content));
    this.status = status;
    this.kind = content?.error_type ?? null;
  }
}

// in the reader's language where there are words for it; what the service says is English
export function describe(status, content) {
  const key = `error_${content?.error_type}`;
  if (content?.error_type && hasText(key)) return t(key, { detail: content.error });
  return content?.error ?? t("error_status", { status });
}

// who is not logged in any more meets the login in place of the page
function refuse(status, content) {
  if (status === 401) location.reload();
  return new ApiError(status, content);
}

export async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error(t("unreachable"));
  }
  const content = response.status === 204 ? null : await response.json().catch(() => null);
  if (!response.ok) throw refuse(response.status, content);
  return content;
}

// One upload; `onProgress` is called with the share that has been sent. Returns { promise, abort }.
export function upload(file, query, key, onProgress) {
  const request = new XMLHttpRequest();
  const promise = new Promise((resolve, reject) => {
    request.open("POST", `/api/songs?${query}`);
    request.responseType = "json";
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("Idempotency-Key", key);
    request.upload.onprogress = ({ lengthComputable, loaded, total }) => onProgress(lengthComputable ? loaded / total : null);
    request.onload = () => {
      if (request.status === 202) resolve(request.response);
      else reject(refuse(request.status, request.response));
    };
    request.onerror = () => reject(new Error(t("upload_broke")));
    request.onabort = () => reject(new DOMException("", "AbortError"));
  });
  request.send(file);
  return { promise, abort: () => request.abort() };
}

// Make the service prepare a file, then have the browser download it.
export async function download(url) {
  const response = await fetch(url, { method: "HEAD" }).catch(() => null);
  if (!response) throw new Error(t("unreachable"));
  if (!response.ok) {
    await ask(url); // says why
  }
  const link = document.createElement("a");
  link.href = url;
  link.download = "";
  document.body.append(link);
  link.click();
  link.remove();
}
