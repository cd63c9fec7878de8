// Alipay's my, on the phone of wx.ts: the same sockets in its words.
import type { AlipayApi, AlipaySocketTask } from "../miniprogram/src/index.js";
import type { MiniApi } from "../miniprogram/src/api.js";

/** Says in Alipay's words what the phone says in WeChat's. */
export function alipayOf(wx: MiniApi): AlipayApi {
  return {
    request: ({ headers, success, fail, data, url, method, timeout }) =>
      wx.request({
        url, method, timeout, header: headers, dataType: "text", responseType: "text",
        ...(data === undefined ? {} : { data }),
        // What is not 2xx is told to fail.
        success: ({ statusCode: status, data: body, header }) =>
          status >= 200 && status < 300 ? success({ status, data: body, headers: header }) : fail({ error: 19, errorMessage: "http error", status, data: body, headers: header }),
        fail: ({ errMsg }) => fail({ error: 12, errorMessage: errMsg }),
      }),
    connectSocket({ url, multiple, header, fail }): AlipaySocketTask {
      if (!multiple) throw new Error("one socket without a task");
      const protocols = (header["Sec-WebSocket-Protocol"] ?? "").split(", ").filter(Boolean);
      const task = wx.connectSocket({ url, protocols, fail: ({ errMsg }) => fail({ errorMessage: errMsg }) });
      return {
        send: (option) => task.send(option),
        close: (option) => task.close(option),
        onOpen: (heard) => task.onOpen(heard),
        onMessage: (heard) => task.onMessage(({ data }) => heard({ data: { data, isBuffer: false } })),
        onClose: (heard) => task.onClose(({ code }) => heard({ data: { code } })),
        onError: (heard) => task.onError(heard),
      };
    },
    getStorageSync: ({ key }) => ({ data: wx.getStorageSync(key) || null }),
    setStorageSync: ({ key, data }) => wx.setStorageSync(key, data),
    removeStorageSync: ({ key }) => wx.removeStorageSync(key),
    onAppShow: wx.onAppShow, onAppHide: wx.onAppHide, offAppShow: wx.offAppShow, offAppHide: wx.offAppHide,
    onNetworkStatusChange: wx.onNetworkStatusChange, offNetworkStatusChange: wx.offNetworkStatusChange,
  };
}
