/**
 * Asks your own server for a token: it knows from the code of wx.login who this is, and
 * signs a token of Tocsin for him.
 */
export function getToken(server: string): Promise<string> {
  return new Promise((resolve, reject) => {
    wx.login({
      fail: ({ errMsg }) => reject(new Error(errMsg)),
      success: ({ code }) =>
        wx.request<{ token: string }>({
          url: `${server}/login/wechat`, method: "POST", data: { code },
          fail: ({ errMsg }) => reject(new Error(errMsg)),
          success: ({ statusCode, data }) => (statusCode === 200 ? resolve(data.token) : reject(new Error(`status ${statusCode}`))),
        }),
    });
  });
}
