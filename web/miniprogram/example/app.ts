import { getToken } from "./token";
import { createInbox } from "./tocsin";

/** The server: its https: and wss: names must be declared for the mini-program. */
const SERVER = "https://alarms.example.com";

App({
  // One inbox for all pages. It ends when the mini-program is hidden, and goes on when
  // it is shown again, by itself.
  inbox: createInbox({ url: SERVER, getToken: () => getToken(SERVER) }),
});
