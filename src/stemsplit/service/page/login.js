// The page for those who have not named the password yet.

import { loadTexts } from "./texts.js";

loadTexts();
