// The token: it comes with the address or is typed in, and stays as long as the tab.
// The other pages of the gateway keep it in the same place.

const stored = "tocsin.token";

let kept = ""; // where the browser keeps nothing

export function storedToken(): string {
  try {
    return sessionStorage.getItem(stored) ?? kept;
  } catch {
    return kept;
  }
}

export function storeToken(token: string): void {
  kept = token;
  try {
    if (token) sessionStorage.setItem(stored, token);
    else sessionStorage.removeItem(stored);
  } catch {
    // Then only this page has it.
  }
}

/** Takes a token out of the address, where it would be copied along. */
export function takeToken(): string {
  const params = new URLSearchParams(location.hash.slice(1));
  const token = params.get("token");
  if (token === null) return "";
  params.delete("token");
  const rest = params.toString().replace(/=$/, "").replace(/=(?=&)/g, "");
  history.replaceState(null, "", location.pathname + location.search + (rest ? `#${rest}` : ""));
  return token.trim();
}

/** The claims, only to show them: what they are worth the server decides. */
export function claimsOf(token: string): Readonly<Record<string, unknown>> {
  try {
    const text = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof claims === "object" && claims !== null ? (claims as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

export const userOf = (token: string): string => String(claimsOf(token)["sub"] ?? "");

/** What somebody typed as a token. */
export const cleanToken = (text: string): string => text.trim().replace(/^bearer\s+/i, "");
