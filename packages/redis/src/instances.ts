import { isReady, listenTo, type RedisClient } from './client.ts';
import { defineScript } from './script.ts';
import { live as liveLua } from './scripts.generated.ts';
import { shardTag } from './shard-of.ts';
import { checkKeyName, checkWhole } from './option-checks.ts';

/** What {@link joinFleet} needs. */
export interface FleetOptions {
  readonly client: RedisClient;
  /** What is counted, such as `limiter`: lower-case letters, digits, `_` and `-`, up to 64. */
  readonly name: string;
  /** How long after its last beat an instance counts as alive, 100 to 3,600,000 ms; it beats three times as often. @default 6_000 */
  readonly ttlMs?: number;
  /** @default none */
  readonly namespace?: string;
}

/** This instance in its fleet. */
export interface FleetMembership {
  /** A UUID, new at each start. */
  readonly id: string;
  /**
   * How many are alive, this one included, as far as is known: the most that one of the last three beats counted. Keeps
   * its value while Redis is away; 1 before the first beat was answered.
   */
  readonly live: number;
  /** Signs off, if Redis takes it within half a second. */
  close(): Promise<void>;
}

/**
 * The most of three: a Redis that comes back empty counts one instance at first, and an instance that trusted it would take all of
 * a limit that many share.
 */
const REMEMBERED_BEATS = 3;
const GOODBYE_MS = 500;

const alive = defineScript(liveLua, Number);

/** The sorted set of the instances of that name: their ids, each with the time of its last report in ms. */
export function instancesKey(name: string, namespace = ''): string {
  return `${shardTag(0, namespace)}:live:${name}`;
}

/**
 * Counts the running instances of a program: each one reports to Redis at intervals, one script call per report, and reads
 * how many others did. A report that Redis doesn't answer is skipped; at most one is under way.
 * @throws {RedisOptionError}
 */
export function joinFleet({ client, name, ttlMs = 6_000, namespace }: FleetOptions): FleetMembership {
  checkKeyName('name', name);
  checkWhole('ttlMs', ttlMs, 100, 3_600_000);
  const id = crypto.randomUUID();
  const key = instancesKey(name, namespace);
  const counts: number[] = [];
  let beating = false;

  async function beat(): Promise<void> {
    if (beating || !isReady(client)) return;
    beating = true;
    try {
      counts.push(await alive.run(client, [key], [id, 'beat', ttlMs]));
      if (counts.length > REMEMBERED_BEATS) counts.shift();
    } catch {
      // Redis is away; the next beat asks again.
    } finally {
      beating = false;
    }
  }

  let stop: (() => void) | undefined;
  const onReady = (): void => {
    stop?.();
    void beat();
  };
  if (isReady(client)) onReady();
  else stop = listenTo(client, 'ready', onReady);
  const timer = setInterval(() => void beat(), ttlMs / 3).unref();

  return {
    id,
    get live() {
      return Math.max(1, ...counts);
    },
    async close() {
      clearInterval(timer);
      stop?.();
      if (isReady(client)) await settleWithin(GOODBYE_MS, alive.run(client, [key], [id, 'leave', ttlMs]));
    },
  };
}

/** Waits for work to end, in whatever way, but no longer than `ms`. Never rejects. */
export async function settleWithin(ms: number, work: Promise<unknown>): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    const end = (): void => {
      clearTimeout(timer);
      resolve();
    };
    work.then(end, end);
  });
}
