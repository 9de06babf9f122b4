import { Redis } from 'ioredis';
import { Client } from 'pg';
import { FLEET_ROLE, type Stack } from '../stack.ts';
import type { Vitals } from '../vitals.ts';
import type { Check } from './capacity.ts';

/** What processes and servers hold at a moment without requests. */
export interface Census {
  /** By process id. */
  readonly vitals: ReadonlyMap<number, Vitals & { readonly name: string }>;
  readonly redisClients: number;
  /** Keys of Redis that never expire, but the last jobs of the queue. */
  readonly lastingKeys: readonly string[];
  /** Jobs that the queue keeps of those that are done. */
  readonly keptJobs: number;
  /** Keys that expire: windows, blocks, what the breakers count. */
  readonly expiringKeys: number;
  /** Connections of the fleet to the pooler, and of the pooler to Postgres. */
  readonly poolerClients: number;
  readonly dbConnections: number;
}

/** Looks at the servers, over connections that are closed again. */
export async function readCensus(stack: Stack, vitals: Census['vitals']): Promise<Census> {
  const servers = stack.redis.map(({ url }) => new Redis(url));
  const postgres = new Client({ connectionString: stack.observerUrl });
  const pooler = new Client({ connectionString: stack.pgbouncer.adminUrl });
  await Promise.all([postgres.connect(), pooler.connect()]);
  try {
    const counts = await Promise.all(servers.map(countKeys));
    const clients = await Promise.all(servers.map(async (server) => String(await server.client('LIST')).split('\n')));
    const sum = (of: (count: KeyCount) => number): number => counts.reduce((total, count) => total + of(count), 0);
    const { rows: connections } = await postgres.query<{ count: number }>(
      'SELECT count(*)::int AS count FROM pg_stat_activity WHERE usename = $1',
      [FLEET_ROLE],
    );
    const { rows: pools } = await pooler.query<{ user: string }>('SHOW CLIENTS');
    return {
      vitals,
      redisClients: clients.flat().filter((line) => line.startsWith('id=')).length,
      lastingKeys: counts.flatMap(({ lasting }) => lasting),
      keptJobs: sum(({ jobs }) => jobs),
      expiringKeys: sum(({ expiring }) => expiring),
      poolerClients: pools.filter(({ user }) => user === FLEET_ROLE).length,
      dbConnections: connections[0]?.count ?? 0,
    };
  } finally {
    for (const server of servers) server.disconnect();
    await Promise.all([postgres.end(), pooler.end()]);
  }
}

interface KeyCount {
  readonly lasting: readonly string[];
  readonly jobs: number;
  readonly expiring: number;
}

/**
 * A job of a queue: prefix, queue, and its number or its schedule and time. Or the list of those that ended, which is there once one
 * did: a schedule may fall into the run.
 */
const KEPT_JOB = /^\{spillway\}:spillway-[a-z]+:(?:\d+|repeat:.+:\d+|completed|failed)$/u;

/** Whether a key of Redis is of the jobs that a queue keeps, of which there is a bounded number. */
export function isOfKeptJobs(key: string): boolean {
  return KEPT_JOB.test(key);
}

async function countKeys(redis: Redis): Promise<KeyCount> {
  const lasting: string[] = [];
  let [jobs, expiring] = [0, 0];
  let cursor = '0';
  do {
    const [next, keys] = await redis.scan(cursor, 'COUNT', 1_000);
    cursor = next;
    const lives = await Promise.all(keys.map(async (key) => [key, await redis.pttl(key)] as const));
    for (const [key, ttl] of lives) {
      if (ttl >= 0) expiring += 1;
      else if (isOfKeptJobs(key)) jobs += 1;
      // Expired between the two looks.
      else if (ttl === -1) lasting.push(key);
    }
  } while (cursor !== '0');
  return { lasting, jobs, expiring };
}

const MB = 1024 * 1024;
/** Code that was compiled since, and caches that filled. */
const LIVE_BYTES = 8 * MB;
/** The heap's room, which V8 gives back when it likes. */
const RSS_BYTES = 64 * MB;
/** Blocks, seconds and samples that the load generator keeps for the comparison, a second. */
const LEDGER_BYTES = 8 * 1024;
/** Sockets that are being closed or opened again at that moment. */
const FILES = 2;
/** Windows of a subject: one for each kind of request, one for its block, one for what was announced of it. */
const KEYS_A_USER = 9;
const MOST_JOBS = 1_000;

/** What is judged of two censuses. */
export interface SoakOptions {
  readonly before: Census;
  readonly after: Census;
  readonly users: number;
  /** Between the two. */
  readonly seconds: number;
}

/** Whether memory, handles, keys and connections ended where they began. */
export function checkSoak({ before, after, users, seconds }: SoakOptions): readonly Check[] {
  const allowed = LIVE_BYTES + LEDGER_BYTES * seconds;
  return [
    processCheck(before, after, {
      name: 'Memory in use ended where it began',
      promised: `at most ${Math.round(LIVE_BYTES / MB)} MB more, after a garbage collection; the load generator's ledger apart`,
      tell: ({ liveBytes }) => (liveBytes / MB).toFixed(1),
      holds: (one, other) => other.liveBytes <= one.liveBytes + (one.name === 'load generator' ? allowed : LIVE_BYTES),
    }),
    processCheck(before, after, {
      name: 'Resident memory ended where it began',
      promised: `at most ${Math.round(RSS_BYTES / MB)} MB more; the load generator's ledger apart`,
      tell: ({ rssBytes }) => String(Math.round(rssBytes / MB)),
      holds: (one, other) => other.rssBytes <= one.rssBytes + RSS_BYTES + (one.name === 'load generator' ? allowed : 0),
    }),
    processCheck(before, after, {
      name: 'Open files and sockets ended where they began',
      promised: `at most ${FILES} more in a process`,
      tell: ({ openFiles }) => String(openFiles),
      holds: (one, other) => other.openFiles <= one.openFiles + FILES,
    }),
    ...serverChecks(before, after, users),
  ];
}

function serverChecks(before: Census, after: Census, users: number): readonly Check[] {
  const told = (name: keyof Omit<Census, 'vitals' | 'lastingKeys'>): string => `${before[name]} → ${after[name]}`;
  const known = new Set(before.lastingKeys);
  const added = after.lastingKeys.filter((key) => !known.has(key));
  return [
    {
      name: 'Keys of Redis ended where they began',
      promised: `none more that never expires, at most ${MOST_JOBS} kept jobs, at most ${KEYS_A_USER} that expire for a user`,
      found: `${before.lastingKeys.length} → ${after.lastingKeys.length} that never expire, ${told('keptJobs')} jobs, ${told('expiringKeys')} that expire`,
      passed:
        after.lastingKeys.length <= before.lastingKeys.length &&
        after.keptJobs <= MOST_JOBS &&
        after.expiringKeys <= KEYS_A_USER * users,
      details: added.slice(0, 20).map((key) => `it never expires, and is new: ${key}`),
    },
    {
      name: 'Connections ended where they began',
      promised: `none more to Redis, at most ${FILES} more to the pooler`,
      found: `${told('redisClients')} to Redis, ${told('poolerClients')} to the pooler, ${told('dbConnections')} to Postgres`,
      passed: after.redisClients <= before.redisClients && after.poolerClients <= before.poolerClients + FILES,
    },
  ];
}

type Held = Vitals & { readonly name: string };

interface ProcessCheck {
  readonly name: string;
  readonly promised: string;
  readonly tell: (held: Held) => string;
  readonly holds: (one: Held, other: Held) => boolean;
}

/** Of the processes that lived from one census to the other. */
function processCheck(before: Census, after: Census, { name, promised, tell, holds }: ProcessCheck): Check {
  const lived = [...after.vitals].flatMap(([pid, other]) => {
    const one = before.vitals.get(pid);
    return one === undefined ? [] : [{ one, other }];
  });
  return {
    name,
    promised,
    found: lived.map(({ one, other }) => `${one.name} ${tell(one)} → ${tell(other)}`).join(', '),
    passed: lived.length > 0 && lived.every(({ one, other }) => holds(one, other)),
  };
}
