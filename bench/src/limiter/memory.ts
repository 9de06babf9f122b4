import { Redis } from 'ioredis';
import type { Effort } from '../effort.ts';
import { median } from '../quantile.ts';
import type { Contender, Rule } from './contenders/contender.ts';
import { rateLimiterFlexible } from './contenders/rate-limiter-flexible.ts';
import { spillway } from './contenders/spillway.ts';
import { upstash } from './contenders/upstash.ts';

/** What a subject that has used up its limit takes in Redis. */
export interface Footprint {
  readonly name: string;
  readonly limit: number;
  /** Median over the keys, by MEMORY USAGE. */
  readonly bytesPerKey: number;
}

const MOST_SUBJECTS = 1_000;
// A long log makes each decision dear: fewer subjects keep the fill short, and all are alike.
const MOST_UNITS = 200_000;
// No exact log is longer, and a counter takes no more however far it has counted.
const MOST_UNITS_A_SUBJECT = 2_000;
const IN_FLIGHT = 100;
// Long, so that nothing leaves a window while the others fill.
const WINDOW_MS = 86_400_000;

/** Fills 1,000 subjects (200 at limit 1,000, 10 at 100,000) to the limit or 2,000 units, one at a time as in life: how a key grew decides what it takes. */
export async function memory(url: string, effort: Effort): Promise<readonly Footprint[]> {
  const footprints: Footprint[] = [];
  for (const make of [spillway, rateLimiterFlexible, upstash]) {
    for (const limit of [10, 100, 1_000, 100_000]) footprints.push(await footprint(url, make, limit, effort));
  }
  return footprints;
}

type Make = (url: string, rule: Rule) => Contender;

async function footprint(url: string, make: Make, limit: number, effort: Effort): Promise<Footprint> {
  const admin = new Redis(url);
  await admin.flushall();
  const subjects = Math.max(10, effort.amount(Math.min(MOST_SUBJECTS, MOST_UNITS / limit)));
  const contender = make(url, { limit, windowMs: WINDOW_MS });
  await fill(contender, Math.min(limit, MOST_UNITS_A_SUBJECT), subjects);
  const keys = await admin.keys('*user-*');
  if (keys.length !== subjects) throw new Error(`${contender.name} has ${keys.length} keys for ${subjects} subjects`);
  const bytes = await Promise.all(keys.map((key) => admin.memory('USAGE', key)));
  await contender.close();
  await admin.flushall();
  admin.disconnect();
  return { name: contender.name, limit, bytesPerKey: median(bytes.map((size) => size ?? Number.NaN)) };
}

async function fill({ decide }: Contender, units: number, subjects: number): Promise<void> {
  // Each loop has its own subjects, so that no two units of a subject meet in one batch.
  const loop = async (first: number): Promise<void> => {
    for (let unit = 0; unit < units; unit += 1) {
      for (let user = first; user < subjects; user += IN_FLIGHT) await decide(`user-${user}`);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, (_, first) => loop(first)));
}
