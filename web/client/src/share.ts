// One connection for all tabs of a user. The tab that has the lock leads: it has the
// link, and tells the others every page. The others have the same list under the same
// cursor, so whichever gets the lock next goes on from there.
import { isRecord } from "./http.js";
import type { Platform, Tabs } from "./platform.js";
import { createScope } from "./scope.js";
import type { Page } from "./transport.js";
import type { ConnectionState, Timing, TransportName } from "./types.js";

/** What one tab asks of the leader. */
export type Wish = { readonly use: readonly TransportName[] | null } | { readonly connect: true };

/** What a tab is told by its share. */
export interface Role {
  /** This tab leads from now on. */
  lead(): void;
  /** Another one does, this one must not. */
  follow(): void;
  /** What a late tab needs: the whole list as one page, and the state. */
  whole(): { readonly page: Page; readonly state: ConnectionState };
  /** The leader's list in place of one's own. */
  replace(page: Page): void;
  page(page: Page): void;
  state(state: ConnectionState): void;
  wish(wish: Wish): void;
  cursor(): string | null;
}

export interface Share {
  /** Tells the others what has come; from is the cursor before it. Of the leader only. */
  page(from: string | null, page: Page): void;
  state(state: ConnectionState): void;
  wish(wish: Wish): void;
  /** Signs that the leader may be gone: it is asked, and replaced if it does not answer. */
  check(): void;
  close(): void;
}

type Message =
  | { readonly t: "ask" | "ping" | "here" }
  | { readonly t: "whole"; readonly page: Page; readonly state: ConnectionState }
  | { readonly t: "page"; readonly from: string | null; readonly page: Page }
  | { readonly t: "state"; readonly state: ConnectionState }
  | { readonly t: "wish"; readonly wish: Wish };

/** In times of Timing.hello: a leader that was not heard for so long is asked whether it is there. */
const QUIET = 12;

/** Joins the tabs of this name. */
export function createShare(platform: Platform, tabs: Tabs, name: string, timing: Timing, role: Role): Share {
  const scope = createScope();
  let leads = false;
  let whole = false; // the list is the leader's
  let drop = () => {}; // gives up the lock, or the place in the line for it
  let stop = () => {}; // the timer
  const channel = tabs.channel(name, (message) => isRecord(message) && !scope.over && hear(message as unknown as Message));
  const send = (message: Message) => channel.send(message);

  function hear(message: Message): void {
    if (leads) {
      if (message.t === "ask") send({ t: "whole", ...role.whole() });
      // A frozen tab still hears, but its timers stand still, and all else with them.
      else if (message.t === "ping") platform.later(0, () => leads && send({ t: "here" }));
      else if (message.t === "wish") role.wish(message.wish);
      return;
    }
    if (message.t === "ask" || message.t === "ping" || message.t === "wish") return; // of another follower
    if (message.t !== "whole") {
      rest();
    } else if (!whole) {
      whole = true;
      role.replace(message.page);
    }
    if (message.t === "page" && whole) {
      // What is not the next one shows that something was missed.
      if (message.from === role.cursor()) role.page(message.page);
      else ask();
    }
    if ("state" in message) role.state(message.state);
  }

  function ask(): void {
    whole = false;
    send({ t: "ask" });
  }

  /** The leader was heard: asks again after a while. */
  function rest(): void {
    stop();
    stop = platform.later(timing.hello * QUIET, check);
  }

  /** Asks whether there is a leader; without an answer, this tab takes over. */
  function check(): void {
    if (leads || scope.over) return;
    if (!whole) send({ t: "ask" });
    send({ t: "ping" });
    stop();
    stop = platform.later(timing.hello, () => line(true));
  }

  /** Stands in line for the lock, or takes it from one that does not answer. */
  function line(steal: boolean): void {
    drop();
    drop = tabs.lead(name, steal, granted, lost);
  }

  function granted(): void {
    stop();
    leads = true;
    role.lead();
    send({ t: "whole", ...role.whole() });
  }

  function lost(): void {
    if (scope.over) return;
    if (leads) role.follow();
    leads = false;
    line(false);
    ask();
    rest();
  }

  line(false);
  check();
  return {
    page: (from, page) => leads && send({ t: "page", from, page }),
    state: (state) => leads && send({ t: "state", state }),
    wish: (wish) => (leads ? role.wish(wish) : send({ t: "wish", wish })),
    check,
    close() {
      scope.end();
      stop();
      drop();
      channel.close();
    },
  };
}
