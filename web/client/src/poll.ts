// Short poll: a request now and then, as often as the server says.
import { poll as repeat } from "./page.js";
import type { Transport } from "./transport.js";

export const poll: Transport = { name: "poll", mode: "polling", stream: false, fits: () => true, run: (session) => repeat(session, false) };
