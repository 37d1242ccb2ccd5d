// Texts about a slate: what it is based on, and why it is simpler than usual; and texts about errors.

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
  similar: "Played by the same listeners, or alike in sound and tags",
  content: "Similar in sound and tags: this track has too few plays to compare listeners yet",
};

export const similarBasis = ({ strategy }) => SIMILAR_BASIS[strategy] ?? "";

const SOURCES = {
  repeat: "You know this one",
  popular: "Popular",
  trending: "Trending",
  new_releases: "New",
  content: "Similar sound",
  session: "Fits your session",
  sliders: "You asked for more",
  random: "Surprise",
};

/** The label of a track that came from another source than the rest of the slate. */
export const sourceLabel = (item, slate) => (item.source === slate.strategy ? "" : SOURCES[item.source] ?? "");

export function duration(ms) {
  if (!ms) return "";
  const seconds = Math.round(ms / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

const CONNECTION_ERRORS = {
  timeout: ["This is taking too long", "There was no answer in time. Try again in a moment."],
  offline: ["No connection", "You seem to be offline. Check your connection and try again."],
  unreachable: ["No connection", "musicrec cannot be reached right now. Check your connection and try again."],
  unreadable: ["Something went wrong", "The answer cannot be read. Try again in a moment."],
  rejected: ["Not counted", "This play cannot be counted."],
};

const HTTP_ERRORS = {
  401: ["Please sign in", "Sign out and in again to go on."],
  403: ["Not available", "This is not available to your account."],
  404: ["Not found", "This is not in the catalogue, or not any more."],
  503: ["Temporarily unavailable", "musicrec is not available right now. Try again in a moment."],
};

/** Return a title and a sentence for a listener, who cannot do anything with the server's own words. */
export function describeError({ kind, status, retryAfter }) {
  if (kind !== "http") return CONNECTION_ERRORS[kind] ?? ["Something went wrong", "Reload the page and try again."];
  if (status === 429) return ["Too much at once", `You are a little too fast. Try again ${waitingTime(retryAfter)}.`];
  if (HTTP_ERRORS[status]) return HTTP_ERRORS[status];
  if (status >= 500) return ["Something went wrong", "That was our fault. Try again in a moment."];
  return ["Something went wrong", "This cannot be done. Reload the page; if that does not help, tell us the id below."];
}

function waitingTime(seconds) {
  if (!seconds) return "in a moment";
  return seconds < 90 ? `in ${seconds} ${seconds === 1 ? "second" : "seconds"}` : `in ${Math.ceil(seconds / 60)} minutes`;
}

export function describeSignInError(error) {
  if (error.kind === "http" && error.status === 401) return "The username or the password is wrong.";
  if (error.kind === "http" && error.status === 400) return "Enter your username and your password.";
  return describeError(error)[1];
}
