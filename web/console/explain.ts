// Why somebody got an alarm, or did not; and whom it has reached.
import type { Api } from "./api";
import { part, withQuery } from "./api";
import { createTold, submits, type Panel } from "./panel";
import { bdi, field, h, put, table } from "./dom";
import { moment, number } from "./format";
import { t, transportName } from "./words";

interface Report {
  readonly alarm?: string;
  readonly device: string;
  readonly user: string;
  readonly verdict: string;
  readonly steps: readonly { readonly what: string; readonly says: string; readonly ok: boolean }[];
}

interface Deliveries {
  readonly alarm: string;
  readonly entry: number;
  readonly told: number | null;
  readonly deliveries: readonly {
    readonly user: string;
    readonly delivered: boolean;
    readonly at: string | null;
    readonly transport: string | null;
    readonly node: string | null;
    readonly read: boolean;
    readonly acked: boolean;
    readonly acked_at: string | null;
  }[];
  readonly evidence_since: string | null;
}

const verdicts: Readonly<Record<string, { readonly text: string; readonly kind: "good" | "" | "bad" }>> = {
  delivered: { text: t("It has reached him."), kind: "good" },
  behind: { text: t("He is connected, and it is on its way."), kind: "" },
  "began-later": { text: t("He is connected, but began after it and asked for no snapshot."), kind: "" },
  "not-connected": { text: t("It waits in his inbox: he is not connected."), kind: "" },
  "not-told": { text: t("It is quiet: folded, and told to nobody yet."), kind: "" },
  held: { text: t("It is kept back until it has moved to its device's route."), kind: "" },
  "no-group": { text: t("He has no group in common with it: for him it does not exist."), kind: "bad" },
  visible: { text: t("It is in his inbox."), kind: "good" },
};

const whats: Readonly<Record<string, string>> = {
  device: t("Device"), route: t("Route"), audience: t("Alarm"), user: t("User"), visible: t("In common"),
  sessions: t("Connection"), delivered: t("Delivery"), shelved: t("Shelf"), acknowledged: t("Acknowledgement"), quiet: t("Folding"), occurrence: t("Occurrence"),
};

function show(report: Report): HTMLElement {
  const verdict = verdicts[report.verdict] ?? { text: report.verdict, kind: "" };
  return h("div", { class: "sheet stack" },
    h("p", { class: `told ${verdict.kind}` }, h("b", {}, verdict.text)),
    h("ol", { class: "steps" }, ...report.steps.map((step) => h("li", { class: step.ok ? "ok" : "stop" },
      h("span", { class: "mark", role: "img", "aria-label": step.ok ? t("goes on") : t("ends here") }, step.ok ? "✓" : "✗"),
      h("b", {}, whats[step.what] ?? step.what), " ", bdi(step.says)))));
}

async function reached(api: Api, alarm: string): Promise<HTMLElement> {
  const found = (await api.ask("GET", `v1/alarms/${part(alarm)}/deliveries`)) as Deliveries;
  const list = table(t("Entry {n}: its last announcement", { n: number(found.entry) }), [t("User"), t("Delivered"), t("Over"), t("Read"), t("Acknowledged")]);
  put(list.body, ...found.deliveries.map((one) => h("tr", {},
    h("th", { scope: "row" }, bdi(one.user)),
    h("td", {}, one.delivered ? moment(one.at) : h("span", { class: "soft" }, t("no"))),
    h("td", {}, one.transport ? h("span", { class: `chip ${one.transport}` }, transportName(one.transport)) : "–", one.node ? ` ${one.node}` : null),
    h("td", {}, one.read ? t("yes") : t("no")),
    h("td", {}, one.acked ? moment(one.acked_at) : t("no")))));
  const since = found.evidence_since ? h("p", { class: "hint" }, t("What is known reaches back to"), " ", moment(found.evidence_since), ".") : null;
  return h("div", { class: "stack" }, found.deliveries.length > 0 ? list.root : h("p", { class: "empty" }, t("Nobody is in its groups.")), since);
}

export const explain: Panel = {
  name: "explain",
  title: "Explain",
  open(root, api, query) {
    const told = createTold();
    const out = h("div", { "aria-live": "polite", class: "stack" });
    const alarm = h("input", { value: query.get("alarm") ?? "", autocomplete: "off", spellcheck: "false" });
    const device = h("input", { value: query.get("device") ?? "", autocomplete: "off", spellcheck: "false" });
    const user = h("input", { value: query.get("user") ?? "", autocomplete: "off", spellcheck: "false" });
    const form = h("form", { class: "sheet stack" },
      h("div", { class: "fields" },
        field(t("Id of the alarm"), alarm), field(t("or a device"), device, t("for whatever it raises")), field(t("User"), user, t("none: whom the alarm has reached"))),
      h("div", { class: "buttons" }, h("button", { type: "submit", class: "main" }, t("Explain"))));
    submits(form, told, async () => {
      put(out);
      const who = user.value.trim();
      if (who === "" && alarm.value.trim() === "") throw new Error(t("Name an alarm, or a user and a device."));
      if (who !== "") put(out, show((await api.ask("GET", withQuery("v1/explain", { alarm: alarm.value.trim(), device: alarm.value.trim() ? "" : device.value.trim(), user: who }))) as Report));
      if (alarm.value.trim() !== "") out.append(await reached(api, alarm.value.trim()));
    });
    put(root, h("div", { class: "head" }, h("h2", {}, t("Why did he get it, or not?"))), form, told.root, out);
    if (alarm.value || (device.value && user.value)) form.requestSubmit();
    return () => undefined;
  },
};
