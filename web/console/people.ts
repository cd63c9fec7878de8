// Who is online, over what; and each connection.
import type { Api } from "./api";
import { part, withQuery } from "./api";
import { createTold, repeatedly, type Panel, type Told } from "./panel";
import { bdi, confirmed, field, h, options, put, table } from "./dom";
import { moment, number, since } from "./format";
import { t, transportName, transports } from "./words";

interface Person {
  readonly user: string;
  readonly since: string;
  readonly last_seen: string;
  readonly over: readonly { readonly transport: string; readonly connections: number; readonly last_seen: string; readonly nodes: readonly string[] }[];
}

interface Presence {
  readonly users: readonly Person[];
  readonly next: string | null;
  readonly total: number;
  readonly transports: Readonly<Record<string, { readonly users: number; readonly connections: number }>>;
  readonly nodes: readonly { readonly node: string; readonly connections: number }[];
  readonly node: string;
  readonly time: string;
}

interface Connection {
  readonly connection: string;
  readonly user: string;
  readonly transport: string;
  readonly node: string;
  readonly since: string;
  readonly subscribed: boolean;
  readonly position: number | null;
}

const every = 5000;
const step = 100;

/** Ends what a user has open, after a question. */
async function kick(api: Api, user: string, told: Told): Promise<void> {
  const question = t("End all connections of {user} at all nodes? His clients may come back at once; to keep him out, revoke his tokens.", { user });
  if (!(await confirmed(question, t("Disconnect"), t("Cancel")))) return;
  try {
    const { ended, silent } = (await api.ask("DELETE", `v1/users/${part(user)}/connections`)) as { ended: number; silent?: readonly string[] };
    const done = t("{n} connections of {user} were ended.", { n: ended, user });
    told.good(silent ? `${done} ${t("No answer from {nodes}: try again.", { nodes: silent.join(", ") })}` : done);
  } catch (error) {
    told.bad(error);
  }
}

function kickButton(api: Api, user: string, told: Told, after: () => void): HTMLButtonElement {
  const label = t("Disconnect {user}", { user });
  return h("button", { type: "button", class: "small danger", "aria-label": label, title: label, onclick: () => void kick(api, user, told).then(after) }, t("Disconnect"));
}

export const people: Panel = {
  name: "people",
  title: "Who is online",
  open(root, api) {
    const told = createTold();
    const trouble = createTold();
    const prefix = h("input", { type: "search", autocomplete: "off", spellcheck: "false" });
    const over = options(h("select"), [["", t("any transport")], ...transports.map((name) => [name, transportName(name)] as const)]);
    const list = table("", [t("User"), t("Connected over"), t("Node"), t("For"), t("Last seen"), ""]);
    const empty = h("p", { class: "empty", hidden: true }, t("Nobody is connected."));
    const more = h("button", { type: "button", hidden: true, onclick: () => { limit += step; void load(); } }, t("Show more"));
    let limit = step;

    put(root,
      h("div", { class: "head" }, h("h2", {}, t("Who is online")), h("div", { class: "filters" }, field(t("User begins with"), prefix), field(t("Connected over"), over))),
      told.root, trouble.root, list.root, empty, more);

    function row(person: Person, now: number): HTMLElement {
      const here = now - Date.parse(person.last_seen) < 2000;
      return h("tr", {},
        h("th", { scope: "row" }, bdi(person.user)),
        h("td", {}, ...person.over.map((one) => h("span", { class: `chip ${one.transport}` }, transportName(one.transport), one.connections > 1 ? ` ×${one.connections}` : null))),
        h("td", {}, bdi([...new Set(person.over.flatMap((one) => one.nodes))].sort().join(", "))),
        h("td", {}, since(person.since, now)),
        h("td", {}, here ? t("now") : since(person.last_seen, now, true)),
        h("td", { class: "actions" },
          h("a", { class: "button", href: `#connections?user=${encodeURIComponent(person.user)}` }, t("Connections")), " ",
          kickButton(api, person.user, told, () => void load())));
    }

    async function load(): Promise<void> {
      try {
        const found = (await api.ask("GET", withQuery("v1/presence", { prefix: prefix.value, transport: over.value, limit: Math.min(limit, 1000) }))) as Presence;
        trouble.clear();
        const now = Date.parse(found.time); // by the server's clock, like the other times
        put(list.body, ...found.users.map((person) => row(person, now)));
        const crowd = transports.filter((name) => (found.transports[name]?.connections ?? 0) > 0)
          .map((name) => `${transportName(name)} ${number(found.transports[name]?.connections ?? 0)}`).join(" · ");
        const nodes = found.nodes.map((one) => `${one.node} ${number(one.connections)}`).join(" · ");
        put(list.caption, t("{n} users at {count} nodes", { n: number(found.total), count: number(found.nodes.length) }), crowd ? ` — ${crowd}` : "", ` — ${nodes}`);
        list.root.hidden = found.users.length === 0;
        empty.hidden = found.users.length > 0;
        more.hidden = found.next === null || limit >= 1000;
      } catch (error) {
        trouble.bad(error);
      }
    }

    for (const control of [prefix, over]) control.addEventListener("input", () => void load());
    return repeatedly(every, load);
  },
};

export const connections: Panel = {
  name: "connections",
  title: "Connections",
  open(root, api, query) {
    const told = createTold();
    const trouble = createTold();
    const user = h("input", { type: "search", autocomplete: "off", spellcheck: "false", value: query.get("user") ?? "" });
    const list = table("", [t("User"), t("Transport"), t("Since"), t("Connection"), t("Node"), { text: t("Delivered up to"), number: true }, ""]);
    const empty = h("p", { class: "empty", hidden: true }, t("There are no connections."));
    put(root,
      h("div", { class: "head" }, h("h2", {}, t("Connections")), h("div", { class: "filters" }, field(t("Of the user"), user))),
      told.root, trouble.root, list.root, empty,
      h("p", { class: "hint" }, t("Who polls, or looks at the page, has one line for each way until he has stayed away for a while. A position moves with the user's own entries: one below the newest is no sign of being late.")));
    /** A page that lists more lines than this is of no use to anybody. */
    const most = 500;

    async function load(): Promise<void> {
      try {
        const found = (await api.ask("GET", withQuery("v1/connections", { user: user.value }))) as { connections: readonly Connection[]; head: number };
        trouble.clear();
        put(list.body, ...found.connections.slice(0, most).map((one) => h("tr", {},
          h("th", { scope: "row" }, bdi(one.user)),
          h("td", {}, h("span", { class: `chip ${one.transport}` }, transportName(one.transport))),
          h("td", {}, moment(one.since)),
          h("td", {}, bdi(one.connection, true)),
          h("td", {}, bdi(one.node)),
          h("td", { class: "number" }, one.position === null ? t("unknown") : one.subscribed ? number(one.position) : t("not yet")),
          h("td", { class: "actions" }, kickButton(api, one.user, told, () => void load())))));
        const left = found.connections.length - most;
        put(list.caption, t("{n} connections; the newest entry is {head}", { n: number(found.connections.length), head: number(found.head) }),
          left > 0 ? ` — ${t("{n} more are not shown: name a user", { n: number(left) })}` : "");
        list.root.hidden = found.connections.length === 0;
        empty.hidden = found.connections.length > 0;
      } catch (error) {
        trouble.bad(error);
      }
    }

    user.addEventListener("change", () => void load());
    return repeatedly(every, load);
  },
};
