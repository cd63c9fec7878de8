import type { Transport } from "./transport.js";
export interface ServerEvent {
    readonly type: string;
    readonly data: string;
    readonly id: string | null;
}
/** Calls each with the events of a stream that comes in pieces. */
export declare function createParser(each: (event: ServerEvent) => void): (piece: string) => void;
export declare const sse: Transport;
