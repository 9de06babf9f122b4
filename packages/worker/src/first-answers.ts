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
 * @param urls by the variables that hold them; those that are not set are left out
 */
export function firstAnswers(urls: Readonly<Record<string, string | undefined>>): FirstAnswers {
  const stopping = new AbortController();
  const { signal } = stopping;
  // The first variable that holds a URL stands for the others.
  const servers = new Map(
    Object.entries(urls)
      .toReversed()
      .map(([variable, url]) => [url, variable]),
  );
  const asked: Promise<void>[] = [];
  const refused = new Promise<ServerRefusedError>((resolve) => {
    const askOn = async (variable: string, url: string): Promise<void> => {
      let answer: Answer = 'away';
      while (answer === 'away' && !signal.aborted) {
        await sleep(RETRY_MS, undefined, { ref: false, signal }).catch(() => undefined);
        if (!signal.aborted) answer = await ask(variable, url);
      }
      if (answer instanceof ServerRefusedError) resolve(answer);
    };
    const askFirst = async (variable: string, url: string): Promise<void> => {
      const answer = await ask(variable, url);
      if (answer === 'away') void askOn(variable, url);
      if (answer instanceof ServerRefusedError) throw answer;
    };
    for (const [url, variable] of servers) if (url !== undefined) asked.push(askFirst(variable, url));
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

async function ask(variable: string, url: string): Promise<Answer> {
  try {
    await (/^postgres(ql)?:/u.test(url) ? askPostgres(url) : askRedis(url));
    return 'let in';
  } catch (error) {
    if (!(error instanceof Error)) return 'away';
    if (isRefusal(error)) return new ServerRefusedError(variable, error);
    const fault = redisFault(error);
    // A user that may not do this is known to the server.
    if (fault.detail === 'NOPERM') return 'let in';
    return REFUSALS.has(fault.code) || fault.detail === 'DENIED' ? new ServerRefusedError(variable, fault) : 'away';
  }
}

/** What Redis refuses for what a URL says; `DENIED` is its protected mode. */
const REFUSALS: ReadonlySet<string> = new Set(['authentication', 'database_refused']);

/** A pooler lets everything in that asks for nothing, so this asks. */
async function askPostgres(connectionString: string): Promise<void> {
  const timeouts = { connectTimeoutMs: TIMEOUT_MS, statementTimeoutMs: TIMEOUT_MS };
  // Of this kind either server takes a connection.
  const pool = createPool({ connectionString, server: 'pgbouncer', max: 1, ...timeouts, onError: () => {} });
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
    throw reason ?? error;
  } finally {
    redis.disconnect();
  }
}
