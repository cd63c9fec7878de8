// A test alarm, and a notice: sent as publishers do, with the administrator's token.
import type { Api } from "./api";
import { createTold, namesIn, submits, type Panel } from "./panel";
import { field, h, options, put } from "./dom";
import { severities, t } from "./words";

interface Result {
  readonly id?: string;
  readonly status?: string;
  readonly problem?: { readonly title: string; readonly detail?: string };
}

function alarmForm(api: Api): HTMLElement {
  const told = createTold();
  const device = h("input", { required: true, maxlength: 64, value: "test", autocomplete: "off", spellcheck: "false" });
  const type = h("input", { required: true, maxlength: 128, value: "test", pattern: "[A-Za-z0-9_.:\\-]+", autocomplete: "off", spellcheck: "false" });
  const qualifier = h("input", { maxlength: 128, autocomplete: "off", spellcheck: "false" });
  const severity = options(h("select"), severities.map((name) => [name, t(name)] as const));
  severity.value = "minor";
  const message = h("input", { maxlength: 1024, value: t("A test. Nothing has happened.") });
  const end = h("select");
  options(end, [["", t("Until it is cleared")], ["momentary", t("It has no end (momentary)")], ["cleared", t("Clear it now")]]);
  const after = h("p", {});

  const form = h("form", { class: "sheet stack" }, h("h3", {}, t("Test alarm")),
    h("div", { class: "fields" },
      field(t("Device"), device, t("whose groups get the alarm")), field(t("Type"), type), field(t("Qualifier"), qualifier),
      field(t("Severity"), severity), field(t("How long"), end), h("div", { class: "wide" }, field(t("Message"), message))),
    h("div", { class: "buttons" }, h("button", { type: "submit", class: "main" }, t("Send the alarm"))), told.root, after);
  submits(form, told, async () => {
    put(after);
    const what = {
      device: device.value.trim(), type: type.value.trim(), qualifier: qualifier.value, message: message.value,
      ...(end.value === "cleared" ? { state: "cleared" } : { severity: severity.value }),
      ...(end.value === "momentary" ? { kind: "momentary" } : {}),
    };
    const [result] = ((await api.ask("POST", "v1/alarms", what)) as { results: readonly Result[] }).results;
    told.good(t("Stored: {status}. {id}", { status: result?.status ?? "", id: result?.id ?? "" }));
    if (result?.id) put(after, h("a", { href: `#explain?alarm=${encodeURIComponent(result.id)}` }, t("Whom does it reach?")));
  });
  return form;
}

function noticeForm(api: Api): HTMLElement {
  const told = createTold();
  const to = options(h("select"), [["groups", t("Groups")], ["users", t("Users")], ["everyone", t("Everyone")]]);
  const names = h("input", { required: true, autocomplete: "off", spellcheck: "false" });
  const whom = field(t("Names, with commas between"), names);
  const title = h("input", { required: true, maxlength: 256 });
  const body = h("textarea", { rows: 3 });
  to.addEventListener("change", () => {
    whom.hidden = to.value === "everyone";
    names.required = !whom.hidden;
  });
  const form = h("form", { class: "sheet stack" }, h("h3", {}, t("Notice")),
    h("div", { class: "fields" }, field(t("To"), to), whom, h("div", { class: "wide" }, field(t("Title"), title)), h("div", { class: "wide" }, field(t("Text"), body))),
    h("div", { class: "buttons" }, h("button", { type: "submit", class: "main" }, t("Send the notice"))), told.root);
  submits(form, told, async () => {
    const receivers = to.value === "everyone" ? "everyone" : { [to.value]: namesIn(names.value) };
    const { results } = (await api.ask("POST", "v1/notices", { to: receivers, title: title.value, body: body.value })) as { results: readonly Result[] };
    const failed = results.find((result) => result.problem);
    if (failed?.problem) throw new Error(failed.problem.detail ?? failed.problem.title);
    told.good(t("Stored for {n} receivers.", { n: results.length }));
  });
  return form;
}

export const send: Panel = {
  name: "send",
  title: "Send",
  open(root, api) {
    put(root, h("div", { class: "head" }, h("h2", {}, t("Send a test alarm or a notice"))),
      h("p", { class: "soft" }, t("It is stored and delivered like any other. Your token needs the scope publish.")),
      h("div", { class: "pair" }, alarmForm(api), noticeForm(api)));
    return () => undefined;
  },
};
