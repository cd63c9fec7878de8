// The page at /: a header and a login around <tocsin-inbox>, which does all the rest.
import type { TocsinInbox } from "../inbox/index.js";
import type { Counts, TransportName } from "../client/src/types.js";
import { choose, languages, wordsOf, type PageWords } from "./words.js";

const TOKEN = "tocsin.token";
const LOOK = "tocsin.look";
const LANG = "tocsin.lang";

/** Keeps texts; a browser that keeps nothing keeps them as long as the page. */
function createStore(where: () => Storage) {
  const own = new Map<string, string>();
  return {
    get(key: string): string {
      try {
        return where().getItem(key) ?? own.get(key) ?? "";
      } catch {
        return own.get(key) ?? "";
      }
    },
    set(key: string, value: string): void {
      own.set(key, value);
      try {
        if (value) where().setItem(key, value);
        else where().removeItem(key);
      } catch {
        // Then only this page has it.
      }
    },
  };
}
/** The token lives as long as the tab; how the page looks, longer. */
const tab = createStore(() => sessionStorage);
const browser = createStore(() => localStorage);

function byId<T extends HTMLElement>(id: string, kind: abstract new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no #${id}`);
  return found;
}

const picked = {
  transport: byId("transport", HTMLSelectElement), theme: byId("theme", HTMLSelectElement), lang: byId("lang", HTMLSelectElement),
};
const login = byId("login", HTMLElement);
const stage = byId("inbox", HTMLElement);
const told = byId("login-told", HTMLElement);
const tokenField = byId("token", HTMLInputElement);

const transports: readonly (readonly [TransportName, string])[] = [
  ["websocket", "WebSocket"], ["sse", "Events (SSE)"], ["longpoll", "Long poll"], ["poll", "Short poll"],
];

let lang = choose([browser.get(LANG), ...navigator.languages]);
let inbox: TocsinInbox | null = null;
let counts: Counts | null = null;

const words = (): PageWords => wordsOf(lang);

/** What the token says of its user, only to show it: the server decides. */
function claimsOf(token: string): { readonly sub: string; readonly admin: boolean } {
  try {
    const part = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const claims: unknown = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (c) => c.charCodeAt(0))));
    const text = (name: string) => (typeof claims === "object" && claims !== null ? String((claims as Record<string, unknown>)[name] ?? "") : "");
    return { sub: text("sub"), admin: text("scope").split(" ").includes("admin") };
  } catch {
    return { sub: "", admin: false };
  }
}

/** Takes the token out of the address, where it would be copied along. */
function takeFragment(): string {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return "";
  history.replaceState(null, "", location.pathname + location.search);
  return token.trim();
}

function title(): void {
  const say = words();
  const critical = counts?.active.critical ?? 0;
  const parts = [critical > 0 ? say.critical(critical) : "", counts && counts.unread > 0 ? say.unread(counts.unread) : "", "Tocsin"];
  document.title = parts.filter((part) => part !== "").join(" · ");
}

function fill(select: HTMLSelectElement, choices: readonly (readonly [value: string, text: string])[], chosen: string): void {
  select.replaceChildren(...choices.map(([value, text]) => new Option(text, value, value === chosen, value === chosen)));
}

/** Writes everything in the chosen language and look. */
function dress(): void {
  const say = words();
  const text = say as unknown as Readonly<Record<string, unknown>>;
  document.documentElement.lang = lang;
  for (const element of document.querySelectorAll<HTMLElement>("[data-say]")) element.textContent = String(text[element.dataset["say"] ?? ""]);
  for (const element of document.querySelectorAll<HTMLElement>("[data-label]")) element.setAttribute("aria-label", String(text[element.dataset["label"] ?? ""]));
  const look = browser.get(LOOK) in say.looks ? browser.get(LOOK) : "auto";
  document.documentElement.dataset["theme"] = look;
  fill(picked.theme, Object.entries(say.looks), look);
  fill(picked.lang, Object.entries(languages).map(([tag, { name }]) => [tag, name]), lang);
  fill(picked.transport, [["", say.automatic], ...transports], picked.transport.value);
  inbox?.setAttribute("lang", lang);
  inbox?.setAttribute("theme", look);
  title();
}

function showFor(inside: boolean): void {
  for (const id of ["who", "transport-field", "leave", "inbox"]) byId(id, HTMLElement).hidden = !inside;
  login.hidden = inside;
}

function enter(token: string): void {
  leave("");
  tab.set(TOKEN, token);
  const { sub, admin } = claimsOf(token);
  byId("user", HTMLElement).textContent = sub;
  if (admin) void showConsole(token);
  const made = document.createElement("tocsin-inbox");
  made.setAttribute("token", token);
  made.transports = transportsOf(picked.transport.value);
  made.addEventListener("tocsin-count", ({ detail }) => {
    counts = detail;
    title();
  });
  made.addEventListener("tocsin-state", ({ detail }) => {
    if (detail.name === "refused") leave(`${words().refused} ${detail.problem.title}`);
  });
  inbox = made;
  dress();
  stage.replaceChildren(made);
  showFor(true);
}

/** Shows the way to the console, which may be served at another address. */
async function showConsole(token: string): Promise<void> {
  const answer = await fetch("console").catch(() => null);
  byId("console", HTMLElement).hidden = !answer?.ok || tab.get(TOKEN) !== token;
}

/** Forgets everything: the next token may be somebody else's. */
function leave(why: string): void {
  tab.set(TOKEN, "");
  inbox = counts = null;
  stage.replaceChildren();
  byId("console", HTMLElement).hidden = true;
  showFor(false);
  told.textContent = why;
  told.hidden = why === "";
  title();
  tokenField.focus();
}

const transportsOf = (value: string): readonly TransportName[] | null => transports.filter(([name]) => name === value).map(([name]) => name);

function begin(): void {
  picked.theme.addEventListener("change", () => {
    browser.set(LOOK, picked.theme.value);
    dress();
  });
  picked.lang.addEventListener("change", () => {
    lang = picked.lang.value;
    browser.set(LANG, lang);
    dress();
  });
  picked.transport.addEventListener("change", () => {
    if (inbox) inbox.transports = transportsOf(picked.transport.value);
  });
  byId("leave", HTMLElement).addEventListener("click", () => leave(""));
  byId("login-form", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    const token = tokenField.value.trim().replace(/^bearer\s+/i, "");
    tokenField.value = "";
    if (token) enter(token);
  });
  addEventListener("hashchange", () => {
    const token = takeFragment();
    if (token) enter(token);
  });
  // Where there is room the menu lies open; where there is not, a click beside it shuts it.
  const menu = byId("menu", HTMLDetailsElement);
  const roomy = matchMedia("(min-width: 62rem)");
  const settle = () => { menu.open = roomy.matches; };
  roomy.addEventListener("change", settle);
  settle();
  document.addEventListener("pointerdown", (event) => {
    if (!roomy.matches && event.target instanceof Node && !menu.contains(event.target)) menu.open = false;
  });
  dress();
  const token = takeFragment() || tab.get(TOKEN);
  if (token) enter(token);
  else leave("");
}

begin();
