import { RedisUnavailableError, type RedisAddress, withRedis } from '../open-redis.ts';
import { type Check, check, unreachable } from './check.ts';

/** What was found of one Redis. */
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
      const info = parseInfo(await redis.info());
      const before = Date.now();
      const [seconds = 0, micros = 0] = (await redis.time()).map(Number);
      const clockMs = seconds * 1_000 + micros / 1_000 - (before + Date.now()) / 2;
      return { variable, checks: judge(variable, info), clockMs };
    });
  } catch (error) {
    const advice = `Start Redis, or set ${variable} to where it is.`;
    const reason = error instanceof RedisUnavailableError ? error.cause : error;
    return { variable, checks: [unreachable(`${variable} reachable`, reason, advice)], clockMs: null };
  }
}

function judge(variable: string, info: ReadonlyMap<string, string>): readonly Check[] {
  const version = info.get('redis_version') ?? 'unknown';
  const policy = info.get('maxmemory_policy') ?? 'unknown';
  const aof = info.get('aof_enabled') === '1';
  return [
    check(`${variable} version`, version, Number.parseFloat(version) >= 6.2, {
      status: 'fail',
      advice: 'Run Redis 6.2 or later, or Valkey.',
    }),
    check(`${variable} eviction policy`, policy, policy === 'noeviction', {
      // A service that doesn't tell may be set right.
      status: policy === 'unknown' ? 'warn' : 'fail',
      advice: 'CONFIG SET maxmemory-policy noeviction: any other lets Redis delete windows, outboxes and jobs.',
    }),
    check(`${variable} persistence`, aof ? 'appendonly yes' : 'appendonly no', aof, {
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
