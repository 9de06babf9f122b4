import { setTimeout as delay } from 'node:timers/promises';
import { createBreakers } from '@spillway/breaker';
import type { createPool } from '@spillway/db';
import type { Limiter } from '@spillway/limiter';
import type { WorkerLogger } from '@spillway/worker';

/** What the load works on. */
export interface LoadOptions {
  readonly limiter: Pick<Limiter, 'consume'>;
  readonly redisUrl: string;
  readonly pool: Pick<ReturnType<typeof createPool>, 'query'>;
  readonly shards: number;
  readonly namespace: string;
  readonly logger: WorkerLogger;
}

/** Traffic that goes on until it is closed. */
export interface Load {
  /** Stops asking and disconnects; rejects never. */
  close(): Promise<void>;
}

/** One request of one second. */
export interface LoadRequest {
  readonly policy: 'strict' | 'standard' | 'generation' | 'auth';
  readonly action: string;
  readonly subject: string;
}

/** One call of a dependency through its breaker. */
export interface LoadCall {
  readonly breaker: 'runware' | 'uploads' | 'partner-hooks' | 'resend';
  readonly preset: 'ai_provider' | 'storage' | 'webhook' | 'email';
  /** What it fails with; undefined when it succeeds. */
  readonly failure: string | undefined;
}

/** Who asks for what in one second. */
export interface LoadSecond {
  readonly requests: readonly LoadRequest[];
  readonly calls: readonly LoadCall[];
}

const USERS = 300;

/** A flood by one user, from that second of every minute, for so many seconds; then the provider has an outage, too. */
const FLOOD = { from: 2, seconds: 12, requests: 12 };
const OUTAGE = { from: 4, seconds: 10 };

/** Sign-ins by guessing, from one network. */
const GUESSING = { from: 30, seconds: 20, requests: 3 };

/** What happens in every second of a minute that the span holds. */
interface Span {
  readonly from: number;
  readonly seconds: number;
}

function during({ from, seconds }: Span, second: number): boolean {
  return second % 60 >= from && second % 60 < from + seconds;
}

function several<Thing>(count: number, make: () => Thing): readonly Thing[] {
  return Array.from({ length: Math.round(count) }, make);
}

/**
 * What happens in a second: some forty reads in waves, a few generations, sign-ins and exports; twice a minute a client
 * does too much of something; once a minute the provider of generations fails for ten seconds. The first minute begins
 * with both, so that there is something to see at once.
 * @param second since the start of the load
 * @param random as `Math.random`
 */
export function loadOf(second: number, random: () => number): LoadSecond {
  return { requests: requestsOf(second, random), calls: callsOf(second, random) };
}

function requestsOf(second: number, random: () => number): readonly LoadRequest[] {
  const user = (among = USERS): string => `user:${1_000 + Math.floor(random() * among)}`;
  const wave = 1 + 0.4 * Math.sin(second / 40);
  const generation = { policy: 'generation', action: 'generate-content' } as const;
  const signIn = { policy: 'auth', action: 'sign-in' } as const;
  const flood = during(FLOOD, second) ? FLOOD.requests : 0;
  const guesses = during(GUESSING, second) ? GUESSING.requests : 0;
  return [
    ...several(40 * wave, (): LoadRequest => ({ policy: 'standard', action: 'read', subject: user() })),
    ...several(6 * wave, () => ({ ...generation, subject: user() })),
    ...several(2, () => ({ ...signIn, subject: user() })),
    ...several(1, (): LoadRequest => ({ policy: 'strict', action: 'export', subject: user(20) })),
    ...several(flood, () => ({ ...generation, subject: `user:${9_000 + Math.floor(second / 60)}` })),
    ...several(guesses, () => ({ ...signIn, subject: 'ip:203.0.113.0/24' })),
  ];
}

function callsOf(second: number, random: () => number): readonly LoadCall[] {
  const outage = during(OUTAGE, second) ? 'runware answered 503' : undefined;
  const rarely = (message: string): string | undefined => (random() < 0.02 ? message : undefined);
  return [
    ...several(4, (): LoadCall => ({ breaker: 'runware', preset: 'ai_provider', failure: outage })),
    { breaker: 'uploads', preset: 'storage', failure: rarely('connect ETIMEDOUT') },
    { breaker: 'partner-hooks', preset: 'webhook', failure: rarely('the partner answered 502') },
    { breaker: 'resend', preset: 'email', failure: rarely('resend answered 429') },
  ];
}

const logCalls = `
  INSERT INTO public.api_call_logs (user_id, method, endpoint, status_code, duration_ms)
  SELECT subject, 'POST', '/' || action, status, 20 + (random() * 80)::int
  FROM unnest($1::text[], $2::text[], $3::int[]) AS call (subject, action, status)`;

const logGenerations = `
  INSERT INTO public.generations (user_id, provider, status, started_at, finished_at)
  SELECT subject, 'runware', 'completed', now(), now() FROM unnest($1::text[]) AS generation (subject)`;

/** Makes traffic, second by second, through the limiter and through breakers of its own. */
export function startLoad({ limiter, redisUrl, pool, shards, namespace, logger }: LoadOptions): Load {
  const breakers = createBreakers({ redis: redisUrl, shards, namespace, actor: 'start --with-load' });
  const ending = new AbortController();

  const ask = async ({ policy, action, subject }: LoadRequest): Promise<LoadRequest & { readonly status: number }> => {
    const { allowed } = await limiter.consume(policy, subject, { action });
    return { policy, action, subject, status: allowed ? 200 : 429 };
  };
  const call = async ({ breaker, preset, failure }: LoadCall): Promise<void> => {
    await breakers
      .run(breaker, preset, async () => {
        if (failure !== undefined) throw new Error(failure);
      })
      // Failures and refusals are what the load is for.
      .catch(() => undefined);
  };
  const oneSecond = async (second: number): Promise<void> => {
    const { requests, calls } = loadOf(second, Math.random);
    const [answers] = await Promise.all([Promise.all(requests.map(ask)), Promise.all(calls.map(call))]);
    const columns = [answers.map(({ subject }) => subject), answers.map(({ action }) => action)];
    await pool.query(logCalls, [...columns, answers.map(({ status }) => status)]);
    const generated = answers.filter(({ policy, status }) => policy === 'generation' && status === 200);
    await pool.query(logGenerations, [generated.map(({ subject }) => subject)]);
  };
  const run = async (): Promise<void> => {
    for (let second = 0; !ending.signal.aborted; second += 1) {
      const pause = delay(1_000, undefined, { signal: ending.signal }).catch(() => undefined);
      // eslint-disable-next-line no-await-in-loop -- one second after the other
      await oneSecond(second).catch((error: unknown) => logger.warn({ err: error }, 'start: the load'));
      // eslint-disable-next-line no-await-in-loop -- as above
      await pause;
    }
  };
  const running = run();
  return {
    close: async () => {
      ending.abort();
      await running;
      await breakers.close().catch((error: unknown) => logger.warn({ err: error }, 'start: the breakers of the load'));
    },
  };
}
