import type { Policy } from '../algorithms/registry.ts';
import { definePolicy } from './policy.ts';

const MINUTE = 60_000;

/**
 * 10 a minute, then refused for 5 minutes: for what is costly or dangerous. While Redis is away each process decides by its
 * share of the limit.
 */
export const strict: Policy<'strict'> = definePolicy({
  name: 'strict',
  limit: 10,
  windowMs: MINUTE,
  blockMs: 5 * MINUTE,
  onUnavailable: 'local',
});

/** 100 a minute, then refused for 1 minute: for ordinary reads and writes. */
export const standard: Policy<'standard'> = definePolicy({
  name: 'standard',
  limit: 100,
  windowMs: MINUTE,
  blockMs: MINUTE,
});

/**
 * 20 a minute, then refused for 2 minutes: for work that an AI provider bills. While Redis is away each process decides by
 * its share of the limit.
 */
export const generation: Policy<'generation'> = definePolicy({
  name: 'generation',
  limit: 20,
  windowMs: MINUTE,
  blockMs: 2 * MINUTE,
  onUnavailable: 'local',
});

/** 5 a minute, then refused for 15 minutes; refuses too while Redis is away, since guessing passwords must never be free. */
export const auth: Policy<'auth'> = definePolicy({
  name: 'auth',
  limit: 5,
  windowMs: MINUTE,
  blockMs: 15 * MINUTE,
  onUnavailable: 'closed',
});

/** The four built-in policies. */
export const tiers: readonly [typeof strict, typeof standard, typeof generation, typeof auth] = [
  strict,
  standard,
  generation,
  auth,
];
