// The demo wallet: starts what is on the screen.
import { render } from "preact";

import { followLanguage } from "../lib/language.ts";
import { followTheme } from "../lib/theme.ts";
import { App } from "./app.tsx";
import { Wallet } from "./wallet.ts";
import "./wallet.css";

followLanguage();
followTheme();
const root = document.getElementById("app");
if (root !== null) render(<App wallet={await Wallet.open()} />, root);
