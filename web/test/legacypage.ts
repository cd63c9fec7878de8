// Pages with the ES5 file in them, in a browser that is made as poor as one wants.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { BrowserContext, Page } from "playwright-core";
import type { LegacyInbox } from "../legacy/tocsin-legacy";

/** The file as it is served. */
export const legacyFile = readFileSync(join(import.meta.dirname, "..", "dist", "legacy", "tocsin-legacy.js"), "utf8");

/** What a page with the file has heard, in its order. */
export interface Told {
  readonly at: number;
  readonly what: "entries" | "state" | "gap";
  readonly value: unknown;
}

declare global {
  interface Window {
    inbox: LegacyInbox;
    told: Told[];
  }
}

/** Takes from the window what a browser of those days did not have. */
export const withoutStreams = "['WebSocket','EventSource','fetch'].forEach(function (name) { delete window[name]; });";

/**
 * Takes from a realm what is not in the library of Internet Explorer 8, but XMLHttpRequest
 * and JSON. It is for a frame: the page itself is driven by code that needs all this.
 */
export const libraryOfIE8 = `(function () {
  var kept = /^(Object|Function|Array|String|Number|Boolean|Date|Math|RegExp|Error|JSON|XMLHttpRequest|location|document|window|self|top|parent|setTimeout|clearTimeout|isNaN|parseInt|parseFloat|encodeURIComponent|decodeURIComponent|NaN|Infinity|undefined|eval|globalThis)$/;
  var of = {
    Object: ["toString", "valueOf", "hasOwnProperty", "constructor", "propertyIsEnumerable", "isPrototypeOf", "toLocaleString"],
    Function: ["call", "apply", "toString", "constructor"],
    Array: ["concat", "join", "pop", "push", "reverse", "shift", "slice", "sort", "splice", "toString", "unshift", "constructor", "length"],
    String: ["charAt", "charCodeAt", "concat", "indexOf", "lastIndexOf", "match", "replace", "search", "slice", "split", "substr", "substring", "toLowerCase", "toUpperCase", "toString", "valueOf", "constructor", "length"],
    Date: ["getTime", "getFullYear", "getMonth", "getDate", "getHours", "getMinutes", "getSeconds", "toString", "valueOf", "constructor"]
  };
  var names = Object.getOwnPropertyNames, has = Array.prototype.indexOf, gone = [], type, i;
  for (type in of) {
    names(window[type].prototype).forEach(function (name) {
      if (has.call(of[type], name) < 0) gone.push([window[type].prototype, name]);
    });
    if (type !== "Function") names(window[type]).forEach(function (name) {
      if (name !== "prototype" && name !== "length" && name !== "name" && name !== "fromCharCode") gone.push([window[type], name]);
    });
  }
  names(window).forEach(function (name) { if (!kept.test(name)) gone.push([window, name]); });
  for (i = 0; i < gone.length; i++) delete gone[i][0][gone[i][1]];
  window.addEventListener = undefined;
})();`;

/** Begins an inbox of the file in a window, whose events are noted. */
export const begin = `function begin(options) {
  window.told = [];
  function note(what) { return function (value) { window.told.push({ at: +new Date(), what: what, value: value }); }; }
  options.onentries = note("entries");
  options.onstate = note("state");
  options.ongap = note("gap");
  window.inbox = tocsin.createInbox(options);
}`;

/**
 * Opens a page of an origin with the file in it; first runs before it. The page comes
 * from a server, since Chromium lets what comes from nowhere reach no local network.
 */
export async function openLegacy(context: BrowserContext, origin: string, first = ";"): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`${origin}/v1/transports`);
  for (const content of [first, legacyFile, begin]) await page.addScriptTag({ content });
  return page;
}
