import { setTimeout as sleep } from 'node:timers/promises';
import { createPool, isRefusal, withConnection } from '@spillway/db';
import { redisFault } from '@spillway/redis';
import { openRedis } from '@spillway/redis/ioredis';
import { maskValues } from '@spillway/runtime';

/*
 * A program asks each server that its variables name for an answer before it opens anything. A server that is away is no
 * fault of the program: it starts, and waits. A server that refuses the user, the password or the database of a URL
 * refuses the next attempt too: the program ends, where its supervisor sees it, instead of running on without its work.
 * Only the first answer counts. A server that has let the program in may refuse it later for a while, as when a password is
 * rotated, and that is an outage like any other.
 */

/** A server refuses the user, the password or the database of a URL. The message names the variable. */
export class ServerRefusedError extends Error {
  readonly code = 'server_refused';
  override readonly name = 'ServerRefusedError';
  /** The variable that holds the URL. */
  readonly variable: string;

  constructor(variable: string, cause: Error) {
    super(`${variable}: ${maskValues(cause.message)}`, { cause });
    this.variable = variable;
  }
}

/** A server as a variable names it. */
export interface ServerAddress {
  readonly url: string;
  /** What the program takes it for: it asks more of a Postgres than a PgBouncer lets through. */
  readonly kind: 'redis' | 'postgres' | 'pgbouncer';
}

/** The servers that a program's URLs name, on their way to a first answer. */
export interface FirstAnswers {
  /**
   * Resolves when each was asked once, within two seconds: it let the program in, or is away.
   * @throws {ServerRefusedError} when one refused; then none is asked any more
   */
  readonly asked: Promise<void>;
  /** Resolves when one that was away at first refuses in its first answer. */
  readonly refused: Promise<ServerRefusedError>;
  /** Asks no more. */
  stop(): void;
}

/** Longest wait for a connection, and for an answer on it, in ms. */
const TIMEOUT_MS = 1_000;

/** Between two attempts at a server that is away, in ms. */
const RETRY_MS = 1_000;

type Answer = 'let in' | 'away' | ServerRefusedError;

/**
 * Asks each server, and one that is away again each second until it answers.
 * @param addresses by the variables that hold them; those that are not set are left out
 */
export function firstAnswers(addresses: Readonly<Record<string, ServerAddress | undefined>>): FirstAnswers {
  const stopping = new AbortController();
  const { signal } = stopping;
  const asked: Promise<void>[] = [];
  const refused = new Promise<ServerRefusedError>((resolve) => {
    const askOn = async (variable: string, address: ServerAddress): Promise<void> => {
      let answer: Answer = 'away';
      while (answer === 'away' && !signal.aborted) {
        await sleep(RETRY_MS, undefined, { ref: false, signal }).catch(() => undefined);
        if (!signal.aborted) answer = await ask(variable, address);
      }
      if (answer instanceof ServerRefusedError) resolve(answer);
    };
    const askFirst = async (variable: string, address: ServerAddress): Promise<void> => {
      const answer = await ask(variable, address);
      if (answer === 'away') void askOn(variable, address);
      if (answer instanceof ServerRefusedError) throw answer;
    };
    for (const [variable, address] of distinct(addresses)) asked.push(askFirst(variable, address));
  });
  const stop = (): void => stopping.abort();
  const all = Promise.all(asked).then(
    () => undefined,
    (error: unknown) => {
      stop();
      throw error;
    },
  );
  return { asked: all, refused, stop };
}

/** The first variable that holds an address stands for the others. */
function distinct(
  addresses: Readonly<Record<string, ServerAddress | undefined>>,
): readonly (readonly [string, ServerAddress])[] {
  const known = new Map<string, readonly [string, ServerAddress]>();
  for (const [variable, address] of Object.entries(addresses)) {
    if (address === undefined) continue;
    const name = `${address.kind} ${address.url}`;
    if (!known.has(name)) known.set(name, [variable, address]);
  }
  return [...known.values()];
}

async function ask(variable: string, address: ServerAddress): Promise<Answer> {
  try {
    await askServer(address);
    return 'let in';
  } catch (error) {
    if (!(error instanceof Error)) return 'away';
    if (isRefusal(error)) return new ServerRefusedError(variable, error);
    const fault = redisFault(error);
    return REFUSALS.has(fault.code) || fault.detail === 'DENIED' ? new ServerRefusedError(variable, fault) : 'away';
  }
}

/** Connects as a program does, asks once and disconnects. Rejects with what refused it, or with why there is no answer. */
export async function askServer({ url, kind }: ServerAddress): Promise<void> {
  await (kind === 'redis' ? askRedis(url) : askPostgres(url, kind));
}

/** What Redis refuses for what a URL says; `DENIED` is its protected mode. */
const REFUSALS: ReadonlySet<string> = new Set(['authentication', 'database_refused']);

/** A pooler lets everything in that asks for nothing, so this asks. */
async function askPostgres(connectionString: string, server: 'postgres' | 'pgbouncer'): Promise<void> {
  const timeouts = { connectTimeoutMs: TIMEOUT_MS, statementTimeoutMs: TIMEOUT_MS };
  const pool = createPool({ connectionString, server, max: 1, ...timeouts, onError: () => {} });
  try {
    await withConnection(pool, async (connection) => connection.query('SELECT 1'));
  } finally {
    void pool.end();
  }
}

const redisOptions = {
  connectTimeout: TIMEOUT_MS,
  commandTimeout: TIMEOUT_MS,
  maxRetriesPerRequest: 0,
  // It waits while the server loads its data, and asks for INFO, which a user may lack.
  enableReadyCheck: false,
  connectionName: 'spillway-start',
} as const;

async function askRedis(url: string): Promise<void> {
  const redis = openRedis(url, {
    server: { ...redisOptions, lazyConnect: true, retryStrategy: () => null, sentinelRetryStrategy: () => null },
    cluster: { redisOptions, lazyConnect: true, clusterRetryStrategy: () => null },
  });
  // Why there is no connection; what commands are rejected with says only that there is none.
  let reason: Error | undefined;
  redis.on('error', (error: Error) => (reason ??= error));
  try {
    await redis.connect();
    await redis.ping();
    // The answers to AUTH and SELECT have come before.
    if (reason !== undefined) throw reason;
  } catch (error) {
    // A user that may not do this is one that the server has let in.
    if (redisFault(reason ?? error).detail !== 'NOPERM') throw reason ?? error;
  } finally {
    redis.disconnect();
  }
}
