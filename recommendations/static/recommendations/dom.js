// Elements are built without markup: every string becomes a text node, so that no title can inject code.

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child || child === 0));
  return node;
}

/** Show a tooltip next to a point of its positioned parent, on the side where it fits. */
export function placeTip(tip, x, y) {
  tip.hidden = false;
  const { clientWidth: width, clientHeight: height } = tip.offsetParent ?? document.documentElement;
  const left = x + 16 + tip.offsetWidth > width ? x - 16 - tip.offsetWidth : x + 16;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, Math.min(y - tip.offsetHeight / 2, height - tip.offsetHeight - 4))}px`;
}
