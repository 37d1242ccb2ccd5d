// A picture for every track: its cover, or a sleeve generated from its id, always the same one.

import { el, svg, webAddress } from "./dom.js";

// Light and dark end of the gradient, colour of the motif.
const PALETTES = [
  ["#f0a35e", "#7a2a35", "#fbe0b5"],
  ["#dd7a5c", "#35284a", "#f6cda6"],
  ["#cf9a3c", "#34311f", "#f6e7bd"],
  ["#6fa897", "#183334", "#efdcae"],
  ["#c06a86", "#331b38", "#f7cab8"],
  ["#6685b5", "#1e2140", "#f4cf98"],
  ["#b7683f", "#2b1814", "#f3d2ae"],
  ["#8c9a52", "#262f1c", "#f4e6b8"],
  ["#967ab8", "#281d45", "#f5bfca"],
];

const MOTIFS = [grooves, sun, waves, bands, petals, eclipse, bars];

export function cover(track, className = "cover") {
  const frame = el("div", { class: className });
  const address = webAddress(track.cover_url);
  if (!address) frame.append(sleeve(track.track_id, track.title));
  else {
    const showSleeve = () => frame.replaceChildren(sleeve(track.track_id, track.title));
    frame.append(el("img", {
      error: showSleeve, alt: "", width: 300, height: 300, loading: "lazy", referrerpolicy: "no-referrer", src: address,
    }));
  }
  return frame;
}

/** The accent colour of a track's page. */
export const tint = (trackId) => PALETTES[seededRandom(trackId)(PALETTES.length)][0];

let sleeveCount = 0;

export function sleeve(trackId, title = "") {
  const roll = seededRandom(trackId);
  const [light, dark, ink] = PALETTES[roll(PALETTES.length)];
  const motif = MOTIFS[roll(MOTIFS.length)];
  const gradientId = `sleeve-${sleeveCount++}`;
  return svg("svg", { viewBox: "0 0 100 100", class: "sleeve", "aria-hidden": "true", focusable: "false" },
    svg("linearGradient", { id: gradientId, x1: 0.6 + roll(40) / 100, y1: 0, x2: roll(30) / 100, y2: 1 },
      svg("stop", { offset: 0, "stop-color": light }), svg("stop", { offset: 0.9, "stop-color": dark })),
    svg("rect", { width: 100, height: 100, fill: `url(#${gradientId})` }),
    svg("g", { fill: ink, stroke: ink, "stroke-width": 0 }, ...motif(roll, dark)),
    svg("text", { x: 8, y: 91, class: "initials", fill: "#fff" }, initials(title)));
}

function initials(title) {
  const words = title.match(/[\p{L}\p{N}]+/gu) ?? [];
  return words.slice(0, 2).map((word) => [...word][0]).join("").toLocaleUpperCase();
}

/** Random numbers from a seed (mulberry32), so that neighbouring ids do not look alike. */
function seededRandom(seed) {
  let state = Math.imul(seed + 1, 0x9e3779b1);
  return (sides) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % sides;
  };
}

const range = (n) => Array.from({ length: n }, (_, i) => i);
const circle = (cx, cy, r, rest = {}) => svg("circle", { cx, cy, r, ...rest });
const LINE = { fill: "none", "stroke-width": 1.4 };

function grooves(roll) {
  const [x, y] = [55 + roll(40), 10 + roll(35)];
  return [circle(x, y, 5), ...range(7).map((i) => circle(x, y, 13 + i * 8, { ...LINE, opacity: 0.75 - i * 0.09 }))];
}

function sun(roll, dark) {
  const [x, y, r] = [40 + roll(30), 40 + roll(8), 22 + roll(8)];
  const slats = range(5).map((i) => {
    const [drop, height] = [3 + i * 5.2, 1 + i * 0.7];
    const half = Math.sqrt(Math.max(0, r * r - drop * drop));
    return svg("rect", { x: x - half, y: y + drop, width: half * 2, height, fill: dark, opacity: 0.8 });
  });
  return [circle(x, y, r, { opacity: 0.92 }), ...slats];
}

function waves(roll) {
  const lift = 8 + roll(10);
  return range(7).map((i) => svg("path", {
    ...LINE, opacity: 0.9 - i * 0.1, d: `M-5 ${18 + i * 8}q 27 ${-lift - i} 55 0t 55 0`,
  }));
}

function bands(roll) {
  const turn = 25 + roll(30);
  return [svg("g", { transform: `rotate(${turn} 70 20)` },
    ...range(4).map((i) => svg("rect", { x: 30 + i * 17, y: -60, width: 9 - i * 1.6, height: 190, opacity: 0.75 - i * 0.15 })))];
}

function petals(roll) {
  return range(4).map((i) => {
    const [x, y] = [40 + (i % 2) * 26, 8 + (i >> 1) * 26];
    const corner = roll(2) ? `M${x} ${y}h26a26 26 0 0 1-26 26z` : `M${x + 26} ${y + 26}h-26a26 26 0 0 1 26-26z`;
    return svg("path", { d: corner, opacity: [0.9, 0.55, 0.7, 0.4][i] });
  });
}

function eclipse(roll, dark) {
  const [x, y, r] = [52 + roll(14), 36 + roll(10), 24];
  return [circle(x, y, r + 8, { opacity: 0.14 }), circle(x, y, r, { opacity: 0.95 }),
    circle(x - 9 - roll(6), y - 5, r - 3, { fill: dark, opacity: 0.88 })];
}

function bars(roll) {
  return range(7).map((i) => {
    const height = 12 + roll(46);
    return svg("rect", { x: 16 + i * 10.5, y: 70 - height, width: 5, height, rx: 2.5, opacity: 0.45 + (height / 58) * 0.5 });
  });
}
