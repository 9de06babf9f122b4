import { faultOf, type EncodedArgument, type RedisClient, type RedisFault, type RedisScript } from '@spillway/redis';
import type { Policy } from '../algorithms/registry.ts';
import { outcomes } from '../decision.ts';
import type { BlockedListener, Operation, StoreRequest } from '../store/store.ts';
import type { Decision } from '../types.ts';
import type { Protocol } from './4-batch.ts';
import {
  decodeCompact,
  alike,
  batchArgument,
  groupArgument,
  loneArgument,
  modeOf,
  ReplyReader,
  RuleEncoder,
  runsOf,
} from './6-codec.ts';
import type { Fallback } from './fallback.ts';
import type { SingleScripts } from './scripts.ts';

/** A request on its own: nearly all there are. */
export interface SingleItem {
  readonly request: StoreRequest;
  readonly operation: 'consume' | 'peek';
  readonly resolve: (decision: Decision | Promise<Decision>) => void;
}

/** What a {@link singleProtocol} is made of. */
export interface SingleProtocolOptions {
  readonly client: RedisClient;
  readonly outboxCap: number;
  readonly spareMs: number;
  /** Answers what Redis doesn't. */
  readonly fallback: Fallback;
  /** Decides by group.lua: what another algorithm has counted, before a live change, is taken over there. */
  readonly decideGenerally: (request: StoreRequest, operation: 'consume' | 'peek') => Promise<Decision>;
  /** Called for each refusal of a subject that was blocked already. */
  readonly onRefusedWhileBlocked: BlockedListener;
  /** Called with how many events of a batch found the outbox full. */
  readonly onDropped: (count: number) => void;
}

/** Speaks with lone.lua and batch.lua of one algorithm. */
export function singleProtocol(
  { lone, batch: together }: SingleScripts,
  options: SingleProtocolOptions,
): Protocol<SingleItem, Buffer | number> {
  const { client, outboxCap, fallback, decideGenerally, onRefusedWhileBlocked, onDropped } = options;
  const rules = new RuleEncoder(options.spareMs);
  // The argument of a unit under a policy as it is: made once a policy.
  const known = new WeakMap<Policy, EncodedArgument>();

  const ruleOf = ({ request, operation }: SingleItem, readOnly: boolean): Buffer =>
    rules.encode(request, modeOf(operation, request.policy, readOnly));

  function alone(item: SingleItem, readOnly: boolean): EncodedArgument {
    const { policy, cost, slot } = item.request;
    if (readOnly || cost !== 1 || item.operation === 'peek' || slot !== undefined) {
      return loneArgument(outboxCap, ruleOf(item, readOnly));
    }
    let argument = known.get(policy);
    if (argument === undefined) known.set(policy, (argument = loneArgument(outboxCap, ruleOf(item, false))));
    return argument;
  }

  function settleOne({ request, operation, resolve }: SingleItem, answers: ReplyReader, asked: Asked): void {
    const decision = answers.next(request.policy);
    if (answers.outcome === outcomes.foreign) resolve(decideGenerally(request, operation));
    else if (asked.readOnly && operation === 'consume' && answers.outcome === outcomes.allowed)
      resolve(fallback.decide(request, false, faultOf('out_of_memory')));
    else {
      if (answers.outcome === outcomes.blocked && operation === 'consume')
        onRefusedWhileBlocked(request, decision, asked.askedAtMs);
      resolve(decision);
    }
  }

  return {
    keyOf: ({ request }) => request.key,
    send(batch, readOnly) {
      const [first, second] = batch;
      if (first !== undefined && second === undefined) {
        return lone.run(client, [first.request.key], [alone(first, readOnly)]);
      }
      const keys = batch.map(({ request }) => request.key);
      const runs = runsOf(batch, sameRule).map((run) => ({ rule: ruleOf(run.first, readOnly), count: run.count }));
      return together.run(client, keys, [batchArgument(outboxCap, isRepeated(batch, keys), runs)]);
    },
    settle(batch, reply, readOnly, askedAtMs) {
      // Only a request that was charged is answered by a number: never one that was only looked at.
      if (typeof reply === 'number') {
        for (const { request, resolve } of batch) resolve(decodeCompact(request.policy, reply));
        return;
      }
      const answers = new ReplyReader(reply, batch.length);
      const asked = { readOnly, askedAtMs };
      for (const item of batch) settleOne(item, answers, asked);
      const dropped = answers.dropped();
      if (dropped > 0) onDropped(dropped);
    },
    fail(batch, fault) {
      for (const { request, operation, resolve } of batch)
        resolve(fallback.decide(request, operation === 'peek', fault));
    },
  };
}

/**
 * Whether a key comes twice. Only then a subject does: those are looked at first, since a caller's text is in one piece and has
 * been hashed before, which a key just joined has not.
 */
function isRepeated(batch: readonly SingleItem[], keys: readonly string[]): boolean {
  const subjects = new Set<string>();
  for (const { request } of batch) subjects.add(request.subject);
  return subjects.size < keys.length && new Set(keys).size < keys.length;
}

/** How and when a batch was asked. */
interface Asked {
  readonly askedAtMs: number;
  readonly readOnly: boolean;
}

function sameRule(one: SingleItem, other: SingleItem): boolean {
  return one.operation === other.operation && alike(one.request, other.request);
}

/** Requests that are decided together, all of one shard when Redis is a Cluster. */
export interface GroupItem {
  readonly requests: readonly StoreRequest[];
  readonly operation: Operation;
  readonly resolve: (decisions: readonly Decision[]) => void;
  readonly reject: (fault: RedisFault) => void;
  /** Set when a group is sent again with the server's time. */
  readonly again?: boolean;
}

/** What a {@link groupProtocol} is made of. */
export interface GroupProtocolOptions {
  readonly client: RedisClient;
  readonly script: RedisScript<Buffer>;
  readonly outboxCap: number;
  readonly spareMs: number;
  /** Called for each refusal of a subject that was blocked already. */
  readonly onRefusedWhileBlocked: BlockedListener;
  /** Called with how many events of a batch found the outbox full. */
  readonly onDropped: (count: number) => void;
  /** Sends a group once more. */
  readonly resend: (item: GroupItem) => void;
}

/** Speaks with group.lua. */
export function groupProtocol(options: GroupProtocolOptions): Protocol<GroupItem, Buffer> {
  const { client, script, outboxCap, onRefusedWhileBlocked, onDropped, resend } = options;
  const rules = new RuleEncoder(options.spareMs);
  // How far the server's clock is ahead of ours; learned only from a quota whose periods were all wrong.
  let aheadMs = 0;

  function rulesOf({ requests, operation }: GroupItem, readOnly: boolean, nowMs: number) {
    return requests.map((request) => ({
      policy: request.policy,
      rule: rules.encode(request, modeOf(operation, request.policy, readOnly), nowMs),
    }));
  }

  function settleOne(item: GroupItem, answers: ReplyReader, readOnly: boolean, askedAtMs: number): void {
    let stale = false;
    const decisions = item.requests.map((request) => {
      const decision = answers.next(request.policy);
      stale ||= answers.outcome === outcomes.stale;
      if (answers.outcome === outcomes.blocked && item.operation === 'consume') {
        onRefusedWhileBlocked(request, decision, askedAtMs);
      }
      return decision;
    });
    if (stale && item.again !== true) {
      aheadMs = answers.nowMs - Date.now();
      resend({ ...item, again: true });
      return;
    }
    // What should have been written could not be.
    const changes = item.operation !== 'peek' && (item.operation !== 'consume' || decisions.every(isAllowed));
    if (readOnly && changes) item.reject(faultOf('out_of_memory'));
    else item.resolve(decisions);
  }

  return {
    keyOf: ({ requests: [first] }) => first?.key ?? '',
    send(batch, readOnly) {
      const keys = batch.flatMap(({ requests }) => requests.map(({ key }) => key));
      const nowMs = Date.now() + aheadMs;
      const runs = runsOf(batch, sameRules).map(({ first, count }) => ({
        rules: rulesOf(first, readOnly, nowMs),
        count,
      }));
      return script.run(client, keys, [groupArgument(outboxCap, new Set(keys).size < keys.length, runs)]);
    },
    settle(batch, reply, readOnly, askedAtMs) {
      const answers = new ReplyReader(
        reply,
        batch.reduce((sum, { requests }) => sum + requests.length, 0),
      );
      for (const item of batch) settleOne(item, answers, readOnly, askedAtMs);
      const dropped = answers.dropped();
      if (dropped > 0) onDropped(dropped);
    },
    fail(batch, fault) {
      for (const { reject } of batch) reject(fault);
    },
  };
}

function isAllowed({ allowed }: Decision): boolean {
  return allowed;
}

function sameRules(one: GroupItem, other: GroupItem): boolean {
  return (
    one.operation === other.operation &&
    one.requests.length === other.requests.length &&
    one.requests.every((request, index) => {
      const counterpart = other.requests[index];
      return counterpart !== undefined && alike(request, counterpart);
    })
  );
}
