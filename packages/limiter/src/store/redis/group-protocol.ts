import { faultOf, type RedisClient, type RedisFault, type RedisScript } from '@spillway/redis';
import { periodStarts } from '../../algorithm/calendar.ts';
import { outcomes } from '../../decision.ts';
import type { Algorithm, Decision, Policy } from '../../types.ts';
import type { Operation } from '../operation.ts';
import type { BlockedListener, StoreRequest } from '../store.ts';
import type { Protocol } from './batcher.ts';
import { peekMode } from './single-request.ts';
import { decisionAt, droppedAt, REPLY_HEADER, REPLY_SIZE, timeOf } from './reply.ts';

const MODES = { charge: 3, reward: 4, renew: 5 } as const;

const NAMES: Readonly<Record<Algorithm, string>> = {
  'sliding-log': 'log',
  'sliding-window': 'window',
  'fixed-window': 'fixed',
  'token-bucket': 'bucket',
  concurrency: 'slots',
  quota: 'quota',
};

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
  /** Called for each refusal of a subject that was blocked already. */
  readonly onRefusedWhileBlocked: BlockedListener;
  /** Told how many events of a batch found the outbox full. */
  readonly onDropped: (count: number) => void;
  /** Sends a group once more. */
  readonly resend: (item: GroupItem) => void;
}

/** How and when a batch was asked. */
interface Asked {
  /** The server's clock. */
  readonly nowMs: number;
  readonly askedAtMs: number;
  readonly readOnly: boolean;
}

/** Speaks with decide.lua. */
export function groupProtocol(options: GroupProtocolOptions): Protocol<GroupItem, Buffer> {
  const { client, script, outboxCap, onRefusedWhileBlocked, onDropped, resend } = options;
  // How far the server's clock is ahead of ours; learned only from a quota whose periods were all wrong.
  let aheadMs = 0;

  function settle(item: GroupItem, reply: Buffer, start: number, { nowMs, readOnly, askedAtMs }: Asked): void {
    if (reply[start] === outcomes.stale && item.again !== true) {
      aheadMs = nowMs - Date.now();
      resend({ ...item, again: true });
      return;
    }
    const decisions = item.requests.map((request, index) => {
      const offset = start + index * REPLY_SIZE;
      const decision = decisionAt(request.policy, reply, offset, nowMs);
      if (reply[offset] === outcomes.blocked && item.operation === 'consume') {
        onRefusedWhileBlocked(request, decision, askedAtMs);
      }
      return decision;
    });
    // What should have been written could not be.
    const changes = item.operation !== 'peek' && (item.operation !== 'consume' || decisions.every(isAllowed));
    if (readOnly && changes) item.reject(faultOf('out_of_memory'));
    else item.resolve(decisions);
  }

  return {
    keyOf: ({ requests: [first] }) => first?.key ?? '',
    send: (batch, readOnly) =>
      script.run(
        client,
        batch.flatMap(({ requests }) => requests.map(({ key }) => key)),
        [outboxCap, ...batch.flatMap((item) => describe(item, Date.now() + aheadMs, readOnly))],
      ),
    settle(batch, reply, readOnly, askedAtMs) {
      const nowMs = timeOf(reply);
      let offset = REPLY_HEADER;
      for (const item of batch) {
        settle(item, reply, offset, { nowMs, readOnly, askedAtMs });
        offset += item.requests.length * REPLY_SIZE;
      }
      const dropped = droppedAt(reply, offset);
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

function describe({ requests, operation }: GroupItem, nowMs: number, readOnly: boolean): (string | number)[] {
  const args: (string | number)[] = [requests.length];
  for (const { policy, cost, slot } of requests) {
    const mode = readOnly ? peekMode(policy) : modeOf(operation, policy);
    const extra = extraOf(policy, slot, nowMs);
    args.push(NAMES[policy.algorithm], policy.limit, policy.windowMs, policy.blockMs, mode, cost, extra);
  }
  return args;
}

function modeOf(operation: Operation, policy: Policy): number {
  if (operation === 'peek') return peekMode(policy);
  if (operation !== 'consume') return MODES[operation];
  return policy.mode === 'shadow' ? 1 : 0;
}

function extraOf(policy: Policy, slot: string | undefined, nowMs: number): string | number {
  if (policy.algorithm === 'sliding-window') return policy.buckets;
  if (policy.algorithm === 'token-bucket') return policy.burst;
  if (policy.algorithm === 'quota') return periodStarts(policy.period, policy.timeZone, nowMs).join(' ');
  return slot ?? '';
}
