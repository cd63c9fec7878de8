/** Something that goes on until end() is called, once. Callbacks run in the order they were added. */
export interface Scope {
    readonly over: boolean;
    end(): void;
    /** Calls act at the end, at once if it is over; the returned function takes that back. */
    onEnd(act: () => void): () => void;
    /** A scope that ends with this one, or before it. */
    child(): Scope;
}
/** Opens a scope. */
export declare function createScope(): Scope;
