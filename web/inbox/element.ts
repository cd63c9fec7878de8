// The element <tocsin-inbox>: attributes and properties in, events out. What it shows
// is the panel's business.
import { createInbox } from "../client/src/index.js";
import type { Alarm, ConnectionState, Counts, Inbox, Timing, TransportName } from "../client/src/types.js";
import { createBellButton, type BellButton } from "./bell.js";
import { el } from "./dom.js";
import css from "./inbox.css";
import { language } from "./lang/index.js";
import { createPanel, type Panel } from "./panel.js";
import { createSound, type Sound } from "./sound.js";
import { createView, type View } from "./view.js";

/** What the element tells: `event.detail` of each. */
export interface TocsinInboxEvents {
  "tocsin-state": ConnectionState;
  "tocsin-count": Counts;
  /** An alarm is about to be shown; preventDefault() leaves it to the page. */
  "tocsin-open": { readonly alarm: Alarm };
}

/** What is settled when the inbox is opened; another value opens another inbox. */
const CONNECTION: ReadonlySet<string> = new Set(["url", "token", "share"]);

const transportNames: ReadonlySet<string> = new Set<TransportName>(["websocket", "sse", "longpoll", "poll"]);
const isTransport = (name: string): name is TransportName => transportNames.has(name);

let sheet: CSSStyleSheet | undefined;
function style(): CSSStyleSheet {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
  }
  return sheet;
}

export class TocsinInbox extends HTMLElement {
  static readonly observedAttributes = ["url", "token", "share", "transports", "lang", "bell"];

  readonly #root = this.attachShadow({ mode: "open" });
  #inbox: Inbox | null = null;
  #view: View = createView();
  #panel: Panel | null = null;
  #bell: BellButton | null = null;
  #sound: Sound | null = null;
  #getToken: (() => string | Promise<string>) | null = null;
  #timing: Partial<Timing> | null = null;
  #ends: (() => void)[] = [];
  #planned = false;
  #counted = "";

  constructor() {
    super();
    this.#root.adoptedStyleSheets = [style()];
  }

  /** The inbox that is shown (see the client's documentation); null without a token. */
  get inbox(): Inbox | null {
    return this.#inbox;
  }

  get token(): string {
    return this.getAttribute("token") ?? "";
  }
  set token(token: string | null) {
    if (token) this.setAttribute("token", token);
    else this.removeAttribute("token");
  }

  get url(): string {
    return this.getAttribute("url") ?? "";
  }
  set url(url: string) {
    this.setAttribute("url", url);
  }

  /** Gives a token whenever one is needed; goes before `token`. */
  get getToken(): (() => string | Promise<string>) | null {
    return this.#getToken;
  }
  set getToken(get: (() => string | Promise<string>) | null) {
    this.#getToken = get;
    this.#reopen();
  }

  /** Times other than the client's own, in its units; null: those. */
  get timing(): Partial<Timing> | null {
    return this.#timing;
  }
  set timing(timing: Partial<Timing> | null) {
    this.#timing = timing;
    this.#reopen();
  }

  /** The transports to use, in order; null: whatever the server recommends. */
  get transports(): readonly TransportName[] | null {
    const names = (this.getAttribute("transports") ?? "").split(/[\s,]+/).filter(isTransport);
    return names.length > 0 ? names : null;
  }
  set transports(names: readonly TransportName[] | null) {
    if (names && names.length > 0) this.setAttribute("transports", names.join(" "));
    else this.removeAttribute("transports");
  }

  /** Shows an alarm that is in the list; false if it is not. */
  open(id: string): boolean {
    return this.#panel?.open(id) ?? false;
  }

  /** Puts the focus into the list. */
  override focus(): void {
    this.#panel?.focus();
  }

  connectedCallback(): void {
    this.#sound = createSound(() => this.#panel?.changed());
    for (const name of ["pointerdown", "keydown"]) document.addEventListener(name, this.#touched, { capture: true });
    this.#reopen();
  }

  disconnectedCallback(): void {
    for (const name of ["pointerdown", "keydown"]) document.removeEventListener(name, this.#touched, { capture: true });
    this.#shut();
    this.#sound?.close();
    this.#sound = null;
  }

  attributeChangedCallback(name: string, before: string | null, now: string | null): void {
    if (before === now || !this.isConnected) return;
    if (CONNECTION.has(name)) this.#reopen();
    else if (name === "transports") this.#inbox?.use(this.transports);
    else this.#build();
  }

  readonly #touched = () => this.#sound?.touched();

  /** Opens anew, once for all that is set in one go. */
  #reopen(): void {
    if (this.#planned) return;
    this.#planned = true;
    queueMicrotask(() => {
      this.#planned = false;
      if (!this.isConnected) return;
      this.#shut();
      this.#view = createView();
      this.#connect();
      this.#build();
    });
  }

  #connect(): void {
    const get = this.#getToken;
    if (!get && !this.token) return;
    const { timing, transports, url } = this;
    const inbox = createInbox({
      ...(get ? { getToken: get } : { token: this.token }), ...(url && { url }), ...(transports && { transports }), ...(timing && { timing }),
      ...(this.getAttribute("share") === "no" && { share: false }),
    });
    this.#inbox = inbox;
    this.#ends = [inbox.on("state", (state) => this.#tell("tocsin-state", state)), inbox.on("change", () => this.#count())];
  }

  #build(): void {
    const inbox = this.#inbox;
    const sound = this.#sound;
    this.#panel?.close();
    this.#bell?.close();
    this.#panel = this.#bell = null;
    const tongue = language([this.getAttribute("lang"), this.closest("[lang]")?.getAttribute("lang")], navigator.languages);
    if (!inbox || !sound) {
      this.#root.replaceChildren(el("div", { class: "panel", lang: tongue.tag }, el("p", { class: "empty" }, tongue.words.states.idle)));
      return;
    }
    const panel = createPanel({
      root: this.#root, inbox, view: this.#view, sound, language: tongue,
      opening: (alarm) => this.#tell("tocsin-open", { alarm }),
    });
    this.#panel = panel;
    if (this.hasAttribute("bell")) {
      this.#bell = createBellButton(panel.element, inbox, tongue.words);
      this.#root.replaceChildren(this.#bell.element);
    } else {
      this.#root.replaceChildren(panel.element);
    }
    panel.draw();
  }

  #shut(): void {
    for (const end of this.#ends) end();
    this.#ends = [];
    this.#panel?.close();
    this.#bell?.close();
    this.#panel = this.#bell = null;
    this.#inbox?.close();
    this.#inbox = null;
    this.#sound?.want(false);
    this.#counted = "";
    this.#root.replaceChildren();
  }

  #count(): void {
    const counts = this.#inbox?.counts;
    const now = JSON.stringify(counts);
    if (!counts || now === this.#counted) return;
    this.#counted = now;
    this.#tell("tocsin-count", counts);
  }

  #tell<K extends keyof TocsinInboxEvents>(name: K, detail: TocsinInboxEvents[K]): boolean {
    return this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true, cancelable: name === "tocsin-open" }));
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "tocsin-inbox": TocsinInbox;
  }
  interface HTMLElementEventMap {
    "tocsin-state": CustomEvent<TocsinInboxEvents["tocsin-state"]>;
    "tocsin-count": CustomEvent<TocsinInboxEvents["tocsin-count"]>;
    "tocsin-open": CustomEvent<TocsinInboxEvents["tocsin-open"]>;
  }
}
