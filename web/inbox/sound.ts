// A chime while a critical alarm waits for somebody. Browsers keep pages silent until
// their user has clicked or typed; that is a state of its own, and told.

/**
 * `quiet`: nothing to sound for. `sounding`. `muted`: there is, and the user wants it
 * silent. `blocked`: there is, and the browser waits for a click. `elsewhere`: another
 * window of the same origin sounds.
 */
export type SoundState = "quiet" | "sounding" | "muted" | "blocked" | "elsewhere";

export interface Sound {
  readonly state: SoundState;
  readonly muted: boolean;
  /** Whether there is something to sound for. */
  want(wanted: boolean): void;
  mute(muted: boolean): void;
  /** To be called in a click or key of the user: what was blocked may sound now. */
  touched(): void;
  close(): void;
}

const KEPT = "tocsin.inbox.muted";
const LOCK = "tocsin.inbox.sound";
const EVERY_MS = 3000;
const NOTES: readonly (readonly [hertz: number, at: number])[] = [[880, 0], [660, 0.22], [880, 0.44]];

function kept(): boolean {
  try {
    return localStorage.getItem(KEPT) === "yes";
  } catch {
    return false; // a page that may keep nothing
  }
}

function keep(muted: boolean): void {
  try {
    localStorage.setItem(KEPT, muted ? "yes" : "no");
  } catch {
    // Then it holds as long as the page.
  }
}

function chime(context: AudioContext): void {
  for (const [hertz, at] of NOTES) {
    const from = context.currentTime + at;
    const tone = context.createOscillator();
    const loud = context.createGain();
    tone.frequency.value = hertz;
    loud.gain.setValueAtTime(0.0001, from);
    loud.gain.exponentialRampToValueAtTime(0.18, from + 0.02);
    loud.gain.exponentialRampToValueAtTime(0.0001, from + 0.2);
    tone.connect(loud).connect(context.destination);
    tone.start(from);
    tone.stop(from + 0.21);
  }
}

/** One of the windows sounds: who holds the lock. Without locks all do. */
function createTurn(changed: () => void): { readonly mine: boolean; ask(): void; give(): void } {
  let mine = false;
  let asked: AbortController | null = null;
  let release: (() => void) | null = null;
  return {
    get mine() {
      return mine;
    },
    ask() {
      if (asked) return;
      const asking = (asked = new AbortController());
      if (!navigator.locks) {
        mine = true;
        return;
      }
      const held = () => new Promise<void>((done) => {
        if (asking.signal.aborted) return done();
        mine = true;
        release = done;
        changed();
      });
      navigator.locks.request(LOCK, { signal: asking.signal }, held).catch(() => {}); // ended by give
    },
    give() {
      asked?.abort();
      release?.();
      asked = release = null;
      mine = false;
    },
  };
}

/** Calls `changed` when its state is another one. */
export function createSound(changed: (state: SoundState) => void): Sound {
  let wanted = false;
  let muted = kept();
  let context: AudioContext | null = null;
  let timer: ReturnType<typeof setInterval> | undefined;
  let state: SoundState = "quiet";
  const turn = createTurn(decide);

  function next(): SoundState {
    if (!wanted) return "quiet";
    if (muted || typeof AudioContext === "undefined") return "muted";
    context ??= new AudioContext();
    context.onstatechange = decide;
    if (context.state !== "running") return "blocked";
    turn.ask();
    return turn.mine ? "sounding" : "elsewhere";
  }

  function decide(): void {
    const now = next();
    if (now === state) return;
    state = now;
    if (now !== "sounding" && now !== "elsewhere") turn.give();
    clearInterval(timer);
    if (now === "sounding" && context) {
      const sounding = context;
      chime(sounding);
      timer = setInterval(() => chime(sounding), EVERY_MS);
    }
    // What is not heard need not run; it would keep the tab marked as playing.
    if (now === "quiet" || now === "muted") void context?.suspend();
    changed(now);
  }

  function resume(): void {
    if (wanted && !muted && context?.state === "suspended") void context.resume().catch(() => {}).then(decide);
  }

  function other(event: StorageEvent): void {
    if (event.key !== KEPT) return;
    muted = event.newValue === "yes";
    decide();
    resume();
  }
  addEventListener("storage", other);

  return {
    get state() {
      return state;
    },
    get muted() {
      return muted;
    },
    want(now) {
      wanted = now;
      decide();
      resume();
    },
    mute(now) {
      muted = now;
      keep(now);
      decide();
      resume();
    },
    touched: resume,
    close() {
      removeEventListener("storage", other);
      wanted = false;
      decide();
      void context?.close();
    },
  };
}
