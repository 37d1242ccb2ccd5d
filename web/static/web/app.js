// Which page is on the screen, and for whom.

import { onSessionEnd, signOut, signedIn } from "./api.js";
import { forgetPicks, keptScroll, picksView, signInView, trackView } from "./views.js";

const main = document.getElementById("view");
const signOutButton = document.getElementById("sign-out");
let page = new AbortController();

function show(notice = "") {
  page.abort(); // first, so that the page leaving can note where it was
  page = new AbortController();
  document.title = "musicrec";
  signOutButton.hidden = !signedIn();
  const trackId = location.hash.match(/^#\/track\/(\d{1,15})$/)?.[1];
  const [nodes, scroll] = content(trackId && Number(trackId), notice);
  main.replaceChildren(...nodes);
  window.scrollTo(0, scroll);
}

function content(trackId, notice) {
  if (!signedIn()) return [signInView({ notice, onSignedIn: arrive }), 0];
  if (trackId) return [trackView(page.signal, trackId), 0];
  const scroll = keptScroll();
  return [picksView(page.signal), scroll];
}

/** A page changed under a screen reader is silent unless the focus moves into it. */
function arrive(notice) {
  show(notice);
  (main.querySelector("h1") ?? main).focus({ preventScroll: true });
}

function leave(notice = "") {
  signOut();
  forgetPicks();
  arrive(notice);
}

history.scrollRestoration = "manual";
onSessionEnd(() => leave("Your session has ended. Sign in again."));
signOutButton.addEventListener("click", () => leave());
window.addEventListener("hashchange", () => arrive());
show();
