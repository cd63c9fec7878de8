/**
 * Registers the element <tocsin-inbox>. See the README beside this file.
 *
 * @packageDocumentation
 */
import { TocsinInbox } from "./element.js";

// Two copies of this file on one page are one element.
if (!customElements.get("tocsin-inbox")) customElements.define("tocsin-inbox", TocsinInbox);

export { TocsinInbox };
export type { TocsinInboxEvents } from "./element.js";
