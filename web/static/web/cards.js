// A list of tracks, each with a button that records a play.

import { SessionEnded, recordPlay } from "./api.js";
import { cover } from "./cover.js";
import { announce, el, icon } from "./dom.js";
import { describeError, duration, sourceLabel } from "./texts.js";

/** heading: the heading level of the cards; context: what the recorded plays name as their context. */
export function cardList(slate, { labelledBy, heading, context, afterPlay }) {
  return el("ul", { class: `cards cards-${context}`, role: "list", "aria-labelledby": labelledBy },
    ...slate.results.map((item) => card(item, slate, { heading, context, afterPlay })));
}

function card(item, slate, { heading, context, afterPlay }) {
  const why = item.explanation?.text;
  const details = [duration(item.duration_ms), sourceLabel(item, slate)].filter(Boolean).map((text) => ` · ${text}`).join("");
  return el("li", { class: why ? "card explained" : "card" },
    cover(item),
    el("div", { class: "card-words" },
      el(heading, { class: "card-title" }, el("a", { href: `#/track/${item.track_id}`, dir: "auto" }, item.title || "Untitled")),
      el("p", { class: "card-meta" }, el("bdi", {}, item.artist_name), el("span", {}, details))),
    why ? el("p", { class: "why" }, icon("because"), el("span", { dir: "auto" }, why)) : null,
    playedButton({ ...item, recommendation_id: slate.recommendation_id }, context, afterPlay));
}

export function playedButton(track, context, afterPlay) {
  const button = el("button", {
    class: "button tonal", type: "button", "aria-label": `Played it: ${track.title || "Untitled"}`, click: record,
  }, icon("check"), el("span", {}, "Played it"));

  async function record() {
    if (button.ariaDisabled === "true") return; // a disabled button would lose the keyboard focus
    button.ariaDisabled = "true";
    try {
      await recordPlay(track, context);
      announce(`Saved: you played “${track.title}”.`);
      afterPlay();
    } catch (error) {
      if (!(error instanceof SessionEnded)) announce(`Not saved. ${describeError(error)[1]}`, "bad");
    } finally {
      button.ariaDisabled = "false";
    }
  }

  return button;
}
