// Taking tokens back.
import { createTold, submits, type Panel } from "./panel";
import { confirmed, field, h, options, put } from "./dom";
import { t } from "./words";

export const revoke: Panel = {
  name: "revoke",
  title: "Revoke",
  open(root, api) {
    const told = createTold();
    const by = options(h("select"), [["sub", t("All tokens of a user (sub)")], ["jti", t("One token (jti)")]]);
    const name = h("input", { required: true, autocomplete: "off", spellcheck: "false" });
    const before = h("input", { type: "datetime-local", step: 1 });
    const form = h("form", { class: "sheet stack" },
      h("div", { class: "fields" }, field(t("What"), by), field(t("Name"), name), field(t("Issued before"), before, t("none: until now"))),
      h("div", { class: "buttons" }, h("button", { type: "submit", class: "danger" }, t("Revoke"))));
    submits(form, told, async () => {
      const what = by.value === "sub" ? t("Take back all tokens of {name} that were issued until now?", { name: name.value }) : t("Take back the token {name}?", { name: name.value });
      if (!(await confirmed(`${what} ${t("This cannot be undone; what they opened ends at once.")}`, t("Revoke"), t("Cancel")))) return;
      await api.ask("POST", "v1/revocations", { [by.value]: name.value, ...(before.value ? { before: new Date(before.value).toISOString() } : {}) });
      told.good(t("Taken back: {name}.", { name: name.value }));
      form.reset();
    });
    put(root, h("div", { class: "head" }, h("h2", {}, t("Take tokens back"))),
      h("p", { class: "soft" }, t("Everything that such a token opened ends: streams, waiting polls, tickets and cookies. It is kept for 31 days.")), form, told.root);
    return () => undefined;
  },
};
