import { type Wiring } from "./run.js";
import type { Sign } from "./platform.js";
import type { Transport } from "./transport.js";
import type { ConnectionState, TransportName } from "./types.js";
/** What a link is given, and whom it tells. */
export interface LinkOptions extends Wiring {
    /** The transports to use, the best first; asked for whenever the link begins. */
    order(): Promise<readonly Transport[]>;
    /** Which one worked the last time, and to remember it. */
    readonly worked: {
        get(): string | null;
        set(name: TransportName): void;
    };
    state(state: ConnectionState): void;
    /** The server cannot read the cursor: forget it, and what it stood for. */
    restart(): void;
}
export interface Link {
    /** Begins again: with another order of transports, or after it had stopped. */
    again(): void;
    /** Does not wait any longer, if it waits. */
    hurry(): void;
    sign(sign: Sign): void;
    close(): void;
}
/** Opens a link and begins. Nothing it tells comes before it has returned. */
export declare function createLink(o: LinkOptions): Link;
