// What ends together: a connection, its timers, its requests. Not every environment
// has an AbortController, so this is our own.

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
export function createScope(): Scope {
  const acts = new Set<() => void>();
  let over = false;

  function onEnd(act: () => void): () => void {
    if (over) act();
    else acts.add(act);
    return () => void acts.delete(act);
  }

  return {
    get over() {
      return over;
    },
    end() {
      if (over) return;
      over = true;
      for (const act of [...acts]) act();
      acts.clear();
    },
    onEnd,
    child() {
      const inner = createScope();
      inner.onEnd(onEnd(inner.end));
      return inner;
    },
  };
}
