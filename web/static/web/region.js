// A region of the page that one request fills: a placeholder, then the content, or an error with a retry button.

import { SessionEnded } from "./api.js";
import { el, hiddenText } from "./dom.js";

const pendingRequests = new WeakMap();

/** Resolves to whether this request filled the region: a newer one, or leaving the page, cancels it. */
export async function fill(region, pageSignal, { load, render, placeholder, onError = () => {} }) {
  pendingRequests.get(region)?.abort();
  const controller = new AbortController();
  pendingRequests.set(region, controller);
  const signal = AbortSignal.any([pageSignal, controller.signal]);

  region.setAttribute("aria-busy", "true");
  // A list being refreshed stays readable; only an empty region shows placeholders.
  if (!region.querySelector(".card:not(.ghost)")) region.replaceChildren(placeholder());
  let content;
  let filled = false;
  try {
    const data = await load(signal);
    if (signal.aborted) return false;
    content = render(data);
    filled = true;
  } catch (error) {
    if (signal.aborted || error instanceof SessionEnded) return false;
    const retry = () => fill(region, pageSignal, { load, render, placeholder, onError });
    content = errorPanel(error, retry);
    onError(error);
  }
  replaceKeepingFocus(region, content);
  region.setAttribute("aria-busy", "false");
  return filled;
}

/** Keep the keyboard focus on the same card, instead of at the top of the page. */
function replaceKeepingFocus(region, content) {
  const hadFocus = region.contains(document.activeElement);
  const focusedIndex = [...region.querySelectorAll(".card")].findIndex((card) => card.contains(document.activeElement));
  region.replaceChildren(content);
  if (!hadFocus) return;
  const next = region.querySelectorAll(".card a")[focusedIndex] ?? region.querySelector("a, button");
  next?.focus({ preventScroll: true });
}

export function emptyPanel(title, sentence) {
  return el("div", { class: "panel" }, el("p", { class: "panel-title" }, title), el("p", {}, sentence));
}

function errorPanel(error, retry) {
  return el("div", { class: "panel panel-error", role: "alert" },
    el("p", { class: "panel-title" }, error.title || "Something went wrong"),
    error.detail && el("p", {}, error.detail),
    ...problemPoints(error),
    el("button", { class: "button strong", type: "button", click: retry }, "Try again"),
    error.requestId && el("p", { class: "small-print" }, "Request id: ", el("code", {}, error.requestId)));
}

export function problemPoints({ errors = [] }) {
  return errors.map(({ pointer, detail }) =>
    el("p", { class: "small-print" }, pointer ? `${pointer.replace(/^[#/]+/, "")}: ${detail}` : detail));
}

export function placeholderCards(count, context, sentence) {
  const cards = Array.from({ length: count }, () => el("div", { class: "card ghost" },
    el("div", { class: "cover" }), el("div", { class: "card-words" }, line("long"), line("short"))));
  return el("div", { class: "ghosts" }, hiddenText(sentence), el("div", { class: `cards cards-${context}`, "aria-hidden": "true" }, ...cards));
}

export function placeholderTrack() {
  return el("div", { class: "track ghost" }, hiddenText("Loading the track…"),
    el("div", { class: "cover" }), el("div", { class: "track-words", "aria-hidden": "true" }, line("title"), line("short"), line("long")));
}

const line = (length) => el("div", { class: `line line-${length}` });
