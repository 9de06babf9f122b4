import type { Redis } from 'ioredis';
import { LocalServerError, invalidOption } from '../errors.ts';
import { type Server, pollUntil } from '../server.ts';
import { buildRedisSet, type RedisSet, type RedisSetOptions } from './redis-nodes.ts';
import { connectOnce } from './start-redis.ts';

/** What kind of cluster to start. */
export interface RedisClusterOptions extends RedisSetOptions {
  /** Masters; the 16384 slots are divided evenly, in order. @default 3 */
  readonly masters?: number;
  /** Replicas of each master. @default 0 */
  readonly replicasPerMaster?: number;
  /** After how long of silence a node counts as failed. @default 2000 */
  readonly nodeTimeoutMs?: number;
  /** More arguments for every node. @default [] */
  readonly args?: readonly string[];
}

/** One node. */
export interface RedisClusterNode extends Server {
  /** What it was made as; a failover changes its part, not this. */
  readonly role: 'master' | 'replica';
}

/** A cluster that serves all slots. */
export interface RedisCluster {
  /** Masters first, in the order of their slots; then their replicas, round by round in the same order. */
  readonly nodes: readonly RedisClusterNode[];
  /** URLs of all nodes, for clients that want a list of seeds. */
  readonly urls: readonly string[];
  /** Stops all nodes. Doing it twice is the same as once. */
  stop(): Promise<void>;
}

const slotCount = 16_384;
const readyDeadlineMs = 60_000;

/**
 * Starts a Redis Cluster on loopback ports; each node's bus port is 10000 above. Resolves when every node
 * sees every other, all slots are served, and the replicas are in sync.
 *
 * @throws LocalServerError as {@link startRedis}; `not_supported` for the stack `external`
 */
export async function startRedisCluster(options: RedisClusterOptions = {}): Promise<RedisCluster> {
  const { masters = 3, replicasPerMaster = 0, nodeTimeoutMs = 2000, args = [] } = options;
  if (!Number.isInteger(masters) || masters < 1 || masters > 64)
    throw invalidOption('masters', masters, 'an integer from 1 to 64');
  if (!Number.isInteger(replicasPerMaster) || replicasPerMaster < 0 || replicasPerMaster > 5) {
    throw invalidOption('replicasPerMaster', replicasPerMaster, 'an integer from 0 to 5');
  }
  if (!Number.isInteger(nodeTimeoutMs) || nodeTimeoutMs < 100) {
    throw invalidOption('nodeTimeoutMs', nodeTimeoutMs, 'an integer of at least 100');
  }
  return buildRedisSet(masters * (1 + replicasPerMaster), options, async (set) => {
    const settings = ['--cluster-enabled', 'yes', '--cluster-node-timeout', String(nodeTimeoutMs)];
    // A node learns its address from the one that it meets; a single node would tell clients an empty one.
    const address = ['--cluster-announce-ip', '127.0.0.1'];
    // Diskless syncs wait five seconds for more replicas unless told otherwise.
    const replication = ['--repl-diskless-sync-delay', '0'];
    const servers = await Promise.all(
      set.ports.map((port) => set.launch({ port, args: [...settings, ...address, ...replication, ...args] })),
    );
    await join(set, masters);
    const nodes = servers.map((server, index) => asNode(server, index < masters ? 'master' : 'replica'));
    return { nodes, urls: nodes.map((node) => node.url), stop: () => set.stop() };
  });
}

/** Makes strangers into a cluster. The steps are those of `redis-cli --cluster create`. */
async function join(set: RedisSet, masters: number): Promise<void> {
  const clients = set.ports.map((port) => connectOnce(set.host, port));
  try {
    await Promise.all(clients.map((client, index) => client.cluster('SET-CONFIG-EPOCH', index + 1)));
    await Promise.all(clients.slice(0, masters).map((client, index) => assignSlots(client, index, masters)));
    // Each node is introduced to each other: waiting for gossip to do it would take seconds.
    await Promise.all(
      clients.flatMap((client, index) =>
        set.ports.slice(index + 1).map((port) => client.cluster('MEET', '127.0.0.1', port)),
      ),
    );
    await until('the nodes do not find each other', () =>
      everyNode(clients, (info) => info['cluster_known_nodes'] === String(clients.length)),
    );
    const ids = await Promise.all(clients.map((client) => client.cluster('MYID')));
    const replicas = clients.slice(masters);
    await until('the replicas do not accept their masters', async () => {
      // Refused as long as a replica hasn't heard that its master is one.
      const done = await Promise.allSettled(
        replicas.map((client, index) => client.cluster('REPLICATE', String(ids[index % masters]))),
      );
      return done.every((result) => result.status === 'fulfilled');
    });
    await until('the cluster does not become whole', async () => {
      const whole = await everyNode(
        clients,
        (info) => info['cluster_state'] === 'ok' && info['cluster_slots_ok'] === String(slotCount),
      );
      return whole && (await everyViewComplete(clients, replicas.length)) && (await inSync(replicas));
    });
  } finally {
    for (const client of clients) client.disconnect();
  }
}

async function assignSlots(client: Redis, index: number, masters: number): Promise<void> {
  const first = Math.floor((index * slotCount) / masters);
  const end = Math.floor(((index + 1) * slotCount) / masters);
  // Slot by slot and not ADDSLOTSRANGE, which Redis before 7 doesn't know.
  await client.cluster('ADDSLOTS', ...Array.from({ length: end - first }, (_, offset) => first + offset));
}

async function until(problem: string, ask: () => Promise<boolean>): Promise<void> {
  if (!(await pollUntil(ask, readyDeadlineMs))) {
    throw new LocalServerError('start_failed', `Redis Cluster: ${problem} within ${readyDeadlineMs} ms`);
  }
}

async function everyNode(clients: readonly Redis[], test: (info: Record<string, string>) => boolean): Promise<boolean> {
  const infos = await Promise.all(clients.map((client) => client.cluster('INFO')));
  return infos.every((info) => test(parseInfo(info)));
}

/** Whether every node knows every replica as one; clients that ask for replicas get them from any node. */
async function everyViewComplete(clients: readonly Redis[], replicas: number): Promise<boolean> {
  const views = await Promise.all(clients.map((client) => client.cluster('NODES')));
  return views.every(
    (view) =>
      String(view)
        .split('\n')
        .filter((line) => / (myself,)?slave /.test(line)).length === replicas,
  );
}

async function inSync(replicas: readonly Redis[]): Promise<boolean> {
  const infos = await Promise.all(replicas.map((client) => client.info('replication')));
  return infos.every((info) => info.includes('master_link_status:up'));
}

function parseInfo(text: unknown): Record<string, string> {
  const pairs = String(text)
    .split('\r\n')
    .map((line) => line.split(':'));
  return Object.fromEntries(
    pairs.flatMap(([key, value]) => (key !== undefined && value !== undefined ? [[key, value]] : [])),
  );
}

function asNode(server: Server, role: RedisClusterNode['role']): RedisClusterNode {
  return {
    host: server.host,
    port: server.port,
    url: server.url,
    role,
    get pid() {
      return server.pid;
    },
    pause: () => server.pause(),
    resume: () => server.resume(),
    kill: () => server.kill(),
    restart: () => server.restart(),
    stop: () => server.stop(),
  };
}
