import { type BreakerMetrics, type Breakers, definePreset, type Preset } from '@spillway/breaker';
import type { Queryable } from '@spillway/db';
import type { Limiter } from '@spillway/limiter';
import { rateLimit } from '@spillway/limiter/hono';
import { byApiKey } from '@spillway/limiter/http';
import { anyRedisUrl, type Environment, postgresUrl, readEnvironment, wholeNumber } from '@spillway/runtime';
import { Hono } from 'hono';
import { z } from 'zod';
import type { HeardState } from './fleet.ts';

/** What the application is built on. */
export interface AppOptions {
  readonly limiter: Limiter;
  readonly db: Queryable;
  /** Has the provider generate. Rejects when it can't. */
  readonly generate: (user: string) => Promise<string>;
}

const saveGeneration = `
  INSERT INTO public.generations (user_id, provider, status, result_url, started_at, finished_at)
  VALUES ($1, 'runware', 'completed', $2, now(), now())`;

/** An application as the guide has it: generations behind the `generation` tier, reads behind `standard`, sign-ins behind `auth`. */
export function createApp({ limiter, db, generate }: AppOptions): Hono {
  const app = new Hono();
  // Only the load generator calls, and each of its users has a key.
  const identify = byApiKey({ verify: () => true });
  app.use('/functions/v1/*', rateLimit({ limiter, identify, policy: 'generation', action: 'generate-content' }));
  app.use('/api/*', rateLimit({ limiter, identify, policy: 'standard' }));
  app.use('/auth/*', rateLimit({ limiter, identify, policy: 'auth', action: 'sign-in' }));

  app.post('/functions/v1/generate-content', async (context) => {
    const user = context.req.header('X-API-Key') ?? '';
    const url = await generate(user);
    await db.query(saveGeneration, [user, url]);
    return context.json({ url });
  });
  app.get('/api/projects', (context) => context.json({ projects: [{ title: 'How a spillway works' }] }));
  app.post('/auth/sign-in', (context) => context.json({ signedIn: true }));
  return app;
}

/** The guide's `ai_provider` (5 failures, 2 probes) with an open time of one's own: a short run must see it close. */
export function aiProviderOpenFor(openMs: number): Preset<'ai_provider'> {
  return definePreset({
    name: 'ai_provider',
    trip: { strategy: 'consecutive', failures: 5 },
    openMs,
    probes: 2,
    timeoutMs: 120_000,
  });
}

/** Metrics that call only when the fleet's breaker has moved, whichever process moved it. */
export function onTransition(moved: () => void): BreakerMetrics {
  return {
    state: nothing,
    call: nothing,
    transition: moved,
    lease: nothing,
    flush: nothing,
    outage: nothing,
  };
}

/** What this process knows of the fleet's breaker. */
export function heardState(breakers: Breakers<'ai_provider'>): HeardState {
  const { fleetState: state, epoch } = breakers.get('runware', 'ai_provider').snapshot();
  return { state, epoch };
}

function nothing(): void {}

/** What the application's environment says. */
export interface AppConfig {
  /** `REDIS_URL` */
  readonly redisUrl: string;
  /** `DATABASE_URL`: a PgBouncer. */
  readonly databaseUrl: string;
  /** `PROVIDER_URL`: who generates. */
  readonly providerUrl: string;
  /** `PORT`, on the loopback address. 0 = a free one. */
  readonly port: number;
  /** `SPILLWAY_URL` and `SPILLWAY_KEY`: the API to decide through; undefined = Redis decides. */
  readonly api: { readonly url: string; readonly key: string } | undefined;
  /** `BREAKER_OPEN_MS` */
  readonly breakerOpenMs: number;
}

const appVariables = z.object({
  REDIS_URL: anyRedisUrl,
  DATABASE_URL: postgresUrl,
  PROVIDER_URL: z.string(),
  PORT: wholeNumber(0, 65_535),
  SPILLWAY_URL: z.string().optional(),
  SPILLWAY_KEY: z.string().optional(),
  BREAKER_OPEN_MS: wholeNumber(1, 86_400_000),
});

/** @throws {ConfigError} for the first variable that is missing or wrong. */
export function readConfig(env: Environment): AppConfig {
  const variables = readEnvironment(appVariables, env);
  return {
    redisUrl: variables.REDIS_URL,
    databaseUrl: variables.DATABASE_URL,
    providerUrl: variables.PROVIDER_URL,
    port: variables.PORT,
    api:
      variables.SPILLWAY_URL === undefined || variables.SPILLWAY_KEY === undefined
        ? undefined
        : { url: variables.SPILLWAY_URL, key: variables.SPILLWAY_KEY },
    breakerOpenMs: variables.BREAKER_OPEN_MS,
  };
}
