import type { Redis } from 'ioredis';
import { type RedisAddress, RedisUnavailableError } from '../config.ts';
import { serversOf, withRedis } from '../connections.ts';
import { type Check, check, unreachableServer } from './check.ts';

/** What was found of one Redis, which may be a Cluster. */
export interface RedisFindings {
  /** What named it. */
  readonly variable: string;
  readonly checks: readonly Check[];
  /** Its clock, less this process' one, in ms; null when it can't be reached. */
  readonly clockMs: number | null;
}

/** Looks at a Redis. Everything comes from INFO, which managed services allow too. */
export async function checkRedis(address: RedisAddress): Promise<RedisFindings> {
  const { variable } = address;
  try {
    return await withRedis(address, async (redis) => {
      const servers = serversOf(redis);
      const looks = await Promise.all(
        servers.map(async (server) => {
          const { host, port } = server.options;
          return look(servers.length === 1 ? variable : `${variable} ${host}:${port}`, server);
        }),
      );
      return { variable, checks: looks.flatMap(({ checks }) => checks), clockMs: farthest(looks) };
    });
  } catch (error) {
    const reason = error instanceof RedisUnavailableError ? error.cause : error;
    return { variable, checks: [unreachableServer('Redis', variable, reason)], clockMs: null };
  }
}

interface Look {
  readonly checks: readonly Check[];
  readonly clockMs: number;
}

async function look(name: string, server: Redis): Promise<Look> {
  const info = parseInfo(await server.info());
  const before = Date.now();
  const [seconds = 0, micros = 0] = (await server.time()).map(Number);
  const clockMs = seconds * 1_000 + micros / 1_000 - (before + Date.now()) / 2;
  return { checks: checksOf(name, info), clockMs };
}

/** The clock that is off by most. */
function farthest(looks: readonly Look[]): number | null {
  const [first] = looks.map(({ clockMs }) => clockMs).toSorted((one, other) => Math.abs(other) - Math.abs(one));
  return first ?? null;
}

function checksOf(name: string, info: ReadonlyMap<string, string>): readonly Check[] {
  const version = info.get('redis_version') ?? 'unknown';
  // Every Valkey says redis_version 7.2.4, the Redis that it is compatible with.
  const valkey = info.get('valkey_version');
  const policy = info.get('maxmemory_policy') ?? 'unknown';
  const aof = info.get('aof_enabled') === '1';
  return [
    check(`${name} version`, valkey === undefined ? version : `Valkey ${valkey}`, Number.parseFloat(version) >= 6.2, {
      status: 'fail',
      advice: 'Run Redis 6.2 or later, or Valkey.',
    }),
    check(`${name} eviction policy`, policy, policy === 'noeviction', {
      // A service that doesn't tell may be set right.
      status: policy === 'unknown' ? 'warn' : 'fail',
      advice: 'CONFIG SET maxmemory-policy noeviction: any other lets Redis delete windows, outboxes and jobs.',
    }),
    check(`${name} persistence`, aof ? 'appendonly yes' : 'appendonly no', aof, {
      status: 'warn',
      advice: 'CONFIG SET appendonly yes: without it a restart loses events that are on their way, and all counters.',
    }),
  ];
}

/** INFO's lines, `name:value`. */
function parseInfo(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split('\r\n').flatMap((line): [string, string][] => {
      const colon = line.indexOf(':');
      return colon < 1 ? [] : [[line.slice(0, colon), line.slice(colon + 1)]];
    }),
  );
}
