// The console: who the administrator is, and which panel he looks at.
import { createApi, isRefusal, type Api } from "./api";
import { byId, h, put } from "./dom";
import { directory } from "./directory";
import { explain } from "./explain";
import { letters } from "./letters";
import { overview } from "./overview";
import type { Panel } from "./panel";
import { connections, people } from "./people";
import { revoke } from "./revoke";
import { send } from "./send";
import { cleanToken, storeToken, storedToken, takeToken, userOf } from "./session";
import { choose, dress, language, t } from "./words";

const panels: readonly Panel[] = [overview, people, connections, directory, send, explain, revoke, letters];

let api: Api | null = null;
let close: () => void = () => undefined;

/** The panel that the address names, and what it asks of it. */
function wanted(): { readonly panel: Panel; readonly query: URLSearchParams } {
  const [name, query = ""] = location.hash.slice(1).split("?");
  return { panel: panels.find((one) => one.name === name) ?? overview, query: new URLSearchParams(query) };
}

function open(focus: boolean): void {
  close();
  close = () => undefined;
  if (!api) return;
  const { panel, query } = wanted();
  for (const link of byId("panels").querySelectorAll("a")) {
    if (link.hash === `#${panel.name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${t(panel.title)} – Tocsin`;
  const main = byId("panel");
  close = panel.open(main, api, query);
  if (focus) main.focus({ preventScroll: true });
}

function ask(why: string): void {
  close();
  close = () => undefined;
  api = null;
  storeToken("");
  byId("who").hidden = byId("panels").hidden = byId("panel").hidden = byId("refused").hidden = true;
  byId("login").hidden = false;
  byId("login-told").hidden = why === "";
  byId("login-told").textContent = why;
  byId("token").focus();
}

/** Lets in whom the server takes for an administrator. */
async function enter(token: string): Promise<void> {
  const mine = createApi(token, () => {
    if (api === mine) ask(t("The token is not accepted any more: it has expired or was taken back."));
  });
  try {
    await mine.ask("GET", "v1/stats");
  } catch (error) {
    if (isRefusal(error) && error.problem?.status === 403) {
      storeToken(token);
      byId("login").hidden = true;
      byId("refused").hidden = false;
      put(byId("refused-user"), h("bdi", {}, userOf(token)));
      byId("refused").focus();
      return;
    }
    ask(isRefusal(error) && error.problem?.status === 401 ? t("The token is not accepted.") : error instanceof Error ? `${error.message}.` : "");
    return;
  }
  storeToken(token);
  api = mine;
  put(byId("user"), h("bdi", {}, userOf(token)));
  byId("login").hidden = byId("refused").hidden = true;
  byId("who").hidden = byId("panels").hidden = byId("panel").hidden = false;
  open(false);
}

function begin(): void {
  dress();
  put(byId("panels-list"), ...panels.map((panel) => h("li", {}, h("a", { href: `#${panel.name}` }, t(panel.title)))));
  for (const button of document.querySelectorAll(".leave")) button.addEventListener("click", () => ask(""));
  byId("language").textContent = language === "zh" ? "English" : "中文";
  byId("language").setAttribute("lang", language === "zh" ? "en" : "zh-CN");
  byId("language").addEventListener("click", () => choose(language === "zh" ? "en" : "zh"));
  byId("login-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = byId("token") as HTMLInputElement;
    const token = cleanToken(field.value);
    field.value = "";
    if (token) void enter(token);
  });
  addEventListener("hashchange", () => {
    const token = takeToken();
    if (token) void enter(token);
    else open(true);
  });
  const token = takeToken() || storedToken();
  if (token) void enter(token);
  else ask("");
}

begin();
