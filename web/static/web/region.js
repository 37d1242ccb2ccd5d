// A part of the page that is filled by one request: waiting, then the answer, nothing, or what went wrong.

import { SessionEnded } from "./api.js";
import { el, hiddenText } from "./dom.js";

const underway = new WeakMap();

/** Resolves to whether this very request filled the region: a newer one, or leaving the page, calls it off. */
export async function fill(region, pageSignal, { ask, draw, waiting, onError = () => {} }) {
  underway.get(region)?.abort();
  const turn = new AbortController();
  underway.set(region, turn);
  const signal = AbortSignal.any([pageSignal, turn.signal]);

  region.setAttribute("aria-busy", "true");
  // A list being refreshed stays readable; only an empty place shows the outline of what is to come.
  if (!region.querySelector(".card:not(.ghost)")) region.replaceChildren(waiting());
  let content;
  let filled = false;
  try {
    const answer = await ask(signal);
    if (signal.aborted) return false;
    content = draw(answer);
    filled = true;
  } catch (error) {
    if (signal.aborted || error instanceof SessionEnded) return false;
    const again = () => fill(region, pageSignal, { ask, draw, waiting, onError });
    content = errorPanel(error, again);
    onError(error);
  }
  replaceKeepingPlace(region, content);
  region.setAttribute("aria-busy", "false");
  return filled;
}

/** Whoever works by keyboard goes on from the card they were at, not from the top of the page. */
function replaceKeepingPlace(region, content) {
  const held = region.contains(document.activeElement);
  const place = [...region.querySelectorAll(".card")].findIndex((card) => card.contains(document.activeElement));
  region.replaceChildren(content);
  if (!held) return;
  const next = region.querySelectorAll(".card a")[place] ?? region.querySelector("a, button");
  next?.focus({ preventScroll: true });
}

export function emptyPanel(title, sentence) {
  return el("div", { class: "panel" }, el("p", { class: "panel-title" }, title), el("p", {}, sentence));
}

function errorPanel(error, again) {
  return el("div", { class: "panel panel-error", role: "alert" },
    el("p", { class: "panel-title" }, error.title || "Something went wrong"),
    error.detail && el("p", {}, error.detail),
    ...problemPoints(error),
    el("button", { class: "button strong", type: "button", click: again }, "Try again"),
    error.requestId && el("p", { class: "small-print" }, "Request id: ", el("code", {}, error.requestId)));
}

export function problemPoints({ errors = [] }) {
  return errors.map(({ pointer, detail }) =>
    el("p", { class: "small-print" }, pointer ? `${pointer.replace(/^[#/]+/, "")}: ${detail}` : detail));
}

export function ghostCards(count, context, sentence) {
  const ghosts = Array.from({ length: count }, () => el("div", { class: "card ghost" },
    el("div", { class: "cover" }), el("div", { class: "card-words" }, line("long"), line("short"))));
  return el("div", { class: "ghosts" }, hiddenText(sentence), el("div", { class: `cards cards-${context}`, "aria-hidden": "true" }, ...ghosts));
}

export function ghostTrack() {
  return el("div", { class: "track ghost" }, hiddenText("Loading the track…"),
    el("div", { class: "cover" }), el("div", { class: "track-words", "aria-hidden": "true" }, line("title"), line("short"), line("long")));
}

const line = (length) => el("div", { class: `line line-${length}` });
