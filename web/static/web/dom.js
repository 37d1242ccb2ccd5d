// Elements are built without markup: every string becomes a text node, so that no title can inject code.

const SVG = "http://www.w3.org/2000/svg";

export function el(tag, attributes = {}, ...children) {
  return addAttributes(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return addAttributes(document.createElementNS(SVG, tag), attributes, children);
}

function addAttributes(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

const ICONS = {
  check: "M5 12.5l4.5 4.5L19 7.5",
  refresh: "M19.5 12a7.5 7.5 0 1 1-2.4-5.5M19.5 4v4.5H15",
  back: "M15 5l-7 7 7 7",
  because: "M5 5v6a4 4 0 0 0 4 4h10M15 11l4 4-4 4",
};

export function icon(name) {
  return svg("svg", { class: `icon icon-${name}`, viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: ICONS[name] }));
}

export function hiddenText(text) {
  return el("span", { class: "visually-hidden" }, text);
}

/** Return an address of the catalogue if it is http(s), else null. */
export function webAddress(text) {
  if (!text || !URL.canParse(text, location.href)) return null;
  const address = new URL(text, location.href);
  return ["https:", "http:"].includes(address.protocol) ? address.href : null;
}

const announcer = document.getElementById("announcer");
let hideTimer = 0;

/** Show a message for a few seconds, which screen readers announce too. */
export function announce(text, tone = "good") {
  clearTimeout(hideTimer);
  announcer.dataset.tone = tone;
  announcer.textContent = text;
  hideTimer = setTimeout(() => { announcer.textContent = ""; }, 5000);
}
