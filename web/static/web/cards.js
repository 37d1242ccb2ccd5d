// A list of tracks, and the one thing a listener can do with each.

import { SessionEnded, recordPlay } from "./api.js";
import { cover } from "./cover.js";
import { announce, el, icon } from "./dom.js";
import { duration, sourceWord } from "./words.js";

/** `heading` is the level below the list's own, `context` where the plays are said to come from. */
export function cardList(answer, { labelledBy, heading, context, afterPlay }) {
  return el("ul", { class: `cards cards-${context}`, role: "list", "aria-labelledby": labelledBy },
    ...answer.results.map((item) => card(item, answer, { heading, context, afterPlay })));
}

function card(item, answer, { heading, context, afterPlay }) {
  const why = item.explanation?.text;
  const rest = [duration(item.duration_ms), sourceWord(item, answer)].filter(Boolean).map((word) => ` · ${word}`).join("");
  return el("li", { class: why ? "card explained" : "card" },
    cover(item),
    el("div", { class: "card-words" },
      el(heading, { class: "card-title" }, el("a", { href: `#/track/${item.track_id}`, dir: "auto" }, item.title || "Untitled")),
      el("p", { class: "card-meta" }, el("bdi", {}, item.artist_name), el("span", {}, rest))),
    why ? el("p", { class: "why" }, icon("because"), el("span", { dir: "auto" }, why)) : null,
    playedButton({ ...item, recommendation_id: answer.recommendation_id }, context, afterPlay));
}

export function playedButton(track, context, afterPlay) {
  const button = el("button", {
    class: "button tonal", type: "button", "aria-label": `Played it: ${track.title || "Untitled"}`, click: press,
  }, icon("check"), el("span", {}, "Played it"));

  async function press() {
    if (button.ariaDisabled === "true") return; // disabled itself would throw the keyboard's focus away
    button.ariaDisabled = "true";
    try {
      await recordPlay(track, context);
      announce(`Saved: you played “${track.title}”.`);
      afterPlay();
    } catch (error) {
      if (!(error instanceof SessionEnded)) announce(`Not saved. ${error.message}`, "bad");
    } finally {
      button.ariaDisabled = "false";
    }
  }

  return button;
}
