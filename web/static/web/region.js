// A region of the page that one request fills: a placeholder, then the content, or an error. Content stays if a refresh fails.

import { SessionEnded } from "./api.js";
import { el, hiddenText } from "./dom.js";
import { describeError } from "./texts.js";

const pendingRequests = new WeakMap();
const filledRegions = new WeakSet();

export function putContent(region, content) {
  region.replaceChildren(content);
  filledRegions.add(region);
}

/** Resolves to whether this request filled the region: a newer one, or leaving the page, cancels it. */
export async function fill(region, pageSignal, { load, render, placeholder, onError = () => {} }) {
  pendingRequests.get(region)?.abort();
  const controller = new AbortController();
  pendingRequests.set(region, controller);
  const signal = AbortSignal.any([pageSignal, controller.signal]);

  region.setAttribute("aria-busy", "true");
  // Content that is being refreshed stays readable.
  if (!filledRegions.has(region)) region.replaceChildren(placeholder());
  try {
    const data = await load(signal);
    if (signal.aborted) return false;
    replaceKeepingFocus(region, render(data));
    filledRegions.add(region);
    return true;
  } catch (error) {
    if (signal.aborted || error instanceof SessionEnded) return false;
    const retry = () => fill(region, pageSignal, { load, render, placeholder, onError });
    if (filledRegions.has(region)) showRefreshError(region, error, retry);
    else {
      replaceKeepingFocus(region, errorPanel(describeError(error), error, retry));
      onError(error);
    }
    return false;
  } finally {
    if (!signal.aborted) region.setAttribute("aria-busy", "false");
  }
}

function showRefreshError(region, error, retry) {
  const panel = errorPanel(["This could not be refreshed", describeError(error)[1]], error, retry);
  const earlier = region.querySelector(":scope > .panel-error");
  const hadFocus = earlier?.contains(document.activeElement);
  if (earlier) earlier.replaceWith(panel);
  else region.prepend(panel);
  if (hadFocus) panel.querySelector("button")?.focus({ preventScroll: true });
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

function errorPanel([title, sentence], error, retry) {
  return el("div", { class: "panel panel-error", role: "alert" },
    el("p", { class: "panel-title" }, title),
    el("p", {}, sentence),
    error.canRetry ? el("button", { class: "button strong", type: "button", click: retry }, "Try again") : null,
    error.requestId && el("p", { class: "small-print" }, "Request id: ", el("code", {}, error.requestId)));
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
