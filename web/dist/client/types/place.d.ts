import type { Wiring } from "./run.js";
import type { Scope } from "./scope.js";
import type { Store } from "./store.js";
import type { Transport } from "./transport.js";
import type { InboxOptions, TransportName } from "./types.js";
export interface PlaceOptions extends Omit<Wiring, "cursor" | "page"> {
    readonly store: Store;
    /** Ends everything. */
    readonly scope: Scope;
    readonly options: InboxOptions;
    readonly transports: readonly Transport[];
}
export interface Place {
    /** Whose inbox it is, as far as the token says it. */
    user(): string | null;
    use(transports: readonly TransportName[] | null): void;
    connect(): void;
}
/** Finds the place, and keeps it until the scope ends. */
export declare function createPlace(o: PlaceOptions): Place;
