// What the user asks for: the questions that stand before a command.
import type { Alarm, Inbox } from "../client/src/types.js";
import type { Commands } from "./commands.js";
import type { Deed } from "./context.js";
import { ask, noteField, shelfField } from "./dialogs.js";
import { el, foreign } from "./dom.js";
import type { Words } from "./lang/index.js";
import { isOpen, isShelved } from "./model.js";

export interface Deeds {
  perform(deed: Deed, alarms: readonly Alarm[]): void;
  /** Acknowledges many after a question, with a note for all of them. */
  ackMany(alarms: readonly Alarm[]): void;
}

export interface DeedOptions {
  readonly root: ShadowRoot;
  readonly words: Words;
  readonly inbox: Inbox;
  readonly commands: Commands;
}

export function createDeeds({ root, words, inbox, commands }: DeedOptions): Deeds {
  const about = (alarms: readonly Alarm[]): HTMLElement => {
    const first = alarms[0];
    return el("p", { class: "about" }, first && alarms.length === 1 ? el("span", {}, el("b", {}, foreign(first.type)), ` ${words.on} `, foreign(first.device)) : words.shown(alarms.length));
  };

  async function comment(alarms: readonly Alarm[]): Promise<void> {
    const note = noteField(words.note, true, words.reasonHint);
    const valid = () => note.value() !== "";
    if (await ask(root, words, { title: words.commentTitle, body: [about(alarms), note.field], yes: words.comment, valid })) {
      await commands.each(alarms, (alarm) => inbox.comment(alarm.id, note.value()));
    }
  }

  async function shelve(alarms: readonly Alarm[]): Promise<void> {
    if (alarms.every(isShelved)) {
      await commands.each(alarms, (alarm) => inbox.unshelve(alarm.id));
      return;
    }
    const shelf = shelfField(words);
    const note = noteField(words.noteOptional, false);
    const valid = () => shelf.until() !== null;
    if (!await ask(root, words, { title: words.shelveTitle(alarms.length), body: [about(alarms), el("p", {}, words.shelveText), shelf.field, note.field], yes: words.shelve, valid })) return;
    const until = shelf.until();
    if (until) await commands.each(alarms, (alarm) => inbox.shelve(alarm.id, until, note.value() || undefined));
  }

  async function clear(alarms: readonly Alarm[]): Promise<void> {
    const note = noteField(words.reason, true, words.reasonHint);
    const valid = () => note.value() !== "";
    if (await ask(root, words, { title: words.clearTitle, body: [about(alarms), el("p", {}, words.clearText), note.field], yes: words.clear, valid })) {
      await commands.each(alarms, (alarm) => inbox.clear(alarm.id, note.value()));
    }
  }

  async function ackMany(alarms: readonly Alarm[]): Promise<void> {
    const note = noteField(words.noteOptional, false);
    if (await ask(root, words, { title: words.ackTitle(alarms.length), body: [note.field], yes: words.ack })) await commands.ack(alarms, note.value());
  }

  /** To which alarms a deed can be done, and how. */
  const deeds: Readonly<Record<Deed, { can(alarm: Alarm): boolean; go(alarms: readonly Alarm[]): Promise<unknown> }>> = {
    ack: { can: (alarm) => !alarm.acked, go: (alarms) => commands.ack(alarms) },
    unack: { can: (alarm) => alarm.acked, go: (alarms) => commands.each(alarms, (alarm) => inbox.unack(alarm.id)) },
    comment: { can: () => true, go: comment },
    shelve: { can: isOpen, go: shelve },
    clear: { can: (alarm) => alarm.active, go: clear },
  };
  const wanting = (alarms: readonly Alarm[]) => alarms.filter((alarm) => !alarm.acked);

  return {
    perform(deed, alarms) {
      const { can, go } = deeds[deed];
      const able = alarms.filter(can);
      if (able.length > 0) void go(able);
    },
    ackMany(alarms) {
      if (wanting(alarms).length > 0) void ackMany(wanting(alarms));
    },
  };
}
