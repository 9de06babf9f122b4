import { once } from 'node:events';
import { createLimiter, definePolicy } from '@spillway/limiter';
import { startRedis, startRedisCluster } from '@spillway/local-servers';
import { hotPathClusterOptions, hotPathOptions } from '@spillway/redis';
import { Cluster, Redis } from 'ioredis';
import { commandsSent } from '../redis-usage.ts';
import { type Effort, median } from '../section.ts';
import { type Load, measure, type Sample } from './measure.ts';

/** One way to run Redis under one load. */
export interface Deployment extends Sample {
  readonly name: string;
  readonly masters: number;
  readonly policy: PolicyName;
  readonly subjects: number;
  readonly inFlight: number;
  /** Commands that clients sent, per 1,000 decisions, of all rounds together. */
  readonly commandsPerThousand: number;
}

/** What one load asks for. */
export interface Case {
  readonly policy: PolicyName;
  readonly subjects: number;
  readonly decisions: number;
}

/** The policies below. */
export type PolicyName = 'fixed-window' | 'sliding-log' | 'no-lease' | 'leases';

/** None of them refuses a request: a refusal costs less, and would make the single subject look cheaper. */
const HOT = { limit: 100_000_000, windowMs: 60_000 } as const;
const policies = [
  definePolicy({ name: 'fixed-window', ...HOT, algorithm: 'fixed-window' }),
  definePolicy({ name: 'sliding-log', limit: 1_000, windowMs: 60_000, algorithm: 'sliding-log' }),
  definePolicy({ name: 'no-lease', ...HOT }),
  definePolicy({ name: 'leases', ...HOT, lease: { size: 5_000, ttlMs: 5_000 } }),
] as const;

const ROUNDS = 3;

/** Many subjects, and a single one that all requests ask for. */
export const spreadCases: readonly Case[] = [
  { policy: 'fixed-window', subjects: 10_000, decisions: 60_000 },
  { policy: 'sliding-log', subjects: 10_000, decisions: 60_000 },
  { policy: 'fixed-window', subjects: 1, decisions: 60_000 },
];

/** One subject, for which units are taken ahead or not. */
export const hotCases: readonly Case[] = [
  { policy: 'no-lease', subjects: 1, decisions: 60_000 },
  { policy: 'leases', subjects: 1, decisions: 500_000 },
];

/** Each case on the same servers, with so many decisions in flight; medians of rounds. */
export async function deployments(
  servers: Servers,
  { cases, inFlight, effort }: { cases: readonly Case[]; inFlight: number; effort: Effort },
): Promise<readonly Deployment[]> {
  const redis = servers.connect();
  if (redis.status !== 'ready') await once(redis, 'ready');
  const limiter = createLimiter({ redis, policies, deadlineMs: 60_000 });
  const probes = servers.urls.map((url) => new Redis(url));
  const sent = async (): Promise<number> => {
    const counts = await Promise.all(probes.map(commandsSent));
    return counts.reduce((sum, one) => sum + one, 0);
  };
  const found: Deployment[] = [];
  for (const { policy, subjects, decisions } of cases) {
    const decide = async (subject: string): Promise<void> => {
      const { reason } = await limiter.consume(policy, subject);
      if (reason !== 'allowed') throw new Error(`a decision was ${reason}`);
    };
    const load: Load = { inFlight, subjects, decisions: effort.amount(decisions) };
    const rounds = effort.rounds(ROUNDS);
    const samples: Sample[] = [];
    await measure(servers.urls, { decide }, { ...load, decisions: load.decisions / 2 });
    const before = await sent();
    for (let round = 0; round < rounds; round += 1) samples.push(await measure(servers.urls, { decide }, load));
    const commandsPerThousand = ((await sent()) - before) / ((rounds * load.decisions) / 1_000);
    found.push({
      name: servers.name,
      masters: servers.masters,
      policy,
      subjects,
      inFlight,
      commandsPerThousand,
      ...middle(samples),
    });
  }
  await limiter.close();
  for (const client of [redis, ...probes]) client.disconnect();
  return found;
}

function middle(samples: readonly Sample[]): Sample {
  const of = (read: (sample: Sample) => number): number => median(samples.map(read));
  return {
    decisionsPerSecond: of((sample) => sample.decisionsPerSecond),
    clientMicros: of((sample) => sample.clientMicros),
    redisMicros: of((sample) => sample.redisMicros),
    busiestShare: of((sample) => sample.busiestShare),
  };
}

/** One way to run Redis. */
export interface Servers {
  readonly name: string;
  readonly masters: number;
  readonly urls: readonly string[];
  connect(): Redis | Cluster;
  stop(): Promise<void>;
}

/** A Redis that is no Cluster. */
export async function single(): Promise<Servers> {
  const server = await startRedis();
  return {
    name: 'one Redis',
    masters: 1,
    urls: [server.url],
    connect: () => new Redis(server.url, hotPathOptions),
    stop: () => server.stop(),
  };
}

/** A Cluster without replicas. */
export async function cluster(masters: number): Promise<Servers> {
  const servers = await startRedisCluster({ masters });
  const seeds = servers.nodes.map(({ host, port }) => ({ host, port }));
  return {
    name: `Cluster, ${masters} ${masters === 1 ? 'master' : 'masters'}`,
    masters,
    urls: servers.urls,
    connect: () => new Cluster(seeds, hotPathClusterOptions),
    stop: () => servers.stop(),
  };
}
