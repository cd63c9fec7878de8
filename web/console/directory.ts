// The directory: which groups a device's alarms go to, and which a user is in.
import type { Api } from "./api";
import { part, withQuery } from "./api";
import { createTold, namesIn, submits, type Panel, type Told } from "./panel";
import { bdi, confirmed, field, h, put, table } from "./dom";
import { number } from "./format";
import { createImport } from "./importing";
import { t } from "./words";

/** Devices and users are edited alike. */
interface Sort {
  readonly path: "devices" | "users";
  readonly key: "device" | "user";
  readonly title: string;
  readonly add: string;
  readonly forget: (name: string) => string;
}

const sorts: readonly Sort[] = [
  { path: "devices", key: "device", title: t("Devices"), add: t("Add a device"), forget: (name) => t("Forget the device {name}? Its alarms go to the unassigned groups.", { name }) },
  { path: "users", key: "user", title: t("Users"), add: t("Add a user"), forget: (name) => t("Take all groups from {name}? What his token gives stays.", { name }) },
];

interface Line {
  readonly name: string;
  readonly groups: readonly string[];
}

const step = 100;

/** A dialog to give a name its groups. */
function edit(api: Api, sort: Sort, line: Line | null, done: () => void): void {
  const told = createTold();
  const name = h("input", { required: true, value: line?.name ?? "", autocomplete: "off", spellcheck: "false", readonly: line !== null });
  const groups = h("input", { value: line?.groups.join(", ") ?? "", required: sort.path === "devices", autocomplete: "off", spellcheck: "false" });
  const title = line ? line.name : sort.add;
  const form = h("form", {},
    h("h3", {}, bdi(title)),
    field(sort.path === "devices" ? t("Device") : t("User"), name),
    field(t("Groups, with commas between"), groups),
    told.root,
    h("div", { class: "buttons" }, h("button", { type: "submit", class: "main" }, t("Save")), h("button", { type: "button", onclick: () => dialog.close() }, t("Cancel"))));
  const dialog = h("dialog", { "aria-label": title, onclose: () => dialog.remove() }, form);
  submits(form, told, async () => {
    await api.ask("PUT", `v1/${sort.path}/${part(name.value.trim())}`, { groups: namesIn(groups.value) });
    dialog.close();
    done();
  });
  document.body.append(dialog);
  dialog.showModal();
  (line ? groups : name).focus();
}

/** The list of devices, or of users. */
function createList(api: Api, sort: Sort, told: Told): { readonly root: HTMLElement; load(): void } {
  const prefix = h("input", { type: "search", autocomplete: "off", spellcheck: "false" });
  const group = h("input", { type: "search", autocomplete: "off", spellcheck: "false" });
  const list = table(sort.title, [sort.path === "devices" ? t("Device") : t("User"), t("Groups"), ""]);
  const empty = h("p", { class: "empty", hidden: true }, t("Nothing begins like this."));
  const more = h("button", { type: "button", hidden: true, onclick: () => void load(next) }, t("Show more"));
  const root = h("section", { class: "stack", "aria-label": sort.title },
    h("div", { class: "filters" },
      field(t("Name begins with"), prefix), field(t("In the group"), group),
      h("button", { type: "button", onclick: () => edit(api, sort, null, () => void load("")) }, sort.add)),
    list.root, empty, more);
  let next = "";
  let asked = 0;

  function row(line: Line): HTMLElement {
    const forget = async (): Promise<void> => {
      if (!(await confirmed(sort.forget(line.name), t("Delete"), t("Cancel")))) return;
      try {
        await api.ask("DELETE", `v1/${sort.path}/${part(line.name)}`);
        void load("");
      } catch (error) {
        told.bad(error);
      }
    };
    return h("tr", {},
      h("th", { scope: "row" }, bdi(line.name, sort.path === "devices")),
      h("td", {}, ...line.groups.map((name) => h("span", { class: "chip group" }, bdi(name)))),
      h("td", { class: "actions" },
        h("button", { type: "button", class: "small", "aria-label": t("Edit {name}", { name: line.name }), onclick: () => edit(api, sort, line, () => void load("")) }, t("Edit")),
        h("button", { type: "button", class: "small danger", "aria-label": t("Delete {name}", { name: line.name }), onclick: () => void forget() }, t("Delete"))));
  }

  async function load(after: string): Promise<void> {
    const mine = ++asked;
    try {
      const found = (await api.ask("GET", withQuery(`v1/${sort.path}`, { prefix: prefix.value, group: group.value.trim(), after, limit: step }))) as { next: string | null; total: number } & Record<string, unknown>;
      if (mine !== asked) return; // it was asked for something else since
      told.clear();
      const lines = (found[sort.path] as readonly Record<string, unknown>[]).map((line) => row({ name: String(line[sort.key]), groups: line["groups"] as string[] }));
      if (after) list.body.append(...lines);
      else put(list.body, ...lines);
      next = found.next ?? "";
      put(list.caption, t("{n} in all", { n: number(found.total) }));
      list.root.hidden = list.body.children.length === 0;
      empty.hidden = !list.root.hidden;
      more.hidden = next === "";
    } catch (error) {
      told.bad(error);
    }
  }

  for (const control of [prefix, group]) control.addEventListener("input", () => void load(""));
  return { root, load: () => void load("") };
}

export const directory: Panel = {
  name: "directory",
  title: "Directory",
  open(root, api, query) {
    const told = createTold();
    const lists = sorts.map((sort) => createList(api, sort, told));
    const views = [
      ...sorts.map((sort, i) => ({ name: sort.path as string, title: sort.title, root: lists[i]?.root, load: lists[i]?.load })),
      { name: "import", title: t("Import"), root: createImport(api), load: undefined },
    ];
    const chosen = views.find((view) => view.name === query.get("show")) ?? views[0];
    put(root,
      h("div", { class: "head" }, h("h2", {}, t("Directory")),
        h("nav", { class: "tabs", "aria-label": t("Directory") }, ...views.map((view) =>
          h("a", { href: `#directory?show=${view.name}`, "aria-current": view === chosen ? "true" : undefined }, view.title)))),
      told.root, chosen?.root ?? null);
    chosen?.load?.();
    return () => undefined;
  },
};
