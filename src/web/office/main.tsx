// The unit office: finds out who is signed in, then shows the page that the address names.
import { render } from "preact";
import { followLanguage } from "../lib/language.ts";
import { followTheme } from "../lib/theme.ts";
import { App } from "./app.tsx";
import { followAddress } from "./data/router.ts";
import { openSession } from "./data/session.ts";
import "./style/base.css";
import "./style/shell.css";
import "./style/parts.css";
import "./style/print.css";

followLanguage();
followTheme();
followAddress();
void openSession();
const root = document.getElementById("app");
if (root !== null) render(<App />, root);
