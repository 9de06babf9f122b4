import { Redis } from 'ioredis';
import type { Effort } from '../effort.ts';
import { median, quantile } from '../quantile.ts';
import { bareScript } from './contenders/bare-script.ts';
import type { Contender } from './contenders/contender.ts';
import { spillway } from './contenders/spillway.ts';

/** How long one decision takes when nothing else is under way, in µs. */
export interface Latency {
  readonly name: string;
  readonly p50Micros: number;
  readonly p99Micros: number;
}

const ROUNDS = 5;
const DECISIONS = 5_000;

/** Spillway, then a bare EVALSHA: one decision in flight, taking turns, the medians of the rounds' quantiles. */
export async function latency(url: string, effort: Effort): Promise<readonly Latency[]> {
  const contenders = [spillway(url), bareScript(url, false)];
  const rounds = new Map<Contender, (readonly number[])[]>(contenders.map((contender) => [contender, []]));
  const admin = new Redis(url);
  for (const contender of contenders) await oneByOne(contender);
  for (let round = 0; round < effort.rounds(ROUNDS); round += 1) {
    for (const contender of contenders) {
      await admin.flushall();
      rounds.get(contender)?.push(await oneByOne(contender));
    }
  }
  admin.disconnect();
  for (const contender of contenders) await contender.close();
  return contenders.map((contender) => {
    const samples = rounds.get(contender) ?? [];
    const over = (share: number): number => median(samples.map((micros) => quantile(micros, share)));
    return { name: contender.name, p50Micros: over(0.5), p99Micros: over(0.99) };
  });
}

/** How long each of 5,000 decisions takes that are asked for one by one, in µs. */
export async function oneByOne({ decide }: Pick<Contender, 'decide'>): Promise<readonly number[]> {
  const micros: number[] = [];
  for (let decision = 0; decision < DECISIONS; decision += 1) {
    const subject = `user-${decision}`;
    const startedAt = process.hrtime.bigint();
    await decide(subject);
    micros.push(Number(process.hrtime.bigint() - startedAt) / 1000);
  }
  return micros;
}
