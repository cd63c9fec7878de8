import type { Ending, Session } from "./transport.js";
/** One answer: how long until the next should be asked for, in ms, or why there was none. */
export type Looked = {
    readonly interval: number;
    readonly empty: boolean;
    readonly tag: string;
    readonly ending?: never;
} | {
    readonly ending: Ending;
};
/** Asks once, waiting at most so many seconds at the server, and tells the page. */
export declare function look(session: Session, wait: number, tag: string): Promise<Looked>;
/** Polls on and on; hold: at the server, else between two requests. */
export declare function poll(session: Session, hold: boolean): Promise<Ending>;
