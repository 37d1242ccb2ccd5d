// Texts about a slate: what it is based on, and why it is simpler than usual.

const PICKS_BASIS = {
  personal: "From what you have been playing",
  early: "From your first plays and what is popular: play a few more to make this list yours",
  random: "A random selection: play a few tracks to make this list yours",
  none: "There are no tracks to recommend yet",
};

const POPULAR_BASIS = {
  cold_user: "Popular right now: play a few tracks to make this list yours",
  no_consent: "Popular right now: you asked us not to store what you play",
  no_model: "Popular right now: personal picks are still being prepared",
  model_unavailable: "Popular right now",
  foreign_model: "Popular right now",
  no_known_tracks: "Popular right now: the tracks you played are too new for us to build on",
  nothing_new: "Popular right now: you have already heard everything we would recommend",
};

export function picksBasis({ strategy, fallback_reason: reason }) {
  if (strategy === "popular") return POPULAR_BASIS[reason] ?? "Popular right now";
  return PICKS_BASIS[strategy] ?? "Picked for you";
}

export function degradedNotice({ degraded, fallback_reason: reason }) {
  if (!degraded) return "";
  return ["model_unavailable", "foreign_model"].includes(reason)
    ? "Personal picks are unavailable for the moment, so this is a simpler list."
    : "This is a simpler list than usual.";
}

const SIMILAR_BASIS = {
  similar: "Played by the same listeners",
  content: "Similar in sound and tags: this track has too few plays to compare listeners yet",
};

export const similarBasis = ({ strategy }) => SIMILAR_BASIS[strategy] ?? "";

const SOURCES = { popular: "Popular", content: "Similar sound", session: "Fits your session", random: "Surprise" };

/** The label of a track that came from another source than the rest of the slate. */
export const sourceLabel = (item, slate) => (item.source === slate.strategy ? "" : SOURCES[item.source] ?? "");

export function duration(ms) {
  if (!ms) return "";
  const seconds = Math.round(ms / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
