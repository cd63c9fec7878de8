// @stomp/stompjs as it comes from npm, with promises around it.
import { Client, type IFrame, type IMessage, type StompConfig, type StompHeaders } from "@stomp/stompjs";
import { WebSocket } from "ws";

/** within rejects when what is waited for does not come in time. */
export function within<T>(what: string, promise: Promise<T>, ms = 20_000): Promise<T> {
  let timer: NodeJS.Timeout;
  const late = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(new Error(`${what} did not come`)), ms)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A queue hands out what was put into it, one after the other. */
export function queue<T>(): { put(value: T): void; next(what?: string): Promise<T>; waiting(): number } {
  const values: T[] = [];
  const takers: ((value: T) => void)[] = [];
  return {
    put: (value) => {
      const taker = takers.shift();
      if (taker) taker(value);
      else values.push(value);
    },
    next: (what = "the next one") => {
      const value = values.shift();
      return value === undefined ? within(what, new Promise<T>((resolve) => takers.push(resolve))) : Promise.resolve(value);
    },
    waiting: () => values.length,
  };
}

export interface Subscribed {
  readonly receipt: IFrame;
  readonly messages: ReturnType<typeof queue<IMessage>>;
  unsubscribe(): Promise<void>;
}

export interface Connected {
  readonly client: Client;
  readonly connected: IFrame;
  readonly errors: ReturnType<typeof queue<IFrame>>;
  readonly closed: ReturnType<typeof queue<{ code: number; reason: string }>>;
  /** The WebSocket in use. */
  socket(): WebSocket;
  subscribe(destination: string, headers?: StompHeaders): Promise<Subscribed>;
  /** Sends and waits for the receipt. */
  send(destination: string, body: string, headers?: StompHeaders): Promise<void>;
  receipted(act: (headers: StompHeaders) => void): Promise<IFrame>;
  disconnect(): Promise<void>;
}

let receipts = 0;

/** connect makes a client that does not come back, and waits for CONNECTED or the error. */
export async function connect(url: string, config: StompConfig, protocols?: string[], headers?: Record<string, string>): Promise<Connected> {
  const errors = queue<IFrame>();
  const closed = queue<{ code: number; reason: string }>();
  let socket: WebSocket | undefined;
  const client = new Client({
    webSocketFactory: () => (socket = new WebSocket(url, protocols ?? ["v12.stomp", "v11.stomp", "v10.stomp"], headers ? { headers } : {})),
    reconnectDelay: 0,
    ...config,
  });
  const connected = await within(
    "CONNECTED",
    new Promise<IFrame>((resolve, reject) => {
      client.onConnect = resolve;
      client.onStompError = (frame) => {
        errors.put(frame);
        reject(Object.assign(new Error(frame.headers["message"]), { frame, closed }));
      };
      client.onWebSocketClose = (event: { code: number; reason: string }) => {
        closed.put(event);
        reject(new Error(`closed with ${event.code}`));
      };
      client.activate();
    }),
  );
  const receipted = (act: (headers: StompHeaders) => void): Promise<IFrame> => {
    const receipt = `r-${receipts++}`;
    const came = within(`the receipt ${receipt}`, new Promise<IFrame>((resolve) => client.watchForReceipt(receipt, resolve)));
    act({ receipt });
    return came;
  };
  return {
    client, connected, errors, closed, receipted,
    socket: () => socket as WebSocket,
    subscribe: async (destination, headers = {}) => {
      const messages = queue<IMessage>();
      let subscription: ReturnType<Client["subscribe"]> | undefined;
      const receipt = await receipted((more) => (subscription = client.subscribe(destination, (m) => messages.put(m), { ...headers, ...more })));
      return { receipt, messages, unsubscribe: async () => void (await receipted((more) => subscription?.unsubscribe(more))) };
    },
    send: async (destination, body, headers = {}) => void (await receipted((more) => client.publish({ destination, body, headers: { ...headers, ...more } }))),
    disconnect: () => within("the end", client.deactivate()),
  };
}
