import { outcomes, toDecision } from '../../decision.ts';
import type { Decision, Policy } from '../../types.ts';

/**
 * What decide-counters.lua and decide.lua answer: 6 bytes server time, then 17 bytes a request, then 4 bytes if events were
 * dropped.
 */
export const REPLY_HEADER = 6;
/** Bytes a request in the reply. */
export const REPLY_SIZE = 17;

/** All bits set: no end. */
const FOREVER = 2 ** 48 - 1;
const BLOCK_FOREVER = 2 ** 32 - 1;

/** The server's time in ms since 1970. */
export function timeOf(reply: Buffer): number {
  return reply.readUIntBE(0, 6);
}

/** The decision at `offset`, where its outcome stands. */
export function decisionAt(policy: Policy, reply: Buffer, offset: number, nowMs: number): Decision {
  const outcome = reply.readUInt8(offset);
  const units = reply.readUInt32BE(offset + 1);
  const reset = endless(reply.readUIntBE(offset + 5, 6));
  const retry = endless(reply.readUIntBE(offset + 11, 6));
  // Behind a block no units remain: in their place stands how long it lasts.
  if (outcome !== outcomes.blockBegins && outcome !== outcomes.blocked) {
    return toDecision(policy, outcome, units, reset, retry, nowMs);
  }
  return toDecision(policy, outcome, 0, reset, retry, nowMs, units === BLOCK_FOREVER ? Infinity : units);
}

/** Bytes a request in what decide-log.lua answers: the units that remain, or {@link ELSEWHERE}. */
export const UNITS_SIZE = 4;
/** Said instead of units of a request whose 17 bytes stand behind all units. */
export const ELSEWHERE = 0xffffffff;

/** Admitted with `remaining` units left, and all free again a window from now. */
export function admittedWith(policy: Policy, remaining: number, nowMs: number): Decision {
  return toDecision(policy, outcomes.allowed, remaining, policy.windowMs, 0, nowMs);
}

/** What decide-lone-log.lua answers by a number: remaining × 2^41 + server time. */
export function admittedIn(policy: Policy, reply: number): Decision {
  const remaining = Math.floor(reply / 2 ** 41);
  return admittedWith(policy, remaining, reply - remaining * 2 ** 41);
}

/** How many events found the outbox full, given where the requests' answers end. */
export function droppedAt(reply: Buffer, end: number): number {
  return reply.length > end ? reply.readUInt32BE(end) : 0;
}

function endless(ms: number): number {
  return ms === FOREVER ? Infinity : ms;
}
