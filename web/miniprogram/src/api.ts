// What the adapter needs of a mini-program's environment: a part of WeChat's wx, in its
// own words. Others that have the same words (QQ, Douyin, Baidu) fit as they are.

export interface RequestTask {
  abort(): void;
}

export interface SocketTask {
  /** Before onOpen it fails. */
  send(option: { data: string; fail?: () => void }): void;
  /** Before onOpen it does nothing on some devices. */
  close(option: { code?: number }): void;
  onOpen(heard: () => void): void;
  onMessage(heard: (told: { data: string | ArrayBuffer }) => void): void;
  onClose(heard: (told: { code: number }) => void): void;
  onError(heard: (told: { errMsg: string }) => void): void;
}

export interface RequestOption {
  url: string;
  method: "GET" | "POST";
  header: Record<string, string>;
  data?: string;
  /** Anything but "json" leaves the body as it is. */
  dataType: "text";
  responseType: "text";
  /** Milliseconds, at most 60,000. */
  timeout: number;
  success(told: { statusCode: number; data: string | Record<string, unknown> | ArrayBuffer; header: Record<string, unknown> }): void;
  fail(told: { errMsg: string }): void;
}

/** The environment. */
export interface MiniApi {
  request(option: RequestOption): RequestTask;
  connectSocket(option: { url: string; protocols: string[]; fail: (told: { errMsg: string }) => void }): SocketTask;
  /** Undefined or "" where there is nothing. */
  getStorageSync(key: string): unknown;
  setStorageSync(key: string, value: string): void;
  removeStorageSync(key: string): void;
  onAppShow(heard: () => void): void;
  onAppHide(heard: () => void): void;
  offAppShow(heard: () => void): void;
  offAppHide(heard: () => void): void;
  onNetworkStatusChange(heard: (told: { isConnected: boolean; networkType: string }) => void): void;
  offNetworkStatusChange(heard: () => void): void;
}
