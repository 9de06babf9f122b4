import { type Queryable, readClockMs } from '@spillway/db';
import { withTimeout } from '../with-timeout.ts';

/** Reads a clock, in ms since 1970. */
export type Clock = () => Promise<number>;

/** So far may clocks be apart, in ms: more than a slow answer makes, and nothing beside a retention of days. */
const TOLERANCE_MS = 60_000;

/** A clock that takes longer to read has no say. */
const READ_TIMEOUT_MS = 5_000;

/** Clocks that should agree don't. The message names them and how far apart they are. */
export class ClocksDisagreeError extends Error {
  readonly code = 'clocks_disagree';
  override readonly name = 'ClocksDisagreeError';
  /** How far each clock is ahead of the one that is furthest behind, in ms. */
  readonly aheadMs: Readonly<Record<string, number>>;

  constructor(aheadMs: Readonly<Record<string, number>>) {
    const facts = Object.entries(aheadMs).map(([clock, ms]) => `${clock} +${Math.round(ms / 1_000)} s`);
    super(
      `the clocks disagree (${facts.join(', ')}): nothing is deleted or archived until they are within ${TOLERANCE_MS / 1_000} s`,
    );
    this.aheadMs = aheadMs;
  }
}

/**
 * What counts as now for what can't be undone: the earliest of several clocks, which must agree. One clock that is ahead would
 * make everything old at once.
 * @param clocks besides those of Postgres and of this process.
 * @throws {ClocksDisagreeError} when two of them are more than a minute apart; an Error when fewer than two can be read.
 */
export async function agreedNow(db: Queryable, clocks: Readonly<Record<string, Clock>> = {}): Promise<Date> {
  const readings: [string, number][] = [];
  const all: Record<string, Clock> = { worker: async () => Date.now(), postgres: () => readClockMs(db), ...clocks };
  for (const [name, read] of Object.entries(all)) {
    const ms = await withTimeout(READ_TIMEOUT_MS, read()).catch(() => undefined);
    if (ms !== undefined) readings.push([name, ms]);
  }
  if (readings.length < 2) throw new Error('no second clock gives an answer: nothing is deleted or archived');
  const earliest = Math.min(...readings.map(([, ms]) => ms));
  const latest = Math.max(...readings.map(([, ms]) => ms));
  if (!(latest - earliest <= TOLERANCE_MS)) {
    throw new ClocksDisagreeError(Object.fromEntries(readings.map(([name, ms]) => [name, ms - earliest])));
  }
  return new Date(earliest);
}
