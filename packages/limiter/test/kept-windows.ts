import type { Decision } from '../src/types.ts';

/** A window or the record of a block as it stands in Redis. */
interface Kept {
  readonly value: string;
  /** When Redis deletes it, in ms since 1970 by the clock of the server; -1: never. */
  readonly deletedAtMs: number;
  /** What its header says of that, by the clock that is turned by hand. */
  readonly expiresMs: number;
}

/** What was asked about a window, and the answer. */
export interface Asked {
  readonly key: string;
  /** It only looks. */
  readonly isPeek: boolean;
  /** It may be withheld for the sake of others. */
  readonly inGroup: boolean;
}

/** Everything that Redis keeps of windows, and the time of the server in front of and behind a round. */
export interface Snapshot {
  readonly windows: ReadonlyMap<string, Kept>;
  readonly atMs: number;
}

/** Reads what Redis keeps. `run` sends a script without keys. */
export async function snapshot(run: (script: string) => Promise<unknown>): Promise<Snapshot> {
  const [time, ...flat] = (await run(`
local time = redis.call('TIME')
local found = { time[1] * 1000 + math.floor(time[2] / 1000) }
for _, key in ipairs(redis.call('KEYS', '{sw:*}:w:*')) do
  local value = redis.call('GET', key)
  found[#found + 1] = key
  found[#found + 1] = redis.sha1hex(value)
  found[#found + 1] = redis.call('PEXPIRETIME', key)
  found[#found + 1] = struct.unpack('>I6', value, 13)
end
return found`)) as readonly [number, ...(string | number)[]];
  const windows = new Map<string, Kept>();
  for (let at = 0; at < flat.length; at += 4) {
    windows.set(String(flat[at]), {
      value: String(flat[at + 1]),
      deletedAtMs: Number(flat[at + 2]),
      expiresMs: Number(flat[at + 3]),
    });
  }
  return { windows, atMs: time };
}

/** A round: what stood in Redis before and after it, and when it was by the clock that is turned by hand. */
export interface Round {
  readonly before: Snapshot;
  readonly after: Snapshot;
  readonly nowMs: number;
  /** What the tests' scripts add to each time to live. */
  readonly spareMs: number;
  readonly asked: readonly Asked[];
  readonly answers: readonly unknown[];
}

/**
 * What no answer tells of times to live: each window has one, its header says when it ends, it lasts as long as the answer says
 * that something of it counts, and a look changes nothing.
 * @returns what is wrong
 */
export function wrongAbout(round: Round): string | undefined {
  const { before, after, asked } = round;
  for (const [key, kept] of after.windows) {
    if (kept.deletedAtMs <= 0) return `${key} has no time to live`;
    const old = before.windows.get(key);
    if (old !== undefined && isSame(old, kept)) continue;
    if (asked.every(({ isPeek }) => isPeek)) return `a look changed ${key}`;
    if (old?.expiresMs === kept.expiresMs && old.deletedAtMs === kept.deletedAtMs) continue;
    // Both ends are sure: it was written between the two snapshots.
    const livesMs = kept.expiresMs - round.nowMs + round.spareMs;
    if (kept.deletedAtMs < before.atMs + livesMs || kept.deletedAtMs > after.atMs + livesMs)
      return `${key} is deleted ${kept.deletedAtMs - before.atMs - livesMs} ms after what its header says`;
  }
  return brokenPromise(round);
}

function isSame(one: Kept, other: Kept): boolean {
  return one.value === other.value && one.deletedAtMs === other.deletedAtMs;
}

function brokenPromise({ after, nowMs, asked, answers }: Round): string | undefined {
  for (const [place, { key, isPeek, inGroup }] of asked.entries()) {
    const kept = after.windows.get(key);
    const answer = answers[place];
    if (
      isPeek ||
      inGroup ||
      kept === undefined ||
      !isDecision(answer) ||
      !isFinite(answer.resetAfterMs) ||
      answer.resetAfterMs === 0
    )
      continue;
    if (kept.expiresMs < nowMs + answer.resetAfterMs)
      return `${key} ends ${nowMs + answer.resetAfterMs - kept.expiresMs} ms too early`;
  }
  return undefined;
}

function isDecision(answer: unknown): answer is Decision {
  return typeof answer === 'object' && answer !== null && 'resetAfterMs' in answer;
}
