// The report: what was found, as text that can be sent to somebody. It has no token in it.
import { allowedSkew, type Examination } from "./examine";
import { milliseconds } from "./finding";
import { t, transportName } from "./words";

/** What is found of the clocks, in words, and whether it is a trouble. */
export function clockWords(examination: Examination): { readonly words: string; readonly bad: boolean } {
  const skew = examination.clock?.skew;
  if (!skew) return { words: t("The server's clock could not be read."), bad: false };
  const middle = (skew.least + skew.most) / 2;
  const off = milliseconds(Math.abs(middle));
  if (skew.least <= 0 && skew.most >= 0 || Math.abs(middle) < 1000) return { words: t("The clocks agree."), bad: false };
  const words = middle > 0 ? t("This device's clock is {time} behind the server's.", { time: off }) : t("This device's clock is {time} ahead of the server's.", { time: off });
  if (Math.abs(middle) < allowedSkew) return { words, bad: false };
  return { words: `${words} ${t("Times of alarms will look wrong, and tokens made here may be refused.")}`, bad: true };
}

/** What it comes down to. */
export function verdictWords(examination: Examination): string {
  const { best, transports } = examination;
  if (!best?.finding) return t("Nothing gets through. Alarms do not reach this browser.");
  const name = transportName(best.name);
  if (best === transports[0] && best.finding.health === "good") return t("All is well: {name} works.", { name });
  if (best.finding.health === "good") return t("Use {name}: what would be better does not work well here.", { name });
  return t("{name} is the best there is, but it does not work well here.", { name });
}

const marks = { good: "OK  ", warn: "WEAK", bad: "FAIL" } as const;

export function reportOf(examination: Examination, watch: number, at: Date): string {
  const lines = [
    `Tocsin transport doctor, ${at.toISOString()}`,
    `${location.origin}${location.pathname}`,
    navigator.userAgent,
    "",
    verdictWords(examination),
    "",
  ];
  for (const one of examination.transports) {
    if (!one.finding) continue;
    lines.push(`${marks[one.finding.health]}  ${transportName(one.name)}: ${one.finding.words}`);
    for (const [name, value] of one.finding.facts) lines.push(`        ${name}: ${value}`);
    if (one.marks.length > 0) lines.push(`        ${one.marks.slice(0, 40).map((mark) => `${(mark.at / 1000).toFixed(2)} ${mark.what}`).join(", ")}`);
    if (one.finding.advice) lines.push(`        ${one.finding.advice}`);
  }
  const skew = examination.clock?.skew;
  lines.push("", clockWords(examination).words);
  if (skew) lines.push(`        ${t("between {least} and {most} ms", { least: Math.round(skew.least), most: Math.round(skew.most) })}`);
  if (examination.clock) lines.push(t("An answer takes {fastest} at best, {middle} as a rule.", { fastest: milliseconds(examination.clock.fastest), middle: milliseconds(examination.clock.middle) }));
  lines.push(t("Silent connections were watched for {n} s.", { n: watch }));
  return lines.join("\n");
}
