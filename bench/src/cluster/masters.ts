import { once } from 'node:events';
import { startRedis, startRedisCluster } from '@spillway/embedded';
import { createLimiter, definePolicy } from '@spillway/limiter';
import { hotPathClusterOptions, hotPathOptions } from '@spillway/redis';
import { Cluster, Redis } from 'ioredis';
import { type Load, measure, type Sample } from '../limiter/measure.ts';
import { median } from '../quantile.ts';

/** One way to run Redis, measured. */
export interface Deployment extends Sample {
  readonly name: string;
  readonly subjects: number;
}

interface Servers {
  readonly name: string;
  readonly urls: readonly string[];
  connect(): Redis | Cluster;
  stop(): Promise<void>;
}

const LOAD: Load = { inFlight: 256, subjects: 10_000, decisions: 100_000 };
const ROUNDS = 3;
const SUBJECTS = [LOAD.subjects, 1] as const;

/** A single Redis, then Clusters of one to three masters: many subjects, and a single one that everybody wants. */
export async function deployments(): Promise<readonly Deployment[]> {
  const found: Deployment[] = [];
  for (const start of [single, ...[1, 2, 3].map((masters) => () => cluster(masters))]) {
    const servers = await start();
    try {
      for (const subjects of SUBJECTS) found.push(await measured(servers, subjects));
    } finally {
      await servers.stop();
    }
  }
  return found;
}

async function measured({ name, urls, connect }: Servers, subjects: number): Promise<Deployment> {
  const redis = connect();
  if (redis.status !== 'ready') await once(redis, 'ready');
  // Nobody is refused: a denial costs less, and would flatter the single subject.
  const policy = definePolicy({ name: 'bench', algorithm: 'fixed-window', limit: 1_000_000, windowMs: 60_000 });
  const limiter = createLimiter({ redis, policies: [policy], deadlineMs: 60_000 });
  const decide = async (subject: string): Promise<void> => {
    const { reason } = await limiter.consume('bench', subject);
    if (reason !== 'allowed') throw new Error(`a decision was ${reason}`);
  };
  const contender = { decide };
  const samples: Sample[] = [];
  await measure(urls, contender, { ...LOAD, subjects, decisions: LOAD.decisions / 4 });
  for (let round = 0; round < ROUNDS; round += 1) samples.push(await measure(urls, contender, { ...LOAD, subjects }));
  await limiter.close();
  redis.disconnect();
  const middle = (read: (sample: Sample) => number): number => median(samples.map(read));
  return {
    name,
    subjects,
    decisionsPerSecond: middle((sample) => sample.decisionsPerSecond),
    clientMicros: middle((sample) => sample.clientMicros),
    redisMicros: middle((sample) => sample.redisMicros),
    busiestShare: middle((sample) => sample.busiestShare),
  };
}

async function single(): Promise<Servers> {
  const server = await startRedis();
  return {
    name: 'one Redis',
    urls: [server.url],
    connect: () => new Redis(server.url, hotPathOptions),
    stop: () => server.stop(),
  };
}

async function cluster(masters: number): Promise<Servers> {
  const servers = await startRedisCluster({ masters });
  const seeds = servers.nodes.map(({ host, port }) => ({ host, port }));
  return {
    name: `Cluster, ${masters} ${masters === 1 ? 'master' : 'masters'}`,
    urls: servers.urls,
    connect: () => new Cluster(seeds, hotPathClusterOptions),
    stop: () => servers.stop(),
  };
}
