// One socket, ever: the next is opened when the one before is gone.
import type { Platform, Socket, SocketEvents } from "../../client/src/platform.js";
import type { MiniApi, SocketTask } from "./api.js";

/** So long one waits for the end of the socket before, in ms; then it is taken for dead. */
const PATIENCE = 3000;
/** What a socket says that ended without saying why. */
const ABNORMAL = 1006;

/** Opens one socket after the other. */
export function createSockets(api: MiniApi, later: Platform["later"]): (url: string, protocol: string, on: SocketEvents) => Socket {
  // What is called once the place is free; null: nobody waits.
  let next: (() => void) | null = null;
  let taken = false;

  function free(): void {
    taken = false;
    const open = next;
    next = null;
    open?.();
  }

  function whenFree(open: () => void): void {
    if (!taken) return open();
    next = open;
    later(PATIENCE, () => next === open && free());
  }

  return (url, protocol, on) => {
    let task: SocketTask | null = null;
    let wanted = true;
    let opened = false;
    let gone = false;

    /** It comes once, whichever of error and close is told, and in which order. */
    function over(code: number): void {
      if (gone) return;
      gone = true;
      free();
      if (!wanted) return;
      wanted = false;
      on.closed(code);
    }

    whenFree(() => {
      if (!wanted) return;
      taken = true;
      task = api.connectSocket({ url, protocols: [protocol], fail: () => over(ABNORMAL) });
      task.onOpen(() => {
        opened = true;
        // It could not be closed before.
        if (wanted) on.opened();
        else task?.close({ code: 1000 });
      });
      task.onMessage(({ data }) => wanted && typeof data === "string" && on.message(data));
      task.onError(() => over(ABNORMAL));
      task.onClose(({ code }) => over(code));
    });
    return {
      send: (text) => wanted && opened && task?.send({ data: text, fail: () => over(ABNORMAL) }),
      close() {
        wanted = false;
        if (opened && !gone) task?.close({ code: 1000 });
      },
    };
  };
}
