import {
  type ActiveApiKey,
  activeApiKeys,
  apiKeysVersion,
  parseKey,
  type Queryable,
  secretMatches,
  touchApiKeys,
} from '@spillway/db';
import type { ApiLogger } from '../logger.ts';
import { isNotMigrated, NOT_MIGRATED } from '../health.ts';
import type { Authenticator, Verdict } from '../openapi/api-app.ts';

/** Where keys come from, and how fresh they are. */
export interface KeyDirectoryOptions {
  readonly db: Queryable;
  readonly logger: ApiLogger;
  /** How often to look for changes while keys are used, in ms. With half a second a revocation is known everywhere within one. @default 500 */
  readonly refreshMs?: number;
  /** Without a use of a key for so long, in ms, looks become seldom, and the next use waits for one. @default 30_000 */
  readonly idleMs?: number;
  /** How long the last known keys stay valid while Postgres is away, in ms. @default 900000 */
  readonly staleMs?: number;
  /** How often to write which keys were used, in ms. @default 60000 */
  readonly touchMs?: number;
}

/** All valid keys in memory. */
export interface KeyDirectory extends Authenticator {
  /** Looks for changes now: after a change of our own, it holds at once. Never rejects. */
  refresh(): Promise<void>;
  /** How long ago the keys were read or found unchanged, in ms; infinite before the first time. */
  ageMs(): number;
  /** Writes what is still to be written, and stops. */
  close(): Promise<void>;
}

/** A key with the moment of its end, by `performance.now()`: what Postgres' clock says is left of it, no clock of ours. */
interface KnownKey extends ActiveApiKey {
  readonly endsAt: number;
}

const unknown: Verdict = { kind: 'unknown' };
const unavailable: Verdict = { kind: 'unavailable' };

/** While no key is used, one look in so many is made. */
const IDLE_LOOKS = 40;

/** A look for changes without an answer for so long has failed, in ms: the next one takes another connection. */
const LOOK_MS = 2_000;

/**
 * Every valid key is kept in memory, and a small query notices a change to any of them. So a check costs no round trip, but for the
 * first one after half a minute without; a flood of made-up keys reaches no database, and it works through a transaction pooler, where LISTEN doesn't. While
 * Postgres is away the last known keys hold for `staleMs`: decisions go on, as they do without it in every other way. A key
 * that is not among them may have been made since, so it is not called invalid then.
 */
export function keyDirectory(options: KeyDirectoryOptions): KeyDirectory {
  const { logger, refreshMs = 500, idleMs = 30_000, staleMs = 900_000, touchMs = 60_000 } = options;
  const db = within(options.db, LOOK_MS);
  let keys: ReadonlyMap<string, KnownKey> = new Map();
  let version: string | undefined;
  let freshAt = Number.NEGATIVE_INFINITY;
  const outage = toldOnce(logger, staleMs);
  let refreshing: Promise<void> | undefined;
  const used = new Set<string>();
  const use = useOf(idleMs);

  async function load(): Promise<void> {
    const askedAt = performance.now();
    try {
      const present = await apiKeysVersion(db);
      if (present !== version) {
        keys = new Map((await activeApiKeys(db)).map((key) => [key.id, withEnd(key, askedAt)]));
        version = present;
      }
      freshAt = askedAt;
      outage.ended();
    } catch (error) {
      outage.goesOn(error);
    }
  }

  /** One at a time. A caller during a refresh waits for the next one, which sees everything that was written before the call. */
  async function refresh(): Promise<void> {
    await refreshing;
    refreshing ??= load().finally(() => (refreshing = undefined));
    await refreshing;
  }

  const touch = async (): Promise<void> => noteUse(db, used, logger);
  const look = (): void => {
    if (use.isLookDue() || version === undefined || outage.isOn()) void refresh();
  };
  const timers = [setInterval(look, refreshMs), setInterval(() => void touch(), touchMs)];
  for (const timer of timers) timer.unref();

  async function verify(token: string): Promise<Verdict> {
    const parts = parseKey(token);
    if (parts === undefined) return unknown;
    if (version === undefined || (use.isIdle() && !outage.isOn())) await refresh();
    use.now();
    const now = performance.now();
    if (now - freshAt > staleMs) return unavailable;
    const key = keys.get(parts.id);
    // An unknown id takes as long as a known one.
    const matches = secretMatches(parts.secret, key?.secretHash ?? noHash);
    if (key === undefined) return outage.isOn() || now - freshAt > 3 * refreshMs ? unavailable : unknown;
    if (!matches || key.endsAt <= now) return unknown;
    used.add(key.id);
    return { kind: 'known', principal: { id: key.id, kind: 'api-key', scopes: key.scopes } };
  }

  return {
    verify,
    refresh,
    ageMs: () => performance.now() - freshAt,
    close: async () => {
      for (const timer of timers) clearInterval(timer);
      await refreshing;
      if (used.size > 0) await touch();
    },
  };
}

async function noteUse(db: Queryable, used: Set<string>, logger: ApiLogger): Promise<void> {
  const ids = [...used];
  used.clear();
  await touchApiKeys(db, ids).catch((error: unknown) => logger.debug({ err: error }, 'api: use of keys not noted'));
}

/** When keys were used last, and whether a look for changes is due: each one while they are used, else one in `IDLE_LOOKS`. */
function useOf(idleMs: number): { now(): void; isIdle(): boolean; isLookDue(): boolean } {
  let usedAt = Number.NEGATIVE_INFINITY;
  let looksLeft = IDLE_LOOKS;
  const isIdle = (): boolean => performance.now() - usedAt > idleMs;
  return {
    now: () => void (usedAt = performance.now()),
    isIdle,
    isLookDue() {
      looksLeft -= 1;
      if (isIdle() && looksLeft > 0) return false;
      looksLeft = IDLE_LOOKS;
      return true;
    },
  };
}

/** The same with a time for each statement: pg gives up a connection whose server has fallen silent only after half a minute. */
function within(db: Queryable, ms: number): Queryable {
  const bounded: Pick<Queryable, 'query'> = Object.create(db);
  Reflect.set(bounded, 'query', (statement: string | object, ...values: readonly unknown[]) => {
    const config = typeof statement === 'string' ? { text: statement } : statement;
    return Reflect.apply(db.query, db, [{ ...config, query_timeout: ms }, ...values]);
  });
  return bounded;
}

/** Logs when an outage begins and when it is over, and not twice a second. */
function toldOnce(
  logger: ApiLogger,
  staleMs: number,
): {
  isOn(): boolean;
  goesOn(error: unknown): void;
  ended(): void;
} {
  let isAway = false;
  return {
    isOn: () => isAway,
    goesOn(error) {
      if (isAway) return;
      isAway = true;
      if (isNotMigrated(error)) logger.error(`api: the database ${NOT_MIGRATED}`);
      else logger.warn({ err: error, staleMs }, 'api: keys could not be read; the last known ones hold for staleMs');
    },
    ended() {
      if (isAway) logger.info('api: keys can be read again');
      isAway = false;
    },
  };
}

const noHash = Buffer.alloc(32);

function withEnd(key: ActiveApiKey, askedAt: number): KnownKey {
  return { ...key, endsAt: key.expiresInMs === null ? Number.POSITIVE_INFINITY : askedAt + key.expiresInMs };
}
