import { EncodedArgument } from '@spillway/redis';
import { type Policy, specOf } from '../algorithms/registry.ts';
import { outcomes, toDecision } from '../decision.ts';
import { algorithmScripts } from '../scripts.generated.ts';
import type { Operation, StoreRequest } from '../store/store.ts';
import type { Decision } from '../types.ts';

/*
 * How requests and answers travel: the headers of lua/lone.lua, lua/batch.lua and lua/group.lua. A request is described by a
 * rule of 24 bytes and a text; neighbours with the same rule share it.
 */

const MODES = { enforce: 0, shadow: 1, charge: 3, reward: 4, renew: 5 } as const;

/** The modes of a request that is only to be answered: a block that was only watched counts where the policy watches. */
const PEEK = 2;
const PEEK_WATCHING = 6;

/** The mode in which a request is sent; `readOnly`: to be answered without writing. */
export function modeOf(operation: Operation, { mode }: Policy, readOnly: boolean): number {
  if (readOnly || operation === 'peek') return mode === 'shadow' ? PEEK_WATCHING : PEEK;
  return operation === 'consume' ? MODES[mode] : MODES[operation];
}

/** True when one rule describes both. */
export function alike(one: StoreRequest, other: StoreRequest): boolean {
  return one.policy === other.policy && one.cost === other.cost && one.slot === undefined && other.slot === undefined;
}

/** Bytes in front of a rule's text. */
const RULE_BYTES = 24;

/** Makes rules; that of a unit under a policy as it is, once a policy. */
export class RuleEncoder {
  readonly #spareMs: number;
  readonly #known = new WeakMap<Policy, Buffer>();

  /** `spareMs` is added to each time to live. */
  constructor(spareMs: number) {
    this.#spareMs = spareMs;
  }

  /** `nowMs`: the time around which it is sent. */
  encode(request: StoreRequest, mode: number, nowMs: number = Date.now()): Buffer {
    const { policy, cost, slot } = request;
    if (cost !== 1 || mode >= PEEK || slot !== undefined || !specOf(policy).sentAlike) {
      return this.#rule(request, mode, nowMs);
    }
    let rule = this.#known.get(policy);
    if (rule === undefined) {
      rule = this.#rule(request, mode, nowMs);
      this.#known.set(policy, rule);
    }
    return rule;
  }

  #rule({ policy, cost, slot }: StoreRequest, mode: number, nowMs: number): Buffer {
    const spec = specOf(policy);
    const text = spec.text(policy, { slot, nowMs, spareMs: this.#spareMs });
    const bytes = Buffer.allocUnsafe(RULE_BYTES + text.length);
    bytes.writeUInt32BE(policy.limit, 0);
    bytes.writeUIntBE(policy.windowMs, 4, 6);
    bytes.writeUInt32BE(policy.blockMs, 10);
    bytes.writeUInt8(mode, 14);
    bytes.writeUInt32BE(cost, 15);
    bytes.writeUInt32BE(spec.parameter(policy), 19);
    bytes.writeUInt8(text.length, 23);
    bytes.write(text, RULE_BYTES, 'latin1');
    return bytes;
  }
}

/** The argument of lone.lua. */
export function loneArgument(outboxCap: number, rule: Buffer): EncodedArgument {
  const head = Buffer.allocUnsafe(4);
  head.writeUInt32BE(outboxCap, 0);
  return new EncodedArgument(Buffer.concat([head, rule]));
}

/** The argument of batch.lua, of runs of requests that one rule describes. */
export function batchArgument(
  outboxCap: number,
  repeated: boolean,
  runs: readonly { readonly rule: Buffer; readonly count: number }[],
): EncodedArgument {
  const parts = [start(outboxCap, repeated)];
  for (const { rule, count } of runs) parts.push(uint32(count), rule);
  return new EncodedArgument(Buffer.concat(parts));
}

/** The argument of group.lua, of runs of groups that the same rules describe. */
export function groupArgument(
  outboxCap: number,
  repeated: boolean,
  runs: readonly { readonly rules: readonly { policy: Policy; rule: Buffer }[]; readonly count: number }[],
): EncodedArgument {
  const parts = [start(outboxCap, repeated)];
  for (const { rules, count } of runs) {
    parts.push(uint32(count), Buffer.of(rules.length));
    for (const { policy, rule } of rules) parts.push(Buffer.of(algorithmScripts[policy.algorithm].number), rule);
  }
  return new EncodedArgument(Buffer.concat(parts));
}

/** `repeated`: a key comes twice, so that each window is to be read by itself. */
function start(outboxCap: number, repeated: boolean): Buffer {
  const bytes = uint32(outboxCap, 5);
  bytes.writeUInt8(repeated ? 1 : 0, 4);
  return bytes;
}

function uint32(value: number, size = 4): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  bytes.writeUInt32BE(value, 0);
  return bytes;
}

/** Cuts a batch into runs of neighbours that are alike: mostly the whole batch is one. */
export function runsOf<Item>(
  batch: readonly Item[],
  same: (one: Item, other: Item) => boolean,
): readonly { readonly first: Item; readonly count: number }[] {
  const runs: { first: Item; count: number }[] = [];
  let run: { first: Item; count: number } | undefined;
  for (const item of batch) {
    if (run !== undefined && same(run.first, item)) run.count += 1;
    else runs.push((run = { first: item, count: 1 }));
  }
  return runs;
}

const TIME_BYTES = 6;
/** Bytes a request, in front of all others: the units that remain, or {@link SEE_TAIL}. */
const UNITS_BYTES = 4;
/** Said instead of units of a request that has {@link ANSWER_BYTES} behind all units. */
const SEE_TAIL = 0xffffffff;
const ANSWER_BYTES = 17;
/** All bits set: no end. */
const FOREVER = 2 ** 48 - 1;
const BLOCK_FOREVER = 2 ** 32 - 1;

/** Reads the answers to a batch in their order. */
export class ReplyReader {
  readonly nowMs: number;
  /** The outcome of the answer that was read last. */
  outcome: number = outcomes.allowed;
  readonly #reply: Buffer;
  #units = TIME_BYTES;
  #end: number;

  /** `count`: the requests of the batch. */
  constructor(reply: Buffer, count: number) {
    this.#reply = reply;
    this.nowMs = reply.readUIntBE(0, TIME_BYTES);
    this.#end = TIME_BYTES + UNITS_BYTES * count;
  }

  next(policy: Policy): Decision {
    const units = this.#reply.readUInt32BE(this.#units);
    this.#units += UNITS_BYTES;
    if (units === SEE_TAIL) return this.#answer(policy);
    this.outcome = outcomes.allowed;
    return admittedWith(policy, units, this.nowMs);
  }

  /** How many events found the outbox full; when all answers have been read. */
  dropped(): number {
    return this.#reply.length > this.#end ? this.#reply.readUInt32BE(this.#end) : 0;
  }

  #answer(policy: Policy): Decision {
    const reply = this.#reply;
    const offset = this.#end;
    this.#end += ANSWER_BYTES;
    const outcome = reply.readUInt8(offset);
    const units = reply.readUInt32BE(offset + 1);
    const reset = endless(reply.readUIntBE(offset + 5, 6));
    const retry = endless(reply.readUIntBE(offset + 11, 6));
    this.outcome = outcome;
    // Behind a block no units remain: in their place stands how long it lasts.
    if (outcome !== outcomes.blockBegins && outcome !== outcomes.blocked) {
      return toDecision(policy, outcome, units, reset, retry, this.nowMs);
    }
    return toDecision(policy, outcome, 0, reset, retry, this.nowMs, units === BLOCK_FOREVER ? Infinity : units);
  }
}

/** Admitted with `remaining` units left, and all free again a window from now. */
function admittedWith(policy: Policy, remaining: number, nowMs: number): Decision {
  return toDecision(policy, outcomes.allowed, remaining, policy.windowMs, 0, nowMs);
}

/** What lone.lua answers by a number: remaining × 2^41 + server time. */
export function decodeCompact(policy: Policy, reply: number): Decision {
  const remaining = Math.floor(reply / 2 ** 41);
  return admittedWith(policy, remaining, reply - remaining * 2 ** 41);
}

function endless(ms: number): number {
  return ms === FOREVER ? Infinity : ms;
}
