/** The first screen of an app by the generated client: sign in, picks, similar tracks, events, an error. */

import { Configuration, EventsApi, EventType, RecommendationsApi, ResponseError, SignInApi, type Problem } from "./client/index.js";

declare const process: { argv: string[] };

const [basePath, username, password] = process.argv.slice(2) as [string, string, string];

function check(condition: boolean, message: string): asserts condition {
    if (!condition) throw new Error(message);
}

async function statusOf(request: Promise<unknown>): Promise<Response> {
    try {
        await request;
    } catch (error) {
        if (error instanceof ResponseError) return error.response;
        throw error;
    }
    throw new Error("the request succeeded");
}

const tokens = await new SignInApi(new Configuration({ basePath })).signIn({ signInRequest: { username, password } });
const configuration = new Configuration({ basePath, accessToken: tokens.access });
const recommendations = new RecommendationsApi(configuration);

const response = await recommendations.recommendTracksRaw({ userId: "me", limit: 5, explain: true });
const picks = await response.value();
check(picks.results.length === 5, "five picks");
check(picks.strategy === "personal" && picks.fallbackReason === null, "by the model");
check(picks.generatedAt instanceof Date, "times are dates");
const [first] = picks.results;
check(first !== undefined && first.position === 1 && first.source === "personal", "the first pick");
const reason = first.explanation;
check(reason?.kind === "plays" && reason.because[0]?.trackId === reason.becauseTrackIds[0], "an explanation");

const etag = response.raw.headers.get("ETag") ?? "";
const unchanged = await statusOf(recommendations.recommendTracks({ userId: "me", limit: 5, explain: true, ifNoneMatch: etag }));
check(unchanged.status === 304, "the same picks are not sent again");

const similar = await recommendations.recommendSimilarTracks({ trackId: String(first.trackId), limit: 3 });
check(similar.results.length === 3 && similar.results.every((track) => track.trackId !== first.trackId), "similar tracks");

const events = [EventType.Impression, EventType.PlayEnd].map((type) => ({
    eventId: crypto.randomUUID(),
    type,
    trackId: String(first.trackId),
    occurredAt: new Date(),
    msPlayed: type === EventType.PlayEnd ? 1000 : null,
    recommendationId: picks.recommendationId,
    position: first.position,
}));
const eventsRequest = { events, sentAt: new Date() };
const receipt = await new EventsApi(configuration).sendEvents({ eventsRequest, idempotencyKey: crypto.randomUUID() });
check(receipt.accepted === 2 && receipt.rejected.length === 0, JSON.stringify(receipt));

const refused = await statusOf(recommendations.recommendTracks({ userId: "me", limit: 0 }));
const problem = (await refused.json()) as Problem;
check(refused.status === 400 && problem.errors[0]?.pointer === "?limit", JSON.stringify(problem));

console.log(`${picks.results.length} picks, ${similar.results.length} similar tracks, ${receipt.accepted} events`);
