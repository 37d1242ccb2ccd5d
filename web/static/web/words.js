// What the page says about an answer: what it is based on, and why it is not what was hoped for.

const PICKS_BASIS = {
  personal: "From what you have been playing",
  early: "From your first plays, and what is popular: a few more and this becomes yours",
  random: "A walk through the catalogue: play a few tracks and this becomes yours",
  none: "There is nothing to pick from yet",
};

const POPULAR_BASIS = {
  cold_user: "Popular right now: play a few tracks and this becomes yours",
  no_consent: "Popular right now: you asked us to keep nothing of what you play",
  no_model: "Popular right now: personal picks are still being prepared",
  model_unavailable: "Popular right now",
  no_known_tracks: "Popular right now: what you played is too new to build on yet",
  nothing_new: "Popular right now: you have heard everything we would have picked",
};

export function picksBasis({ strategy, fallback_reason: reason }) {
  if (strategy === "popular") return POPULAR_BASIS[reason] ?? "Popular right now";
  return PICKS_BASIS[strategy] ?? "Picked for you";
}

export function degradedNotice({ degraded, fallback_reason: reason }) {
  if (!degraded) return "";
  return reason === "model_unavailable"
    ? "Personal picks are taking a short break, so this is a simpler list."
    : "This is a simpler list than usual.";
}

const SIMILAR_BASIS = {
  similar: "Played by the same listeners",
  content: "Close in sound and tags: too few plays to compare yet",
};

export const similarBasis = ({ strategy }) => SIMILAR_BASIS[strategy] ?? "";

const SOURCES = { popular: "Popular", content: "Similar sound", session: "Fits your session", random: "Surprise" };

/** A word for the pick that came another way than the page as a whole. */
export const sourceWord = (item, answer) => (item.source === answer.strategy ? "" : SOURCES[item.source] ?? "");

export function duration(ms) {
  if (!ms) return "";
  const seconds = Math.round(ms / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
