import { LocalServerError, invalidOption } from '../errors.ts';
import { type Server, pollUntil } from '../server.ts';
import { buildRedisSet, type RedisSet, type RedisSetOptions } from './redis-nodes.ts';
import { connectOnce } from './start-redis.ts';

/** What kind of set to start. */
export interface RedisSentinelOptions extends RedisSetOptions {
  /** Replicas of the one master. @default 2 */
  readonly replicas?: number;
  /** Sentinels that watch over them; a majority decides. @default 3 */
  readonly sentinels?: number;
  /** After how long of silence a sentinel holds the master for dead. @default 1000 */
  readonly downAfterMs?: number;
  /** Name of the master. @default 'spillway' */
  readonly name?: string;
  /** More arguments for every data node. @default [] */
  readonly args?: readonly string[];
}

/** Where the master is. */
export interface RedisAddress {
  readonly host: string;
  readonly port: number;
}

/** A master with replicas and the sentinels that replace it when it dies, which takes a few seconds. */
export interface RedisSentinelSet {
  /** What clients are given: the sentinels and the master's name. */
  readonly sentinels: readonly Server[];
  readonly name: string;
  /** Data nodes; the first was made as the master. */
  readonly nodes: readonly Server[];
  /** Who the master is, according to the first sentinel that answers. */
  master(): Promise<RedisAddress>;
  /** Stops all of them. Doing it twice is the same as once. */
  stop(): Promise<void>;
}

const readyDeadlineMs = 60_000;

/**
 * Starts a master, replicas and sentinels. Resolves when the replicas are in sync and every sentinel
 * knows every replica and every other sentinel, so that a failover can begin at once.
 *
 * @throws LocalServerError as {@link startRedis}; `not_supported` for the stack `external`
 */
export async function startRedisSentinel(options: RedisSentinelOptions = {}): Promise<RedisSentinelSet> {
  const { replicas = 2, sentinels = 3, downAfterMs = 1000, name = 'spillway', args = [] } = options;
  if (!Number.isInteger(replicas) || replicas < 1 || replicas > 10)
    throw invalidOption('replicas', replicas, 'an integer from 1 to 10');
  if (!Number.isInteger(sentinels) || sentinels < 1 || sentinels > 9)
    throw invalidOption('sentinels', sentinels, 'an integer from 1 to 9');
  if (!Number.isInteger(downAfterMs) || downAfterMs < 100)
    throw invalidOption('downAfterMs', downAfterMs, 'an integer of at least 100');
  if (!/^[\w.-]+$/.test(name))
    throw invalidOption('name', name, 'made of letters, digits, dots, dashes and underscores');
  return buildRedisSet(1 + replicas + sentinels, options, async (set) => {
    const nodes = await startNodes(set, set.ports.slice(0, 1 + replicas), args);
    const watchers = await Promise.all(
      set.ports.slice(1 + replicas).map((port) => {
        const config = watch(name, set.ports[0] ?? 0, Math.floor(sentinels / 2) + 1, downAfterMs);
        return set.launch({ port, args: [], sentinelConfig: config });
      }),
    );
    await until('the sentinels do not find each other', async () => {
      const views = await Promise.all(watchers.map((watcher) => viewOf(watcher, name)));
      return views.every(
        (view) => view['num-slaves'] === String(replicas) && view['num-other-sentinels'] === String(sentinels - 1),
      );
    });
    return { sentinels: watchers, name, nodes, master: () => masterOf(watchers, name), stop: () => set.stop() };
  });
}

async function startNodes(
  set: RedisSet,
  ports: readonly number[],
  args: readonly string[],
): Promise<readonly Server[]> {
  const [masterPort = 0, ...replicaPorts] = ports;
  const settings = ['--repl-diskless-sync-delay', '0', ...args];
  const master = await set.launch({ port: masterPort, args: settings });
  const following = ['--replicaof', '127.0.0.1', String(masterPort)];
  const replicas = await Promise.all(
    replicaPorts.map((port) => set.launch({ port, args: [...following, ...settings] })),
  );
  // Sentinels learn of replicas from the master, at once or ten seconds later: so these come first.
  await until('the replicas do not get in sync', async () => {
    const links = await Promise.all(replicas.map((replica) => asked(replica, (redis) => redis.info('replication'))));
    return links.every((info) => info.includes('master_link_status:up'));
  });
  return [master, ...replicas];
}

function watch(name: string, masterPort: number, quorum: number, downAfterMs: number): readonly string[] {
  return [
    `sentinel monitor ${name} 127.0.0.1 ${masterPort} ${quorum}`,
    `sentinel down-after-milliseconds ${name} ${downAfterMs}`,
    // Also how long a failed attempt blocks the next one.
    `sentinel failover-timeout ${name} ${downAfterMs * 3}`,
    `sentinel parallel-syncs ${name} 1`,
  ];
}

async function viewOf(watcher: Server, name: string): Promise<Record<string, string>> {
  const reply = await asked(watcher, (redis) => redis.call('SENTINEL', 'MASTER', name));
  return Array.isArray(reply) ? pairs(reply.map(String)) : {};
}

/** Redis' flat list of names and values. */
function pairs(list: readonly string[]): Record<string, string> {
  return Object.fromEntries(list.flatMap((key, index) => (index % 2 === 0 ? [[key, list[index + 1] ?? '']] : [])));
}

async function masterOf(watchers: readonly Server[], name: string): Promise<RedisAddress> {
  const reply = await Promise.any(
    watchers.map((watcher) => asked(watcher, (redis) => redis.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name))),
  );
  const [host, port] = Array.isArray(reply) ? reply.map(String) : [];
  if (host === undefined) throw new LocalServerError('not_running', `no sentinel knows a master named ${name}`);
  return { host, port: Number(port) };
}

async function asked<T>(server: Server, ask: (redis: ReturnType<typeof connectOnce>) => Promise<T>): Promise<T> {
  const redis = connectOnce(server.host, server.port);
  try {
    return await ask(redis);
  } finally {
    redis.disconnect();
  }
}

async function until(problem: string, ask: () => Promise<boolean>): Promise<void> {
  if (!(await pollUntil(ask, readyDeadlineMs))) {
    throw new LocalServerError('start_failed', `Redis Sentinel: ${problem} within ${readyDeadlineMs} ms`);
  }
}
