// Signs, drawn by path. Severities differ by shape, so that nobody needs colours.
import type { Severity } from "../client/src/types.js";

const NS = "http://www.w3.org/2000/svg";

const paths = {
  bell: "M12 3a6 6 0 0 0-6 6c0 5-2 6.5-2 8h16c0-1.5-2-3-2-8a6 6 0 0 0-6-6zM9.8 20a2.3 2.3 0 0 0 4.4 0",
  sound: "M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11",
  silent: "M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM16 9.5l5 5M21 9.5l-5 5",
  check: "M5 12.5l4.5 4.5L19 7.5",
  read: "M2.5 12.5l4.5 4.5 9-9.5M12 17l.5.5L22 8",
  comment: "M4 5h16v11h-9l-4.5 3.5V16H4z",
  clock: "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM12 7.5V12l3.2 2",
  help: "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM9.7 9.7a2.4 2.4 0 1 1 3.6 2c-.9.6-1.3 1-1.3 2M12 16.4v.3",
  close: "M6 6l12 12M18 6L6 18",
  filter: "M4 6h16M7 12h10M10 18h4",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5L20 20",
  right: "M9.5 6l6 6-6 6",
  down: "M6 9.5l6 6 6-6",
  mail: "M4 6h16v12H4zM4 7l8 6 8-6",
  undo: "M9 7L4.5 11.5 9 16M5 11.5h9.5a4.5 4.5 0 0 1 0 9H12",
};
export type Icon = keyof typeof paths;

const shapes: Record<Severity, string> = {
  critical: "M5.3 1.8h5.4l3.5 3.5v5.4l-3.5 3.5H5.3l-3.5-3.5V5.3z",
  major: "M8 1.9l6.6 11.9H1.4z",
  minor: "M8 1.2L14.8 8 8 14.8 1.2 8z",
  warning: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2z",
  indeterminate: "M2.5 5.5h11v5h-11z",
};

function svg(size: number, path: string, kind: string): SVGSVGElement {
  const made = document.createElementNS(NS, "svg");
  made.setAttribute("viewBox", `0 0 ${size} ${size}`);
  made.setAttribute("class", kind);
  made.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(NS, "path");
  line.setAttribute("d", path);
  made.append(line);
  return made;
}

/** A sign for a button; it says nothing to screen readers. */
export const icon = (name: Icon): SVGSVGElement => svg(24, paths[name], "icon");

/** The shape of a severity: full while it wants an acknowledgement, else outlined. */
export const shape = (severity: Severity, full = true): SVGSVGElement => svg(16, shapes[severity] ?? shapes.indeterminate, full ? "shape full" : "shape");
