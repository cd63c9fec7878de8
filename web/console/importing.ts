// The import of a directory: JSON Lines, from a file or typed in, and what became of them.
import type { Api } from "./api";
import { isRefusal } from "./api";
import { createTold, submits } from "./panel";
import { bdi, field, h, put, table } from "./dom";
import { number } from "./format";
import { t } from "./words";

interface Report {
  readonly lines: number;
  readonly devices: number;
  readonly users: number;
  readonly changed: number;
  readonly rejected: number;
  readonly refused: readonly { readonly line: number; readonly detail: string }[];
  readonly truncated: boolean;
}

const example = '{"device":"860000000000017","groups":["fleet-7"]}\n{"user":"anna","groups":["fleet-7","night"]}';

function show(report: Report): HTMLElement {
  const tile = (name: string, value: number): HTMLElement => h("div", {}, h("dt", {}, name), h("dd", { class: "number" }, number(value)));
  const refused = table(report.truncated ? t("The first lines that were refused") : t("Lines that were refused"), [{ text: t("Line"), number: true }, t("Why")]);
  put(refused.body, ...report.refused.map((one) => h("tr", {}, h("td", { class: "number" }, number(one.line)), h("td", {}, bdi(one.detail)))));
  return h("div", { class: "stack" },
    h("dl", { class: "tiles" },
      tile(t("Lines"), report.lines), tile(t("Devices"), report.devices), tile(t("Users"), report.users),
      tile(t("Changed"), report.changed), tile(t("Refused"), report.rejected)),
    report.refused.length > 0 ? refused.root : null);
}

export function createImport(api: Api): HTMLElement {
  const told = createTold();
  const text = h("textarea", { rows: 8, spellcheck: "false", placeholder: example });
  const file = h("input", { type: "file", accept: ".jsonl,.ndjson,.json,.txt" });
  const report = h("div", { "aria-live": "polite" });
  const form = h("form", { class: "sheet stack" },
    h("p", { class: "soft" }, t("One line for each device or user, as JSON. No groups: it is forgotten. A bad line spoils no other.")),
    field(t("Lines"), text), field(t("or a file"), file),
    h("div", { class: "buttons" }, h("button", { type: "submit", class: "main" }, t("Import"))));
  submits(form, told, async () => {
    put(report);
    const lines = file.files?.[0] ? await file.files[0].text() : text.value;
    if (lines.trim() === "") throw new Error(t("There are no lines to import."));
    try {
      const done = (await api.ask("POST", "v1/directory", lines, "application/x-ndjson")) as Report;
      put(report, show(done));
      if (done.rejected === 0) told.good(t("All lines were taken."));
      else told.bad(new Error(t("{n} lines were refused, the others were taken.", { n: done.rejected })));
    } catch (error) {
      // An import that broke off says what was done before.
      const before = isRefusal(error) ? (error.problem as (object & { report?: Report }) | null)?.report : undefined;
      if (before) put(report, show(before));
      throw error;
    }
  });
  return h("section", { class: "stack", "aria-label": t("Import") }, form, told.root, report);
}
