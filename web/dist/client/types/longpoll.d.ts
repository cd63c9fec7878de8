import type { Transport } from "./transport.js";
export declare const longpoll: Transport;
