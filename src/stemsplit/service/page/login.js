// The page for those who have not named the password yet, or a wrong one.

import { byId, setText } from "./dom.js";
import { loadTexts, t } from "./texts.js";

const hasTried = new URLSearchParams(location.search).has("key");
if (hasTried) history.replaceState(null, "", "/"); // what was typed does not stay in the address
await loadTexts();
if (hasTried) {
  const { error } = byId("problem").dataset;
  setText(byId("problem"), t(error === "PasswordError" ? "password_wrong" : `error_${error}`));
}
