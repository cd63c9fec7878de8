// What the page says around the inbox, by language.
const en = {
  inboxOf: "Inbox of",
  menu: "Menu",
  pages: "Pages",
  doctor: "Transport doctor",
  console: "Console",
  noScript: "Without script",
  transport: "Transport",
  automatic: "Automatic",
  look: "Look",
  looks: { auto: "As the system", light: "Light", dark: "Dark" } as Readonly<Record<string, string>>,
  language: "Language",
  leave: "Log out",
  login: "Open an inbox",
  token: "Your token",
  enter: "Open",
  hint: "The token stays in this tab, and is gone when you close it.",
  refused: "The token is not accepted.",
  critical: (n: number) => `${n} critical`,
  unread: (n: number) => `${n} unread`,
};
export type PageWords = typeof en;

const zh: PageWords = {
  inboxOf: "收件箱：",
  menu: "菜单",
  pages: "页面",
  doctor: "传输诊断",
  console: "控制台",
  noScript: "无脚本页面",
  transport: "传输",
  automatic: "自动",
  look: "外观",
  looks: { auto: "跟随系统", light: "浅色", dark: "深色" },
  language: "语言",
  leave: "退出",
  login: "打开收件箱",
  token: "您的令牌",
  enter: "打开",
  hint: "令牌只保存在此标签页中，关闭后即消失。",
  refused: "令牌未被接受。",
  critical: (n) => `${n} 条紧急`,
  unread: (n) => `${n} 条未读`,
};

/** The languages, by tag: their own name, and the words. */
export const languages: Readonly<Record<string, { readonly name: string; readonly words: PageWords }>> = {
  en: { name: "English", words: en },
  zh: { name: "中文", words: zh },
};

/** The words of a language, English for those that there are not. */
export const wordsOf = (tag: string): PageWords => languages[tag]?.words ?? en;

/** The first of the wanted languages that there is. */
export function choose(wanted: readonly (string | null)[]): string {
  return wanted.map((tag) => tag?.toLowerCase().split("-")[0] ?? "").find((tag) => tag in languages) ?? "en";
}
