// Shows the page that the address names, or the sign-in form.

import { onSessionEnd, signOut, isSignedIn } from "./api.js";
import { forgetPicks, savedScroll, picksView, signInView, trackView } from "./views.js";

const main = document.getElementById("view");
const signOutButton = document.getElementById("sign-out");
let page = new AbortController();

function show(notice = "") {
  page.abort(); // first, so that the page being left can save its scroll position
  page = new AbortController();
  document.title = "musicrec";
  signOutButton.hidden = !isSignedIn();
  const trackId = location.hash.match(/^#\/track\/(\d{1,15})$/)?.[1];
  const [nodes, scroll] = pageContent(trackId && Number(trackId), notice);
  main.replaceChildren(...nodes);
  window.scrollTo(0, scroll);
}

function pageContent(trackId, notice) {
  if (!isSignedIn()) return [signInView({ notice, onSignedIn: showAndFocus }), 0];
  if (trackId) return [trackView(page.signal, trackId), 0];
  const scroll = savedScroll();
  return [picksView(page.signal), scroll];
}

/** Move the focus into the new page, or a screen reader would not announce it. */
function showAndFocus(notice) {
  show(notice);
  (main.querySelector("h1") ?? main).focus({ preventScroll: true });
}

function signOutAndShow(notice = "") {
  signOut();
  forgetPicks();
  showAndFocus(notice);
}

history.scrollRestoration = "manual";
onSessionEnd(() => signOutAndShow("Your session has ended. Sign in again."));
signOutButton.addEventListener("click", () => signOutAndShow());
window.addEventListener("hashchange", () => showAndFocus());
show();
