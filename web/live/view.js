// The page: it draws what the inbox and the link say.
import { SEVERITIES } from "./inbox.js";
import { byId, el, setText, show } from "./dom.js";
import { draw, severity } from "./row.js";

const MOST_ROWS = 1000;

const GAPS = {
  expired: ["You have been away for longer than entries are kept.",
    "What came and went meanwhile cannot be shown any more. The list starts over with everything that is open now."],
  epoch: ["The server has lost the end of its log.",
    "Some of what this page showed last may be gone for good. The list starts over with everything that is open now."],
  membership: ["Your groups have changed.",
    "What you may see is not what it was. The list starts over with everything that is open for you now."],
  compacted: ["Too much has happened meanwhile to show every change.",
    "Each alarm that changed is here in its newest state. None is missing."],
};

// createTable keeps the rows of a table as they are told; rows that stay are not
// touched, so that focus, selection and scrolling stay as well.
function createTable(body, acknowledge) {
  const drawn = new Map(); // key → { tr, row }
  return (rows) => {
    const keys = new Set(rows.map((row) => row.key));
    for (const [key, { tr }] of drawn) {
      if (!keys.has(key)) {
        tr.remove();
        drawn.delete(key);
      }
    }
    let next = body.firstChild;
    for (const row of rows) {
      let known = drawn.get(row.key);
      if (!known) drawn.set(row.key, (known = { tr: el("tr"), row: null }));
      if (known.row !== row) {
        draw(known.tr, row, acknowledge);
        known.row = row;
      }
      if (known.tr === next) next = next.nextSibling;
      else body.insertBefore(known.tr, next);
    }
  };
}

function createCounters(list) {
  const cells = SEVERITIES.map((word) => {
    const number = el("b", null, "0");
    const item = el("li", { class: word }, number, " ", severity(word));
    list.append(item);
    return { word, number, item };
  });
  return (counts) => {
    let open = 0;
    for (const { word, number, item } of cells) {
      const n = counts.active[word] || 0;
      open += n;
      setText(number, String(n));
      item.classList.toggle("some", n > 0);
    }
    setText(byId("unread"), String(counts.unread));
    byId("unread").parentElement.classList.toggle("some", counts.unread > 0);
    show(byId("read-all"), counts.unread > 0);
    return open;
  };
}

function title(counts) {
  const words = ["critical", "major"].filter((word) => counts.active[word] > 0).map((word) => `${counts.active[word]} ${word}`);
  if (counts.unread > 0) words.push(`${counts.unread} unread`);
  return [...words, "Tocsin"].join(" · ");
}

function stateText({ name, transport, delay }) {
  switch (name) {
    case "live": return `${transport.says} · ${transport.name}`;
    case "waiting": return delay < 1500 ? "Reconnecting" : `Reconnecting in ${Math.round(delay / 1000)} s · ${transport.name}`;
    case "reconnecting": return `Reconnecting · ${transport.name}`;
    case "superseded": return "Taken over by another window";
    default: return `Connecting · ${transport ? transport.name : ""}`;
  }
}

export function createView(inbox, { acknowledge }) {
  const drawOpen = createTable(byId("open-rows"), acknowledge);
  const drawDone = createTable(byId("done-rows"), acknowledge);
  const drawCounts = createCounters(byId("counters"));
  let begun = false;
  let timer = 0;

  function drawAll() {
    timer = 0;
    const counts = inbox.counts();
    const open = drawCounts(counts);
    const { flood } = counts;
    show(byId("flood"), flood !== null);
    if (flood) setText(byId("flood-text"), `More comes than anybody can look at. ${flood.quiet} minor and warning alarms have come quietly.`);
    const rows = inbox.sorted(false);
    const done = inbox.sorted(true);
    drawOpen(rows.slice(0, MOST_ROWS));
    drawDone(done);
    show(byId("open"), rows.length > 0);
    show(byId("done"), done.length > 0);
    show(byId("empty"), begun && rows.length === 0);
    setText(byId("empty"), "Nothing is open. All is quiet.");
    const listed = rows.length > MOST_ROWS ? `The newest ${MOST_ROWS} of ${rows.length}` : `${rows.length}`;
    setText(byId("open-caption"), `${listed} listed, newest first; ${open} open. Times are UTC.`);
    setText(byId("done-caption"), `${done.length} done while you watched`);
    setText(document.querySelector("title"), title(counts));
  }

  return {
    // changed draws soon, so that a flood is drawn now and then and not each time.
    changed() {
      if (!timer) timer = setTimeout(drawAll, 40);
    },
    state(now) {
      begun = begun || now.name === "live";
      byId("status").dataset.state = now.name === "live" ? "live" : now.name === "superseded" ? "superseded" : "waiting";
      setText(byId("state"), stateText(now));
      show(byId("take-back"), now.name === "superseded");
      this.changed();
    },
    gap(gap) {
      const [heading, text] = GAPS[gap.reason] || ["Something is missing.", "The list starts over with everything that is open now."];
      setText(byId("gap-title"), `Gap: ${heading}`);
      setText(byId("gap-text"), text);
      setText(byId("gap-reason"), `(${gap.reason})`);
      show(byId("gap"), true);
    },
    trouble(text) {
      setText(byId("trouble-text"), text);
      show(byId("trouble"), text !== "");
    },
    // aloud is for those who hear the page.
    aloud: (text) => setText(byId("aloud"), text),
  };
}
