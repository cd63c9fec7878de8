// Long poll: a request waits at the server until there is something.
import { poll } from "./page.js";
import type { Transport } from "./transport.js";

export const longpoll: Transport = { name: "longpoll", mode: "live", stream: false, fits: () => true, run: (session) => poll(session, true) };
