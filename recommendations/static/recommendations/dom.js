// Elements without markup: every string becomes a text node, so that no title can ever become code.

const SVG = "http://www.w3.org/2000/svg";

export const el = (tag, attributes, ...children) => furnish(document.createElement(tag), attributes, children);
export const svg = (tag, attributes, ...children) => furnish(document.createElementNS(SVG, tag), attributes, children);

function furnish(node, attributes = {}, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child || child === 0));
  return node;
}

/** Puts a tip beside a point of its positioned parent, where there is room for it. */
export function placeTip(tip, x, y) {
  tip.hidden = false;
  const { clientWidth: width, clientHeight: height } = tip.offsetParent ?? document.documentElement;
  const left = x + 16 + tip.offsetWidth > width ? x - 16 - tip.offsetWidth : x + 16;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, Math.min(y - tip.offsetHeight / 2, height - tip.offsetHeight - 4))}px`;
}
