import { readFile } from 'node:fs/promises';
import { DEFAULT_SHARDS, outboxKeys } from '@spillway/redis';
import { openRedis } from '@spillway/redis/ioredis';
import { type Cluster, Redis } from 'ioredis';
import { Client } from 'pg';
import type { Fleet } from './processes/fleet.ts';
import { FLEET_ROLE, type Stack } from './stack.ts';

/** Looks at everything once a second, over connections of its own. */
export interface Sampler {
  readonly samples: readonly Sample[];
  stop(): Promise<void>;
}

const EVERY_MS = 1_000;

/** A server that is gone ends the run: it does not wait for its return. */
const observing = {
  server: { maxRetriesPerRequest: 3 },
  cluster: { redisOptions: { maxRetriesPerRequest: 3 } },
} as const;

/** What is looked at, and who is told when that fails. */
export interface SamplerOptions {
  readonly stack: Stack;
  readonly fleet: Fleet;
  /** Told once, of the first look that failed: a server is gone. There are no more looks then. */
  readonly onFailure: (error: unknown) => void;
}

/** Starts looking. */
export async function startSampler({ stack, fleet, onFailure }: SamplerOptions): Promise<Sampler> {
  const redis = openRedis(stack.redisUrl, observing);
  const servers = stack.redis.map(({ url }) => new Redis(url, observing.server));
  const postgres = new Client({ connectionString: stack.observerUrl });
  const pooler = new Client({ connectionString: stack.pgbouncer.adminUrl });
  // Without a listener the end of a server would be the end of this process; the next look fails anyway.
  const observers: readonly NodeJS.EventEmitter[] = [redis, ...servers, postgres, pooler];
  for (const observer of observers) observer.on('error', () => undefined);
  await Promise.all([postgres.connect(), pooler.connect()]);
  const meters = Object.fromEntries(groups.map((group) => [group, new ProcessMeter()]));
  const samples: Sample[] = [];

  const look = async (): Promise<Sample> => {
    const pids = pidsOf(stack, fleet);
    const [usages, usedBytes, dbConnections, clients, outbox] = await Promise.all([
      Promise.all(groups.map(async (group) => [group, (await meters[group]?.look(pids[group])) ?? nothing] as const)),
      readUsedBytes(servers),
      countConnections(postgres),
      countClients(pooler),
      readOutboxes(redis),
    ]);
    const usage = Object.fromEntries(usages);
    return {
      atMs: Date.now(),
      usage: isComplete(usage) ? usage : empty,
      redisUsedBytes: usedBytes,
      dbConnections,
      ...clients,
      ...outbox,
    };
  };

  const stopped = new AbortController();
  const loop = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      const began = performance.now();
      samples.push(await look());
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, EVERY_MS - (performance.now() - began))));
    }
  };
  const looping = loop().catch(onFailure);
  return {
    samples,
    stop: async () => {
      stopped.abort();
      await looping;
      for (const client of [redis, ...servers]) client.disconnect();
      await Promise.all([postgres.end(), pooler.end()]);
    },
  };
}

const nothing: Usage = { cpu: 0, rssBytes: 0 };
const empty: Readonly<Record<Group, Usage>> = {
  redis: nothing,
  postgres: nothing,
  pgbouncer: nothing,
  app: nothing,
  api: nothing,
  worker: nothing,
  provider: nothing,
  load: nothing,
};

function isComplete(usage: Readonly<Record<string, Usage>>): usage is Record<Group, Usage> {
  return groups.every((group) => usage[group] !== undefined);
}

function pidsOf(stack: Stack, fleet: Fleet): Readonly<Record<Group, readonly (number | undefined)[]>> {
  return {
    redis: stack.redis.map(({ pid }) => pid),
    postgres: [stack.postgres.pid],
    pgbouncer: [stack.pgbouncer.pid],
    app: fleet.apps.map(({ pid }) => pid),
    api: [fleet.api.pid],
    worker: fleet.workers.map(({ pid }) => pid),
    provider: [fleet.provider.pid],
    load: [fleet.load.pid],
  };
}

async function readUsedBytes(servers: readonly Redis[]): Promise<number> {
  const infos = await Promise.all(servers.map((server) => server.info('memory')));
  return infos.reduce((sum, info) => sum + Number(/^used_memory:(\d+)/m.exec(info)?.[1]), 0);
}

async function countConnections(postgres: Client): Promise<number> {
  const { rows } = await postgres.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM pg_stat_activity WHERE usename = $1`,
    [FLEET_ROLE],
  );
  return rows[0]?.count ?? 0;
}

/** The pooler's console speaks the simple protocol only, and gives a row for each database and user. */
async function countClients(pooler: Client): Promise<Pick<Sample, 'poolerClients' | 'poolerWaiting'>> {
  const { rows } = await pooler.query<{ user: string; cl_active: number; cl_waiting: number }>('SHOW POOLS');
  const ours = rows.filter(({ user }) => user === FLEET_ROLE);
  const sum = (count: (row: (typeof rows)[number]) => number): number =>
    ours.reduce((total, row) => total + count(row), 0);
  const waiting = sum((row) => row.cl_waiting);
  return { poolerClients: sum((row) => row.cl_active) + waiting, poolerWaiting: waiting };
}

async function readOutboxes(redis: Redis | Cluster): Promise<Pick<Sample, 'flushLagMs' | 'outboxEvents'>> {
  const streams = Array.from({ length: DEFAULT_SHARDS }, (_, shard) => outboxKeys(shard).stream);
  const [[seconds = 0, micros = 0], lengths, heads] = await Promise.all([
    redis.time().then((time) => time.map(Number)),
    Promise.all(streams.map((stream) => redis.xlen(stream))),
    Promise.all(streams.map((stream) => redis.xrange(stream, '-', '+', 'COUNT', 1))),
  ]);
  const oldest = heads.flatMap(([entry]) => (entry === undefined ? [] : [Number(entry[0].split('-')[0])]));
  return {
    flushLagMs: oldest.length === 0 ? 0 : Math.max(0, seconds * 1_000 + micros / 1_000 - Math.min(...oldest)),
    outboxEvents: lengths.reduce((sum, length) => sum + length, 0),
  };
}

/** What some processes used together. */
export interface Usage {
  /** Share of one core since the last look; above 1 with several. */
  readonly cpu: number;
  readonly rssBytes: number;
}

/** The kernel counts a process' time in hundredths of a second, whatever its own clock. */
const TICK_MS = 10;
const PAGE_BYTES = 4_096;

/** Looks at processes and their descendants by /proc; where there is none (macOS) all is 0. */
class ProcessMeter {
  #ticks = new Map<number, number>();
  #at = performance.now();

  async look(pids: readonly (number | undefined)[]): Promise<Usage> {
    const all = await Promise.all(pids.filter((pid) => pid !== undefined).map(withDescendants));
    const found = await Promise.all(all.flat().map(readProcess));
    const processes = found.filter((process) => process !== undefined);
    const now = performance.now();
    const elapsed = now - this.#at;
    this.#at = now;
    // A process that is new since the last look has used all of its time since then.
    const used = processes.reduce((sum, { pid, ticks }) => sum + ticks - (this.#ticks.get(pid) ?? 0), 0);
    this.#ticks = new Map(processes.map(({ pid, ticks }) => [pid, ticks]));
    return {
      cpu: (used * TICK_MS) / elapsed,
      rssBytes: processes.reduce((sum, { rssBytes }) => sum + rssBytes, 0),
    };
  }
}

async function withDescendants(pid: number): Promise<readonly number[]> {
  const children = await readOr(`/proc/${pid}/task/${pid}/children`);
  const descendants = await Promise.all(children.split(' ').filter(Boolean).map(Number).map(withDescendants));
  return [pid, ...descendants.flat()];
}

interface ProcessTimes {
  readonly pid: number;
  readonly ticks: number;
  readonly rssBytes: number;
}

async function readProcess(pid: number): Promise<ProcessTimes | undefined> {
  const text = await readOr(`/proc/${pid}/stat`);
  // The second field is the program's name in parentheses, which may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  if (fields.length < 22) return undefined;
  return { pid, ticks: Number(fields[11]) + Number(fields[12]), rssBytes: Number(fields[21]) * PAGE_BYTES };
}

async function readOr(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}

/** Groups of processes. */
export const groups = ['redis', 'postgres', 'pgbouncer', 'app', 'api', 'worker', 'provider', 'load'] as const;

/** One of {@link groups}. */
export type Group = (typeof groups)[number];

/** All that was looked at in one moment. */
export interface Sample {
  readonly atMs: number;
  readonly usage: Readonly<Record<Group, Usage>>;
  /** What Redis holds for its data, in bytes. */
  readonly redisUsedBytes: number;
  /** Connections of the fleet to Postgres. */
  readonly dbConnections: number;
  /** Clients of the pooler, and those of them who wait for a connection. */
  readonly poolerClients: number;
  readonly poolerWaiting: number;
  /** Age of the oldest event that no worker has taken, in ms. */
  readonly flushLagMs: number;
  /** Events in all outboxes. */
  readonly outboxEvents: number;
}
