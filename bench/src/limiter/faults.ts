import { createLimiter, definePolicy } from '@spillway/limiter';
import { startRedis, startRedisCluster, startRedisSentinel } from '@spillway/local-servers';
import { hotPathClusterOptions, hotPathOptions } from '@spillway/redis';
import { Cluster, Redis } from 'ioredis';
import { quantile } from '../section.ts';

/*
 * How long decisions take while Redis fails: run by hand, `node bench/dist/limiter/faults.js`. Each
 * fault begins in the middle of traffic and ends after OUTAGE_MS; traffic goes on until
 * decisions are Redis' own again. A bare timer beside them tells what of a late decision is the machine's doing.
 */
const DEADLINE_MS = 100;
const IN_FLIGHT = 64;
const HEALTHY_MS = 500;
const OUTAGE_MS = 4_000;
const RECOVERY_MS = 20_000;

interface Fault {
  readonly name: string;
  readonly client: Redis | Cluster;
  begin(): Promise<unknown>;
  /** Absent when the servers see to it themselves, by a failover. */
  end?(): Promise<unknown>;
  stop(): Promise<void>;
}

interface Sample {
  readonly at: number;
  readonly tookMs: number;
  readonly away: boolean;
}

async function measure({ name, client, begin, end, stop }: Fault): Promise<string> {
  client.on('error', () => undefined);
  const policies = [definePolicy({ name: 'bench', limit: 10_000, windowMs: 60_000 })] as const;
  const limiter = createLimiter({ redis: client, policies, deadlineMs: DEADLINE_MS });
  const samples: Sample[] = [];
  const state = { running: true };
  const loop = async (first: number): Promise<void> => {
    for (let request = first; state.running; request += IN_FLIGHT) {
      const startedAt = performance.now();
      const { reason } = await limiter.consume('bench', `user-${request % 1_000}`);
      const at = performance.now();
      const tookMs = at - startedAt;
      samples.push({ at, tookMs, away: reason === 'unavailable' });
      // As clients do; and a loop of answers that are there at once would never let a timer run.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const loops = Promise.all(Array.from({ length: IN_FLIGHT }, async (_, first) => loop(first)));
  await pause(HEALTHY_MS);
  const control = controlTimers();
  const began = performance.now();
  await begin();
  await pause(OUTAGE_MS);
  const ended = performance.now();
  await end?.();
  await pause(500);
  while (performance.now() - ended < RECOVERY_MS && samples.slice(-2 * IN_FLIGHT).some(({ away }) => away))
    await pause(100);
  state.running = false;
  await loops;
  await limiter.close();
  client.disconnect();
  await stop();
  const during = samples.filter(({ at }) => at > began);
  const away = during.filter((sample) => sample.away);
  const took = during.map(({ tookMs }) => tookMs);
  const lastAway = away.at(-1)?.at;
  const from = end === undefined ? began : ended;
  const backAfter = lastAway === undefined ? 'never away' : `${Math.max(0, Math.round(lastAway - from))} ms`;
  const cells = [
    during.length,
    away.length,
    ...[0.5, 0.99, 1].map((share) => quantile(took, share).toFixed(1)),
    control.stop().toFixed(1),
    backAfter,
  ];
  return `| ${[name, ...cells].join(' | ')} |`;
}

/** Bare timers of the deadline's length, one begun every 5 ms: what this process can keep at all on this machine, now. */
function controlTimers(): { stop(): number } {
  let longestMs = 0;
  const begin = (): void => {
    const startedAt = performance.now();
    setTimeout(() => {
      longestMs = Math.max(longestMs, performance.now() - startedAt);
    }, DEADLINE_MS);
  };
  const interval = setInterval(begin, 5);
  return {
    stop() {
      clearInterval(interval);
      return longestMs;
    },
  };
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

async function single(name: string, ...args: string[]) {
  const server = await startRedis({ args });
  const client = new Redis(server.url, hotPathOptions);
  return { name, client, server, stop: () => server.stop() };
}

async function cluster(name: string, fault: 'kill' | 'pause'): Promise<Fault> {
  const servers = await startRedisCluster({
    replicasPerMaster: 1,
    nodeTimeoutMs: 1_000,
    args: ['--cluster-require-full-coverage', 'no'],
  });
  const nodes = servers.nodes.map(({ host, port }) => ({ host, port }));
  const begin = async (): Promise<void> => servers.nodes[0]?.[fault]();
  return { name, client: new Cluster(nodes, hotPathClusterOptions), begin, stop: () => servers.stop() };
}

async function sentinel(name: string, fault: 'kill' | 'pause'): Promise<Fault> {
  const set = await startRedisSentinel();
  const sentinels = set.sentinels.map(({ host, port }) => ({ host, port }));
  const client = new Redis({ ...hotPathOptions, sentinels, name: set.name });
  return { name, client, begin: async () => set.nodes[0]?.[fault](), stop: () => set.stop() };
}

const faults: readonly (() => Promise<Fault>)[] = [
  async () => {
    const { server, ...rest } = await single('killed, restarted empty');
    return { ...rest, begin: () => server.kill(), end: () => server.restart() };
  },
  async () => {
    const { server, ...rest } = await single('frozen (SIGSTOP)');
    return { ...rest, begin: () => server.pause(), end: () => server.resume() };
  },
  async () => {
    const { server, ...rest } = await single('maxmemory, noeviction', '--maxmemory-policy', 'noeviction');
    const admin = new Redis(server.url);
    admin.on('error', () => undefined);
    const set = (bytes: number) => () => admin.config('SET', 'maxmemory', bytes);
    const stop = async (): Promise<void> => {
      admin.disconnect();
      await server.stop();
    };
    return { ...rest, begin: set(1), end: set(0), stop };
  },
  async () => {
    const { server, ...rest } = await single('down at boot');
    await server.kill();
    return { ...rest, begin: async () => undefined, end: () => server.restart() };
  },
  () => cluster('Cluster master killed', 'kill'),
  () => cluster('Cluster master frozen', 'pause'),
  () => sentinel('Sentinel master killed', 'kill'),
  () => sentinel('Sentinel master frozen', 'pause'),
];

const lines = [
  `Deadline ${DEADLINE_MS} ms, ${IN_FLIGHT} in flight; times in ms from the fault on.`,
  '',
  '| fault | decisions | without Redis | p50 | p99 | max | a bare timer’s max | decided by Redis again after the fault’s end (failover: its begin) |',
  '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
];
for (const make of faults) lines.push(await measure(await make()));
process.stdout.write(`${lines.join('\n')}\n`);
