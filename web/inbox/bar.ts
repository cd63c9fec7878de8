// The bar on top: the bell, the counters, the connection, sound and help. All of it is
// always in sight.
import type { ConnectionState, Severity } from "../client/src/types.js";
import type { Context } from "./context.js";
import { el, put, setAttribute, setText } from "./dom.js";
import { icon, shape } from "./icons.js";
import type { Words } from "./lang/index.js";
import { severities } from "./model.js";
import type { SoundState } from "./sound.js";

export interface Part {
  readonly element: HTMLElement;
  draw(): void;
}

/** The name of a state as it is shown: connecting after having been live is reconnecting. */
export function stateName(state: ConnectionState, begun: boolean): keyof Words["states"] {
  return state.name === "connecting" && begun ? "reconnecting" : state.name;
}

/** What the state says. */
export function stateText(state: ConnectionState, begun: boolean, { words }: Context): string {
  const name = words.states[stateName(state, begun)];
  switch (state.name) {
    case "live": case "polling": case "stale": return `${name} · ${words.transports[state.transport]}`;
    case "offline": return `${name} · ${words.retryIn(Math.max(0, Math.round((state.retryAt - Date.now()) / 1000)))}`;
    default: return name;
  }
}

function createCounters(context: Context): Part {
  const { words, view } = context;
  const cells = severities.map((severity) => {
    const number = el("b", {}, "0");
    const button = el("button", { type: "button", class: `counter ${severity}`, "aria-pressed": "false", click: () => toggle(severity) },
      shape(severity), number, " ", el("span", { class: "word" }, words.severities[severity]));
    return { severity, number, button };
  });

  function toggle(severity: Severity): void {
    const chosen = new Set(view.filter.severities);
    if (!chosen.delete(severity)) chosen.add(severity);
    view.filter = { ...view.filter, severities: chosen };
    context.changed();
  }

  return {
    element: el("div", { class: "counters", role: "group", "aria-label": words.columns.severity }, ...cells.map(({ button }) => button)),
    draw() {
      const { active } = context.inbox.counts;
      for (const { severity, number, button } of cells) {
        const n = active[severity] ?? 0;
        setText(number, String(n));
        button.classList.toggle("some", n > 0);
        setAttribute(button, "aria-label", words.counter(n, words.severities[severity]));
        setAttribute(button, "aria-pressed", String(view.filter.severities.has(severity)));
      }
    },
  };
}

function createBell({ words, inbox, readAll }: Context): Part {
  const number = el("b");
  const says = el("span", { class: "word" });
  const read = el("button", { type: "button", class: "link", "data-do": "read", "aria-label": words.markRead, title: words.markRead, click: readAll }, icon("read"), el("span", {}, words.markRead));
  const element = el("div", { class: "bell" }, el("span", { class: "sign" }, icon("bell"), number), says, read);
  return {
    element,
    draw() {
      const { unread } = inbox.counts;
      setText(number, unread > 999 ? "999+" : String(unread));
      setText(says, words.unread(unread));
      element.classList.toggle("some", unread > 0);
      read.hidden = unread === 0;
    },
  };
}

/** The connection, in words and by a dot whose shape differs, too. */
function createConnection(context: Context): Part {
  const text = el("span");
  const chip = el("span", { class: "connection" }, el("span", { class: "dot", "aria-hidden": "true" }), text);
  const again = el("button", { type: "button", class: "link", "data-do": "connect", click: () => context.inbox.connect() });
  return {
    element: el("div", { class: "state-box" }, chip, again),
    draw() {
      const { state } = context.inbox;
      const { begun } = context.view;
      setText(text, stateText(state, begun, context));
      setAttribute(chip, "data-state", stateName(state, begun));
      again.hidden = state.name !== "offline" && state.name !== "superseded";
      setText(again, state.name === "superseded" ? context.words.useHere : context.words.retryNow);
    },
  };
}

function createSoundButton({ words, sound, changed }: Context): Part {
  const says: Record<SoundState, string> = {
    quiet: words.soundOn, sounding: words.soundPlaying, elsewhere: words.soundPlaying, muted: words.soundMuted, blocked: words.soundBlocked,
  };
  const button = el("button", { type: "button", class: "sound", "data-do": "mute", click: press });
  let drawn = "";

  function press(): void {
    if (sound.state === "blocked") sound.touched();
    else sound.mute(!sound.muted);
    changed();
  }

  return {
    element: button,
    draw() {
      const { state, muted } = sound;
      const now = `${state} ${muted}`;
      if (now === drawn) return;
      drawn = now;
      const label = state === "quiet" && muted ? words.soundOff : says[state];
      setAttribute(button, "data-sound", state);
      setAttribute(button, "aria-label", label);
      setAttribute(button, "title", label);
      setAttribute(button, "aria-pressed", String(!muted));
      const word = state === "blocked" ? words.soundBlockedText : state === "sounding" ? words.sounding : "";
      put(button, icon(muted ? "silent" : "sound"), word && el("span", {}, word));
    },
  };
}

export function createBar(context: Context): Part {
  const parts = [createBell(context), createCounters(context), createConnection(context), createSoundButton(context)];
  const help = el("button", { type: "button", class: "help", "data-do": "help", "aria-label": context.words.help, title: context.words.help, click: context.help }, icon("help"));
  return {
    element: el("div", { class: "bar" }, ...parts.map(({ element }) => element), help),
    draw: () => parts.forEach((part) => part.draw()),
  };
}
