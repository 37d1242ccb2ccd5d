// The whole conversation with the server: one function a path, and one shape of error.

const TOKEN = "musicrec.token";
const REFRESH = "musicrec.refresh";
const VISIT = "musicrec.visit";
const PATIENCE_MS = 15_000;

/** An RFC 9457 problem, or our own words where no problem document arrived. */
export class ApiError extends Error {
  constructor({ title, detail, status = 0, errors = [], request_id: requestId = "" }) {
    super(detail || title);
    Object.assign(this, { title, detail, status, errors, requestId });
  }
}

/** Thrown after the page has already gone back to the sign-in: whoever catches it has nothing left to do. */
export class SessionEnded extends Error {}

let whenSessionEnds = () => {};
export const onSessionEnd = (callback) => { whenSessionEnds = callback; };

const token = () => sessionStorage.getItem(TOKEN);
export const signedIn = () => token() !== null;

export async function signIn(username, password) {
  keep(await request("/token", { body: { username, password } }));
  sessionStorage.setItem(VISIT, uuid());
}

function keep({ access, refresh }) {
  sessionStorage.setItem(TOKEN, access);
  sessionStorage.setItem(REFRESH, refresh);
}

export function signOut() {
  const refresh = sessionStorage.getItem(REFRESH);
  // The page does not wait for it: without a net the tokens end by themselves.
  if (refresh) request("/token/revoke", { body: { refresh }, keepalive: true }).catch(() => {});
  forget();
}

function forget() {
  sessionStorage.removeItem(TOKEN);
  sessionStorage.removeItem(REFRESH);
  sessionStorage.removeItem(VISIT);
  unsent.clear();
}

export const picks = (signal) => authorized("/recommend/user/me/ml?limit=20&explain=true&placement=picks", { signal });
export const similar = (trackId, signal) => authorized(`/recommend/similar/${trackId}?limit=10&placement=track`, { signal });
export const track = (trackId, signal) => authorized(`/tracks/${trackId}`, { signal });

// Plays whose arrival is unknown, by track: pressing again sends the same event_id, so that it counts once.
const unsent = new Map();

export async function recordPlay(played, context) {
  const event = unsent.get(played.track_id) ?? playEnd(played, context);
  unsent.set(event.track_id, event);
  let receipt;
  try {
    receipt = await authorized("/events", { body: [event], keepalive: true });
  } catch (error) {
    if (error.status >= 400 && error.status < 500) unsent.delete(event.track_id);
    throw error;
  }
  unsent.delete(event.track_id);
  const [refused] = receipt.rejected;
  if (refused) throw new ApiError({ title: "Not counted", detail: refused.detail });
}

const playEnd = (played, context) => ({
  event_id: uuid(),
  type: "play_end",
  track_id: played.track_id,
  occurred_at: new Date().toISOString(),
  ms_played: played.duration_ms ?? 180_000,
  session_id: sessionStorage.getItem(VISIT),
  device: "web",
  context,
  // Which answer it came from, so that the service can tell what came of it.
  recommendation_id: played.recommendation_id ?? null,
  position: played.position ?? null,
});

async function authorized(path, options) {
  const bearer = token();
  try {
    return await request(path, { ...options, bearer });
  } catch (error) {
    if (error.status !== 401) throw error;
    // A late refusal of an earlier token says nothing about the one signed in with since.
    if (bearer !== token() || await renewed()) {
      if (token()) return request(path, { ...options, bearer: token() });
    } else {
      forget();
      whenSessionEnds();
    }
    throw new SessionEnded(error.message);
  }
}

let renewing = null;

/** Whether another token was to be had. Requests refused at the same time ask once: a refresh token is good for one use. */
function renewed() {
  renewing ??= renew().finally(() => { renewing = null; });
  return renewing;
}

async function renew() {
  const refresh = sessionStorage.getItem(REFRESH);
  if (!refresh) return false;
  try {
    keep(await request("/token/refresh", { body: { refresh } }));
    return true;
  } catch (error) {
    if (error.status === 401) return false;
    throw error;
  }
}

async function request(path, { body, bearer, signal, keepalive = false }) {
  const headers = { Accept: "application/json, application/problem+json" };
  if (body) headers["Content-Type"] = "application/json";
  if (bearer) headers.Authorization = `Bearer ${bearer}`;
  const deadline = AbortSignal.timeout(PATIENCE_MS);
  try {
    const response = await fetch(path, {
      method: body ? "POST" : "GET",
      headers,
      body: body && JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
      keepalive,
      cache: "no-cache", // always ask; the ETag makes an unchanged answer cheap
      credentials: "omit", // the token is the only credential, whatever cookies the admin has left here
    });
    return answerOf(response, await response.text());
  } catch (error) {
    if (error instanceof ApiError || signal?.aborted) throw error;
    throw unreachable(error);
  }
}

function answerOf(response, text) {
  const answer = parsed(text);
  if (response.ok && answer !== null) return answer;
  throw new ApiError({
    title: "Something went wrong",
    detail: `The server gave an answer this page cannot read (${response.status}).`,
    request_id: response.headers.get("X-Request-ID") ?? "",
    ...(response.ok ? {} : answer),
    status: response.status,
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function unreachable(error) {
  if (error.name === "TimeoutError") {
    return new ApiError({ title: "This is taking too long", detail: "The server has not answered in time." });
  }
  const detail = navigator.onLine
    ? "musicrec cannot be reached right now. Check your connection and try again."
    : "You seem to be offline. Check your connection and try again.";
  return new ApiError({ title: "No connection", detail });
}

function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  // Browsers keep randomUUID from plain http, where a phone meets a laptop on the same network.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
