// What all parts of a panel share.
import type { Alarm, Inbox } from "../client/src/types.js";
import type { Commands } from "./commands.js";
import type { Format } from "./format.js";
import type { Words } from "./lang/index.js";
import type { Sound } from "./sound.js";
import type { View } from "./view.js";

/** What can be done to alarms, from a key or a button. */
export type Deed = "ack" | "unack" | "comment" | "shelve" | "clear";

export interface Context {
  readonly words: Words;
  readonly format: Format;
  readonly inbox: Inbox;
  readonly view: View;
  readonly commands: Commands;
  readonly sound: Sound;
  /** Something in the view is another: draw soon. */
  changed(): void;
  /** Asks what has to be asked, and does it. */
  perform(deed: Deed, alarms: readonly Alarm[]): void;
  open(alarm: Alarm): void;
  ackShown(): void;
  readAll(): void;
  help(): void;
}
