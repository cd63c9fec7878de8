// Alipay's my in the words of WeChat's wx.
import type { MiniApi, RequestTask, SocketTask } from "./api.js";

/** What Alipay says differently; what it says alike is not repeated here. */
export interface AlipayApi extends Pick<MiniApi, "onAppShow" | "onAppHide" | "offAppShow" | "offAppHide" | "onNetworkStatusChange" | "offNetworkStatusChange"> {
  request(option: {
    url: string;
    method: "GET" | "POST";
    headers: Record<string, string>;
    data?: string;
    dataType: "text";
    timeout: number;
    success(told: { status: number; data: unknown; headers: Record<string, unknown> }): void;
    /** Also for answers other than 2xx, on some devices. */
    fail(told: { error?: number; errorMessage?: string; status?: number; data?: unknown; headers?: Record<string, unknown> }): void;
  }): RequestTask;
  connectSocket(option: { url: string; multiple: true; header: Record<string, string>; fail: (told: { errorMessage?: string }) => void }): AlipaySocketTask;
  getStorageSync(option: { key: string }): { data?: unknown };
  setStorageSync(option: { key: string; data: string }): void;
  removeStorageSync(option: { key: string }): void;
}

export interface AlipaySocketTask extends Pick<SocketTask, "send" | "close" | "onOpen"> {
  /** The text is one level deeper in newer versions. */
  onMessage(heard: (told: { data: unknown }) => void): void;
  onClose(heard: (told: { code?: number; data?: { code?: number } }) => void): void;
  onError(heard: (told: unknown) => void): void;
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;

function socketOf(task: AlipaySocketTask): SocketTask {
  return {
    send: (option) => task.send(option),
    close: (option) => task.close(option),
    onOpen: (heard) => task.onOpen(() => heard()),
    onMessage: (heard) =>
      task.onMessage(({ data }) => {
        const text = isRecord(data) ? data["data"] : data;
        if (typeof text === "string") heard({ data: text });
      }),
    onClose: (heard) => task.onClose((told) => heard({ code: told.code ?? told.data?.code ?? 1006 })),
    onError: (heard) => task.onError((told) => heard({ errMsg: JSON.stringify(told) ?? "" })),
  };
}

/** Makes an environment of Alipay's my. */
export function alipay(my: AlipayApi): MiniApi {
  return {
    request: ({ header, success, fail, url, method, data, timeout }) =>
      my.request({
        url, method, timeout, headers: header, dataType: "text",
        ...(data === undefined ? {} : { data }),
        success: (told) => success({ statusCode: told.status, data: String(told.data ?? ""), header: told.headers }),
        fail(told) {
          // An answer all the same.
          if (told.status !== undefined && told.status >= 300) success({ statusCode: told.status, data: String(told.data ?? ""), header: told.headers ?? {} });
          else fail({ errMsg: told.errorMessage ?? `error ${told.error ?? ""}` });
        },
      }),
    // It refuses `protocols`, but wants the header.
    connectSocket: ({ url, protocols, fail }) =>
      socketOf(my.connectSocket({
        url, multiple: true, header: { "Sec-WebSocket-Protocol": protocols.join(", ") },
        fail: (told) => fail({ errMsg: told.errorMessage ?? "" }),
      })),
    getStorageSync: (key) => my.getStorageSync({ key }).data,
    setStorageSync: (key, data) => my.setStorageSync({ key, data }),
    removeStorageSync: (key) => my.removeStorageSync({ key }),
    onAppShow: (heard) => my.onAppShow(heard),
    onAppHide: (heard) => my.onAppHide(heard),
    offAppShow: (heard) => my.offAppShow(heard),
    offAppHide: (heard) => my.offAppHide(heard),
    onNetworkStatusChange: (heard) => my.onNetworkStatusChange(heard),
    offNetworkStatusChange: (heard) => my.offNetworkStatusChange(heard),
  };
}
