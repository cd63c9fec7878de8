// Inboxes of the ES5 file as the scenarios want them: each in a page of its own.
import type { Browser, BrowserContext } from "playwright-core";
import type { Command, Factory, Opened, OpenOptions, Seen } from "./harness.js";
import { openLegacy } from "./legacypage.js";

/** What runs in the page; it is a text because it is ES5 of a page's own. */
const recorder = `function record(options, tokens, kept) {
  var left = tokens || [], seen = { states: [], told: [], gaps: [], problems: [], fetched: 0 };
  if (tokens) options.getToken = function (done) { seen.fetched++; done(left.length > 1 ? left.shift() : left[0]); };
  // The file keeps nothing; a page that wants to goes about it like this.
  if (kept) options.cursor = localStorage.getItem(kept) || "";
  if (kept) options.onchange = function (inbox) { localStorage.setItem(kept, inbox.cursor); };
  options.onstate = function (name, inbox) { seen.states.push(inbox.transport ? name + " " + inbox.transport : name); };
  options.ongap = function (gap) { seen.gaps.push(gap); };
  options.onentries = function (entries) {
    entries.forEach(function (e) {
      seen.told.push({ type: e.type, device: e.alarm ? e.alarm.device : e.notice.title, rev: e.alarm ? e.alarm.rev : 0, id: (e.alarm || e.notice).id, quiet: !!e.quiet, note: e.note || "" });
    });
  };
  var inbox = window.inbox = tocsin.createInbox(options);
  window.see = function () {
    var state = { name: inbox.state };
    if (inbox.transport) state.transport = inbox.transport;
    if (inbox.state === "refused") state.problem = inbox.problem;
    return { state: state, states: seen.states, cursor: inbox.cursor, counts: inbox.counts, alarms: inbox.alarms(), notices: inbox.notices(), told: seen.told, gaps: seen.gaps, problems: seen.problems, fetched: seen.fetched };
  };
  window.ask = function (name, args) {
    return new Promise(function (resolve, reject) {
      function done(problem, answer) {
        if (!problem) return resolve(answer);
        seen.problems.push(problem.type);
        reject(new Error(problem.title));
      }
      var id = args[0], query = [];
      if (name === "use" || name === "connect" || name === "close") resolve(inbox[name](id));
      else if (name === "read") inbox.read(id && id.ids, done);
      else if (name === "ack") inbox.ack(id, args[1], done);
      else if (name === "history") inbox.get("/v1/alarms/" + encodeURIComponent(id) + "/history", done);
      else if (name === "query") {
        for (var key in id) query.push(key + "=" + encodeURIComponent(id[key]));
        inbox.get("/v1/alarms?" + query.join("&"), done);
      } else inbox.act(id, name, name === "shelve" ? { until: args[1], note: args[2] } : { note: args[1] }, done);
    });
  };
}`;

interface Recorded {
  record(options: object, tokens: readonly string[] | null, kept: string | null): void;
  see(): Seen;
  ask(name: Command, args: readonly unknown[]): Promise<unknown>;
}

/** Makes a factory whose pages come from the gateway; first runs before the file. */
export function createLegacyFactory(browser: Browser, origin: string, first: string): { factory: Factory; close(): Promise<void> } {
  let context: Promise<BrowserContext> | null = null;
  const factory: Factory = async ({ tokens, storage, share: _, ...options }: OpenOptions): Promise<Opened> => {
    const page = await openLegacy(await (context ??= browser.newContext()), origin, first);
    await page.addScriptTag({ content: recorder });
    const { sub } = JSON.parse(Buffer.from((options.token ?? "").split(".")[1] ?? "", "base64url").toString() || "{}") as { sub?: string };
    await page.evaluate(([given, list, kept]) => (window as unknown as Recorded).record(given, list, kept), [options, tokens ?? null, storage === undefined ? null : `${storage} ${sub}`] as const);
    let last: Seen | null = null;
    return {
      seen: async () => last ?? (await page.evaluate(() => (window as unknown as Recorded).see())),
      async call(name, ...args) {
        const told = await page.evaluate(([what, list]) => (window as unknown as Recorded).ask(what, list), [name, args] as const);
        if (name !== "close") return told ?? null;
        last = await page.evaluate(() => (window as unknown as Recorded).see());
        await page.close();
        return null;
      },
    };
  };
  return { factory, close: async () => void (await (await context)?.close()) };
}
