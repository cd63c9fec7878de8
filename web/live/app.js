// The live page: it brings the inbox, the link and the view together.
import { AUTOMATIC, TRANSPORTS, createLink } from "./link.js";
import { createApi } from "./wire.js";
import { createInbox } from "./inbox.js";
import { createView } from "./view.js";
import { byId, el, setText, show } from "./dom.js";

const STORED = "tocsin.token";
// What comes so soon after the beginning is what there was, not news.
const SETTLING_MS = 2000;

const REFUSALS = {
  token: "The token is not accepted any more: it has expired, was taken back, or is not for this server.",
  forbidden: "The token does not open an inbox.",
  broken: "The page has met an error of its own. Log in to start it again.",
};

// The token lives as long as the tab; a browser that keeps nothing keeps it as
// long as the page.
const store = {
  get() {
    try {
      return sessionStorage.getItem(STORED) || "";
    } catch {
      return "";
    }
  },
  set(token) {
    try {
      if (token) sessionStorage.setItem(STORED, token);
      else sessionStorage.removeItem(STORED);
    } catch {
      // Then only this page has it.
    }
  },
};

// takeFragment takes the token out of the address, where it would be copied along.
function takeFragment() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return "";
  history.replaceState(null, "", location.pathname + location.search);
  return token.trim();
}

// userOf reads the name from the token, only to show it: the server decides.
function userOf(token) {
  try {
    const claims = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(claims), (c) => c.charCodeAt(0));
    return String(JSON.parse(new TextDecoder().decode(bytes)).sub || "");
  } catch {
    return "";
  }
}

const inbox = createInbox();
let session = null; // { token, api, link, since }
const view = createView(inbox, { acknowledge });

// failed tells why a command did nothing; a token that has ended ends more.
function failed(what, error) {
  if (error.reason === "token") leave("token");
  else view.trouble(`${what}: ${error.message}.`);
}

// command does something for the user, unless he is gone when the answer comes.
async function command(what, ask, take) {
  const asked = session;
  try {
    const answer = await ask(asked);
    if (session === asked) take(answer);
  } catch (error) {
    if (session === asked) failed(what, error);
  }
  view.changed();
}

async function acknowledge({ alarm }, button) {
  button.disabled = true;
  await command(`${alarm.type} on ${alarm.device} was not acknowledged`, ({ api }) => api.acknowledge(alarm.id), inbox.acked);
  button.disabled = false;
}

function readAll() {
  const cursor = session.link.cursor();
  if (!cursor) return;
  command("Nothing was marked as read", ({ api }) => api.readUpto(cursor), (counts) => {
    inbox.setCounts(counts);
    inbox.readAll();
  });
}

// hear is what the link tells.
const hear = {
  entries(list) {
    const fresh = Date.now() - session.since > SETTLING_MS;
    inbox.apply(list, fresh);
    const worst = list.find((entry) => entry.type === "alarm.raised" && entry.alarm.severity === "critical");
    if (fresh && worst) view.aloud(`Critical: ${worst.alarm.type} on ${worst.alarm.device}`);
    view.changed();
  },
  counts(message) {
    inbox.setCounts(message);
    view.changed();
  },
  gap(gap) {
    // After all gaps but this one everything is told anew.
    if (gap.reason !== "compacted") {
      inbox.empty();
      session.since = Date.now();
    }
    view.gap(gap);
    view.changed();
  },
  state: (now) => view.state(now),
  refused(reason) {
    if (reason !== "superseded") leave(reason);
    else view.state({ name: "superseded" }); // until the user wants it back
  },
};

// connect begins at the cursor, null for all that is open, with the transport
// that is chosen.
function connect(cursor) {
  const { token, api } = session;
  session.link = createLink({ token, api, from: cursor, wanted: byId("transport").value, on: hear });
}

// takeBack connects again where another window has taken over.
function takeBack() {
  session.link.close();
  connect(session.link.cursor());
}

function enter(token) {
  store.set(token);
  session = { token, api: createApi(token), since: Date.now(), link: null };
  setText(byId("user"), userOf(token));
  for (const id of ["who", "tools", "inbox"]) show(byId(id), true);
  show(byId("login"), false);
  view.trouble("");
  byId("transport").value = AUTOMATIC;
  connect(null);
}

// leave forgets everything: the next token may be somebody else's.
function leave(reason) {
  session?.link?.close();
  session = null;
  store.set("");
  inbox.empty();
  inbox.setCounts({ unread: 0, active: {} });
  view.changed();
  for (const id of ["who", "tools", "inbox", "gap"]) show(byId(id), false);
  show(byId("login"), true);
  byId("status").dataset.state = "idle";
  setText(byId("state"), "");
  setText(byId("login-told"), REFUSALS[reason] || "");
  show(byId("login-told"), reason in REFUSALS);
  byId("token").focus();
}

function begin() {
  for (const { id, name } of [{ id: AUTOMATIC, name: "Automatic" }, ...TRANSPORTS]) {
    byId("transport").append(el("option", { value: id }, name));
  }
  byId("transport").addEventListener("change", (event) => {
    if (session.link.closed()) takeBack();
    else session.link.use(event.target.value);
  });
  byId("take-back").addEventListener("click", takeBack);
  byId("leave").addEventListener("click", () => leave(""));
  byId("read-all").addEventListener("click", readAll);
  byId("gap-close").addEventListener("click", () => show(byId("gap"), false));
  byId("trouble-close").addEventListener("click", () => view.trouble(""));
  byId("login-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const token = byId("token").value.trim().replace(/^bearer\s+/i, "");
    byId("token").value = "";
    if (token) enter(token);
  });
  addEventListener("hashchange", () => {
    const token = takeFragment();
    if (!token) return;
    leave("");
    enter(token);
  });
  const token = takeFragment() || store.get();
  if (token) enter(token);
  else leave("");
}

begin();
