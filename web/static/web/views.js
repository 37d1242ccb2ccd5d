// The three pages. Each returns its elements at once and then loads its data; its signal cancels pending requests.

import * as api from "./api.js";
import { cardList, playedButton } from "./cards.js";
import { cover, sleeve, tint } from "./cover.js";
import { announce, el, icon, webAddress } from "./dom.js";
import { emptyPanel, fill, placeholderCards, placeholderTrack, putContent } from "./region.js";
import { degradedNotice, describeSignInError, duration, picksBasis, similarBasis } from "./texts.js";

export function signInView({ notice, onSignedIn }) {
  const alert = el("div", { class: "form-alert", role: "alert", id: "sign-in-alert" }, notice);
  const username = field("username", "Username", { type: "text", autocomplete: "username", autocapitalize: "none", spellcheck: "false" });
  const password = field("password", "Password", { type: "password", autocomplete: "current-password" });
  const button = el("button", { class: "button strong wide", type: "submit" }, "Sign in");
  const form = el("form", { class: "sign-in-form", "aria-labelledby": "page-title", submit: submitForm },
    alert, username.row, password.row, button);

  async function submitForm(event) {
    event.preventDefault();
    setBusy(true);
    try {
      await api.signIn(username.input.value.trim(), password.input.value);
      onSignedIn();
    } catch (error) {
      setBusy(false);
      alert.replaceChildren(describeSignInError(error));
      password.input.select();
    }
  }

  function setBusy(busy) {
    if (busy) alert.replaceChildren();
    form.setAttribute("aria-busy", String(busy));
    button.disabled = busy;
    button.textContent = busy ? "Signing in…" : "Sign in";
  }

  return [el("div", { class: "sign-in" },
    el("div", { class: "fan", "aria-hidden": "true" }, ...[3, 25, 12].map((seed) => el("div", { class: "cover" }, sleeve(seed)))),
    el("h1", { id: "page-title", tabindex: "-1" }, "Sign in"),
    el("p", { class: "basis" }, "Music that follows what you play."),
    form)];
}

function field(name, label, attributes) {
  const input = el("input", { id: name, name, required: true, "aria-describedby": "sign-in-alert", ...attributes });
  return { input, row: el("div", { class: "field" }, el("label", { for: name }, label), input) };
}

// The last shown slate and its scroll position, for the way back from a track. A play makes it outdated: it is shown
// until a newer one has arrived.
let saved = null;
export const forgetPicks = () => { saved = null; };
const markPicksOutdated = () => { if (saved) saved.outdated = true; };
export const savedScroll = () => saved?.scroll ?? 0;

export function picksView(signal) {
  const basis = el("p", { class: "basis" });
  const notice = el("p", { class: "notice", hidden: true });
  const region = el("section", { "aria-labelledby": "page-title" });
  const refresh = el("button", { class: "button quiet", type: "button", click: refreshPicks }, icon("refresh"), "Refresh");

  function render(slate) {
    saved = { slate, scroll: 0, outdated: false };
    basis.textContent = picksBasis(slate);
    notice.textContent = degradedNotice(slate);
    notice.hidden = !slate.degraded;
    if (slate.results.length === 0) {
      return emptyPanel("Nothing here yet", "There are no tracks to recommend. Come back when the catalogue has some music in it.");
    }
    return cardList(slate, { labelledBy: "page-title", heading: "h2", context: "picks", afterPlay: () => { markPicksOutdated(); load(); } });
  }

  const load = () => fill(region, signal, {
    load: api.fetchPicks,
    render,
    placeholder: () => placeholderCards(6, "picks", "Loading your picks…"),
  });

  async function refreshPicks() {
    if (await load()) announce("Your picks are up to date.");
  }

  if (saved) {
    const { slate, scroll, outdated } = saved;
    putContent(region, render(slate));
    saved = { slate, scroll, outdated };
    if (outdated) load();
  } else load();
  signal.addEventListener("abort", () => { if (saved) saved.scroll = window.scrollY; });

  return [
    el("div", { class: "page-head" }, el("h1", { id: "page-title", tabindex: "-1" }, "AI Picks for You"), refresh, basis),
    notice, region];
}

export function trackView(signal, trackId) {
  const main = el("section", { class: "track-region", "aria-label": "Track" });
  const basis = el("p", { class: "basis" });
  const list = el("section", { "aria-labelledby": "similar-title" });
  const similar = el("div", { class: "similar" }, el("h2", { id: "similar-title" }, "Similar Tracks"), basis, list);

  fill(main, signal, {
    load: (trackSignal) => api.fetchTrack(trackId, trackSignal),
    render: (track) => { similar.hidden = false; document.title = `${track.title} · musicrec`; return trackDetails(track); },
    placeholder: placeholderTrack,
    onError: () => { similar.hidden = true; }, // one error message is enough
  });
  fill(list, signal, {
    load: (listSignal) => api.fetchSimilar(trackId, listSignal),
    render: (slate) => {
      basis.textContent = similarBasis(slate);
      if (slate.results.length === 0) return emptyPanel("Nothing similar yet", "We have not found a track like this one so far.");
      return cardList(slate, { labelledBy: "similar-title", heading: "h3", context: "similar", afterPlay: markPicksOutdated });
    },
    placeholder: () => placeholderCards(4, "similar", "Loading similar tracks…"),
  });

  const page = el("div", { class: "track-page" },
    el("a", { class: "button quiet back", href: "#/" }, icon("back"), "Back to picks"), main, similar);
  page.style.setProperty("--tint", tint(trackId));
  return [page];
}

function trackDetails(track) {
  const preview = webAddress(track.preview_url);
  return el("article", { class: "track" },
    cover(track, "cover cover-big"),
    el("div", { class: "track-words" },
      el("h1", { id: "page-title", tabindex: "-1", dir: "auto" }, track.title || "Untitled"),
      el("p", { class: "track-artist", dir: "auto" }, track.artist_name),
      facts({
        Album: track.album_title, Year: track.year, Length: duration(track.duration_ms),
        Tempo: track.tempo ? `${Math.round(track.tempo)} BPM` : null,
      }),
      track.tags.length ? el("ul", { class: "chips", role: "list", "aria-label": "Tags" },
        ...track.tags.map((tag) => el("li", { class: `chip chip-${tag.kind}`, dir: "auto" }, tag.name))) : null,
      preview ? player(preview, track.title) : null,
      playedButton(track, "track", markPicksOutdated)));
}

function facts(pairs) {
  const known = Object.entries(pairs).filter(([, value]) => value);
  return known.length === 0 ? null : el("dl", { class: "facts" },
    ...known.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", { dir: "auto" }, value))));
}

function player(address, title) {
  const failed = () => audio.replaceWith(el("p", { class: "small-print" }, "The preview cannot be played right now."));
  const audio = el("audio", { controls: true, preload: "none", "aria-label": `Preview of ${title}`, error: failed, src: address });
  return audio;
}
