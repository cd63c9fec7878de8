// In your project this is dist/miniprogram/tocsin.js with its types.
export * from "../src/index.js";
