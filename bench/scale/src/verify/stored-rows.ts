import { DEFAULT_SHARDS, outboxKeys } from '@spillway/redis';
import { openRedis } from '@spillway/redis/ioredis';
import type { Cluster, Redis } from 'ioredis';
import { Client } from 'pg';
import { wait } from '../run-context.ts';
import type { Stack } from '../stack.ts';
import type { StoredBlock, StoredTransition } from './trail.ts';

/** What is in Redis and Postgres when all is over. */
export interface StoredRows {
  readonly blocks: readonly StoredBlock[];
  /** Of the breaker `runware`. */
  readonly transitions: readonly StoredTransition[];
  readonly generations: number;
  /** What each tells. */
  readonly gaps: readonly string[];
  readonly deadLetters: number;
  /** Events that are still on their way after users stopped sending. */
  readonly onTheWay: number;
}

/** A killed worker's job is given to another one after this at the latest. */
const ARRIVAL_MS = 90_000;
const POLL_MS = 200;

/** Waits until no event is on its way, then reads. @throws the reason of the abort */
export async function readStoredRows(stack: Stack, signal: AbortSignal): Promise<StoredRows> {
  const onTheWay = await awaitArrival(stack, signal);
  const client = new Client({ connectionString: stack.observerUrl });
  await client.connect();
  try {
    const blocks = await client.query<StoredBlock>(`
      SELECT tier, action, identifier, (extract(epoch FROM created_at) * 1000)::float8 AS "createdAtMs"
      FROM public.rate_limits_v2`);
    const transitions = await client.query<StoredTransition>(`
      SELECT event_type AS "eventType", breaker_epoch::float8 AS epoch
      FROM public.circuit_breaker_events
      WHERE breaker_name = 'runware' AND breaker_epoch IS NOT NULL`);
    const gaps = await client.query<{ gap: string }>(`
      SELECT concat_ws(' ', kind, 'of shard ' || shard, detail::text) AS gap FROM spillway.audit_gaps ORDER BY detected_at`);
    return {
      blocks: blocks.rows,
      transitions: transitions.rows,
      generations: await count(client, 'generations'),
      gaps: gaps.rows.map(({ gap }) => gap),
      deadLetters: await count(client, 'spillway.audit_dead_letters'),
      onTheWay,
    };
  } finally {
    await client.end();
  }
}

async function count(client: Client, table: string): Promise<number> {
  const { rows } = await client.query<{ count: number }>(`SELECT count(*)::int AS count FROM ${table}`);
  return rows[0]?.count ?? 0;
}

async function awaitArrival({ redisUrl }: Stack, signal: AbortSignal): Promise<number> {
  const patient = { maxRetriesPerRequest: null } as const;
  const redis = openRedis(redisUrl, { server: patient, cluster: { redisOptions: patient } });
  const end = performance.now() + ARRIVAL_MS;
  try {
    for (;;) {
      const left = await countEvents(redis);
      if (left === 0 || performance.now() > end) return left;
      await wait(POLL_MS, signal);
    }
  } finally {
    redis.disconnect();
  }
}

async function countEvents(redis: Redis | Cluster): Promise<number> {
  const streams = Array.from({ length: DEFAULT_SHARDS }, (_, shard) => outboxKeys(shard).stream);
  const lengths = await Promise.all(streams.map((stream) => redis.xlen(stream)));
  return lengths.reduce((sum, each) => sum + each, 0);
}
