// All requests to the server: one function per endpoint, and one kind of error.

const TOKEN = "musicrec.token";
const REFRESH = "musicrec.refresh";
const VISIT = "musicrec.visit";
const TIMEOUT_MS = 15_000;

/**
 * A request that failed. What the server wrote is for developers, so the page shows texts of its own (`describeError`).
 *
 * kind: "http" for an error status, "unreadable" for a response that is not JSON, "rejected" for an event that was not
 * stored, "timeout", "offline" or "unreachable". retryAfter: seconds that the server asks to wait, if it does.
 */
export class ApiError extends Error {
  constructor(kind, { status = 0, requestId = "", retryAfter = 0 } = {}) {
    super(`${kind} ${status}`);
    Object.assign(this, { kind, status, requestId, retryAfter });
  }

  /** Whether the same request may succeed later: not if the server refuses it as it is. */
  get canRetry() {
    if (this.kind === "http") return this.status >= 500 || [408, 425, 429].includes(this.status);
    return this.kind !== "rejected";
  }
}

/** Thrown after the page has returned to the sign-in form, so there is nothing left to show. */
export class SessionEnded extends Error {}

let sessionEndListener = () => {};
export const onSessionEnd = (callback) => { sessionEndListener = callback; };

const token = () => sessionStorage.getItem(TOKEN);
export const isSignedIn = () => token() !== null;

export async function signIn(username, password) {
  storeTokens(await request("/token", { body: { username, password } }));
  sessionStorage.setItem(VISIT, uuid());
}

function storeTokens({ access, refresh }) {
  sessionStorage.setItem(TOKEN, access);
  sessionStorage.setItem(REFRESH, refresh);
}

export function signOut() {
  const refresh = sessionStorage.getItem(REFRESH);
  // The page does not wait for the answer: offline, the tokens simply expire.
  if (refresh) request("/token/revoke", { body: { refresh }, keepalive: true }).catch(() => {});
  clearSession();
}

function clearSession() {
  sessionStorage.removeItem(TOKEN);
  sessionStorage.removeItem(REFRESH);
  sessionStorage.removeItem(VISIT);
  unconfirmedPlays.clear();
}

export const fetchPicks = (signal) => authorized("/recommend/user/me/ml?limit=20&explain=true&placement=picks", { signal });
export const fetchSimilar = (trackId, signal) => authorized(`/recommend/similar/${trackId}?limit=10&placement=track`, { signal });
export const fetchTrack = (trackId, signal) => authorized(`/tracks/${trackId}`, { signal });

// Plays whose delivery is uncertain, by track: a second press sends the same event_id, so that the play counts once.
const unconfirmedPlays = new Map();

export async function recordPlay(track, context) {
  const event = unconfirmedPlays.get(track.track_id) ?? playEndEvent(track, context);
  unconfirmedPlays.set(event.track_id, event);
  let receipt;
  try {
    receipt = await authorized("/events", { body: [event], keepalive: true });
  } catch (error) {
    if (!error.canRetry) unconfirmedPlays.delete(event.track_id);
    throw error;
  }
  unconfirmedPlays.delete(event.track_id);
  if (receipt.rejected.length > 0) throw new ApiError("rejected");
}

const playEndEvent = (track, context) => ({
  event_id: uuid(),
  type: "play_end",
  track_id: track.track_id,
  occurred_at: new Date().toISOString(),
  ms_played: track.duration_ms ?? 180_000,
  session_id: sessionStorage.getItem(VISIT),
  device: "web",
  context,
  // The slate it came from, so that the service can measure its engagement.
  recommendation_id: track.recommendation_id ?? null,
  position: track.position ?? null,
});

async function authorized(path, options) {
  const bearer = token();
  try {
    return await request(path, { ...options, bearer });
  } catch (error) {
    if (error.status !== 401) throw error;
    // A late 401 for an earlier token says nothing about the current one.
    if (bearer !== token() || await renewSession()) {
      if (token()) return request(path, { ...options, bearer: token() });
    } else {
      clearSession();
      sessionEndListener();
    }
    throw new SessionEnded(error.message);
  }
}

let pendingRenewal = null;

/** Resolves to whether there is a new token. Concurrent requests share one renewal: a refresh token works only once. */
function renewSession() {
  pendingRenewal ??= refreshTokens().finally(() => { pendingRenewal = null; });
  return pendingRenewal;
}

async function refreshTokens() {
  const refresh = sessionStorage.getItem(REFRESH);
  if (!refresh) return false;
  try {
    storeTokens(await request("/token/refresh", { body: { refresh } }));
    return true;
  } catch (error) {
    if (error.canRetry) throw error;
    return false; // the server does not accept this refresh token, and will not later
  }
}

async function request(path, { body, bearer, signal, keepalive = false }) {
  const headers = { Accept: "application/json, application/problem+json" };
  if (body) headers["Content-Type"] = "application/json";
  if (bearer) headers.Authorization = `Bearer ${bearer}`;
  const deadline = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const response = await fetch(path, {
      method: body ? "POST" : "GET",
      headers,
      body: body && JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
      keepalive,
      cache: "no-cache", // always revalidate; the ETag makes an unchanged response cheap
      credentials: "omit", // the token is the only credential; ignore cookies of the admin
    });
    return parseResponse(response, await response.text());
  } catch (error) {
    if (error instanceof ApiError || signal?.aborted) throw error;
    throw connectionError(error);
  }
}

function parseResponse(response, text) {
  const body = response.ok ? parseJson(text) : null;
  if (body !== null) return body;
  throw new ApiError(response.ok ? "unreadable" : "http", {
    status: response.status,
    requestId: response.headers.get("X-Request-ID") ?? "",
    retryAfter: Number(response.headers.get("Retry-After")) || 0,
  });
}

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function connectionError(error) {
  if (error.name === "TimeoutError") return new ApiError("timeout");
  return new ApiError(navigator.onLine ? "unreachable" : "offline");
}

function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  // Browsers offer randomUUID only on https; on a local network this page may be opened by plain http.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
