// Small tools to build the page. Text becomes text, never markup.

export const byId = (id) => document.getElementById(id);

// el makes an element: el("td", { class: "what" }, "text", child, …). Children
// that are null are left out.
export function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) if (value !== null) node.setAttribute(key, value);
  node.append(...children.filter((child) => child !== null && child !== ""));
  return node;
}

// setText changes a text only where it differs, so that it is not told twice.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// show shows or hides.
export function show(node, visible) {
  node.hidden = !visible;
}

const brief = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dated = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

// time shows a time in UTC: of today by the clock, else with its date.
export function time(text) {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return el("span", null, String(text));
  const iso = at.toISOString();
  const today = iso.slice(0, 10) === new Date().toISOString().slice(0, 10);
  return el("time", { datetime: iso, title: `${iso.slice(0, 10)} ${iso.slice(11, 23)} UTC` }, (today ? brief : dated).format(at));
}
