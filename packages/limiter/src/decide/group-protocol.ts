import { faultOf, type RedisClient, type RedisFault, type RedisScript } from '@spillway/redis';
import { outcomes } from '../decision.ts';
import type { Decision } from '../types.ts';
import type { BlockedListener, StoreRequest, Operation } from '../store/store.ts';
import type { Protocol } from './5-batch.ts';
import { alike, groupArgument, modeOf, ReplyReader, RuleEncoder, runsOf } from './7-codec.ts';

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
  /** Told how many events of a batch found the outbox full. */
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
