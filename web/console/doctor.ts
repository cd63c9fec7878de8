// The transport doctor: the page around an examination.
import { root, wordsOf } from "./api";
import { byId, h, put } from "./dom";
import { examine, type Examination, type Examined } from "./examine";
import { milliseconds } from "./finding";
import { clockWords, reportOf, verdictWords } from "./report";
import { claimsOf, cleanToken, storeToken, storedToken, takeToken, userOf } from "./session";
import { choose, dress, language, t, transportName } from "./words";

let token = "";
let running: AbortController | null = null;

const symbols = { good: "✓", warn: "!", bad: "✗" } as const;

function strip(one: Examined, watch: number): HTMLElement {
  const length = Math.max(watch, ...one.marks.map((mark) => mark.at));
  const root = h("div", { class: "strip", "aria-hidden": "true" });
  for (const mark of one.marks) {
    const dot = h("span", { class: mark.bad ? "dot bad" : "dot", title: `${mark.what}: ${milliseconds(mark.at)}` });
    dot.style.left = `${(100 * mark.at) / length}%`;
    root.append(dot);
  }
  return root;
}

function card(one: Examined, best: boolean, watch: number): HTMLElement {
  const { finding } = one;
  const health = { good: t("works"), warn: t("works badly"), bad: t("does not work") };
  return h("li", { class: `finding ${finding?.health ?? "busy"}`, "data-transport": one.name, "data-health": finding?.health },
    h("span", { class: "symbol", "aria-hidden": "true" }, finding ? symbols[finding.health] : "…"),
    h("div", { class: "body" },
      h("h2", {}, transportName(one.name), " ", h("span", { class: "state" }, finding ? health[finding.health] : t("being examined")), best ? h("span", { class: "best" }, t("best here")) : null),
      finding ? h("p", {}, finding.words) : null,
      strip(one, watch),
      finding && finding.facts.length > 0 ? h("dl", {}, ...finding.facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))) : null,
      finding?.advice ? h("details", {}, h("summary", {}, t("What helps")), h("p", {}, finding.advice)) : null));
}

function show(now: Examination, watch: number, done: boolean): void {
  const kept = [...byId("findings").querySelectorAll("details")].map((details) => details.open);
  put(byId("findings"), ...now.transports.map((one) => card(one, done && one === now.best, watch)));
  byId("findings").querySelectorAll("details").forEach((details, i) => (details.open = kept[i] ?? false));
  if (!now.clock) return;
  const clock = clockWords(now);
  byId("findings").append(h("li", { class: `finding ${clock.bad ? "warn" : "good"}`, "data-clock": clock.bad ? "bad" : "good" },
    h("span", { class: "symbol", "aria-hidden": "true" }, clock.bad ? symbols.warn : symbols.good),
    h("div", { class: "body" }, h("h2", {}, t("Clock and distance")), h("p", {}, clock.words),
      h("dl", {}, h("div", {}, h("dt", {}, t("An answer takes")), h("dd", {}, milliseconds(now.clock.middle)))))));
}

function conclude(found: Examination, seconds: number): void {
  const all = found.best === found.transports[0] && found.best?.finding?.health === "good";
  put(byId("verdict"), h("div", { class: `told ${all ? "good" : found.best ? "" : "bad"}` },
    h("p", {}, h("b", {}, verdictWords(found))),
    h("p", { class: "soft" }, t("Clients find the best by themselves; nothing has to be set."))));
  (byId("text") as HTMLTextAreaElement).value = reportOf(found, seconds, new Date());
  byId("report").hidden = false;
}

async function begin(): Promise<void> {
  running?.abort();
  const mine = new AbortController();
  running = mine;
  const seconds = Math.min(120, Math.max(1, Number((byId("seconds") as HTMLInputElement).value) || 30));
  byId("report").hidden = true;
  put(byId("verdict"));
  const end = Date.now() + seconds * 1000 + 2000;
  const count = (): void => put(byId("progress"), t("Being examined, about {n} s to go.", { n: Math.max(1, Math.ceil((end - Date.now()) / 1000)) }));
  byId("progress").setAttribute("aria-live", "off"); // a count-down is not to be read aloud
  const counting = setInterval(count, 1000);
  count();
  let left = false;
  try {
    const found = await examine(root, token, seconds * 1000, mine.signal, (now) => {
      if (running === mine) show(now, seconds * 1000, false);
    });
    if (running !== mine) return;
    show(found, seconds * 1000, true);
    conclude(found, seconds);
  } catch (error) {
    left = running !== mine;
    if (!left) put(byId("verdict"), h("p", { class: "told bad" }, t("The server does not answer: {why}.", { why: wordsOf(error) })));
  } finally {
    clearInterval(counting);
    if (running === mine) put(byId("progress"));
  }
}

function copy(): void {
  const text = byId("text") as HTMLTextAreaElement;
  const told = (done: boolean): void => put(byId("copied"), done ? t("Copied.") : t("Select the text and copy it."));
  const byHand = (): void => {
    text.select();
    told(document.execCommand("copy")); // where the page is not secure there is nothing else
  };
  if (navigator.clipboard) navigator.clipboard.writeText(text.value).then(() => told(true), byHand);
  else byHand();
}

function ask(why: string): void {
  running?.abort();
  running = null;
  token = "";
  storeToken("");
  byId("doctor").hidden = byId("who").hidden = true;
  byId("login").hidden = false;
  byId("login-told").hidden = why === "";
  byId("login-told").textContent = why;
  byId("token").focus();
}

/** Takes a token unless it is plainly none; the examination tells what the server thinks of it. */
function enter(given: string): void {
  const ends = Number(claimsOf(given)["exp"] ?? 0) * 1000;
  if (ends > 0 && ends < Date.now()) return ask(t("The token has expired."));
  token = given;
  storeToken(given);
  put(byId("user"), h("bdi", {}, userOf(given)));
  byId("login").hidden = true;
  byId("doctor").hidden = byId("who").hidden = false;
}

function start(): void {
  dress();
  document.title = `Tocsin – ${t("Transport doctor")}`;
  byId("language").textContent = language === "zh" ? "English" : "中文";
  byId("language").setAttribute("lang", language === "zh" ? "en" : "zh-CN");
  byId("language").addEventListener("click", () => choose(language === "zh" ? "en" : "zh"));
  byId("leave").addEventListener("click", () => ask(""));
  byId("copy").addEventListener("click", copy);
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    void begin();
  });
  byId("login-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = byId("token") as HTMLInputElement;
    const typed = cleanToken(field.value);
    field.value = "";
    if (typed) enter(typed);
  });
  addEventListener("hashchange", () => {
    const given = takeToken();
    if (given) enter(given);
  });
  const seconds = new URLSearchParams(location.search).get("seconds");
  if (seconds) (byId("seconds") as HTMLInputElement).value = seconds;
  const given = takeToken() || storedToken();
  if (given) enter(given);
  else ask("");
}

start();
