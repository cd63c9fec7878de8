import type { Platform } from "./platform.js";
/** What there is here. */
export declare function browser(): Platform;
