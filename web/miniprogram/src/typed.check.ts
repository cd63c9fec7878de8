// Nothing of this is in the bundle: it holds our words for wx against the typings of
// WeChat.
import { createInbox, type MiniApi } from "./index.js";

export const fits: MiniApi = wx;
export const used = () => createInbox({ url: "https://alarms.example.com", token: "" }, wx);
