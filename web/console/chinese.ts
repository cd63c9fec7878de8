// The texts of console and doctor in Chinese, by the English ones.
export const chinese: Readonly<Record<string, string>> = {};
