import type { RedisClient, RedisScript } from '@spillway/redis';
import { outcomes } from '../../decision.ts';
import type { Decision } from '../../types.ts';
import type { StoreRequest } from '../store.ts';
import type { Protocol } from './batcher.ts';
import type { Fallback } from './fallback.ts';
import { decisionAt, droppedAt, REPLY_HEADER, REPLY_SIZE, timeOf } from './reply.ts';

const MODES = { enforce: 0, shadow: 1 } as const;
const PEEK = 2;

/** A request under a sliding log, on its own: nearly all there are. */
export interface LogItem {
  readonly request: StoreRequest;
  readonly mode: number;
  readonly resolve: (decision: Decision | Promise<Decision>) => void;
}

/** Makes a {@link LogItem}. */
export function logItem(request: StoreRequest, peek: boolean, resolve: LogItem['resolve']): LogItem {
  return { request, mode: peek ? PEEK : MODES[request.policy.mode], resolve };
}

/** What a {@link logProtocol} is made of. */
export interface LogProtocolOptions {
  readonly client: RedisClient;
  readonly script: RedisScript<Buffer>;
  /** Answers what Redis doesn't. */
  readonly fallback: Fallback;
  readonly outboxCap: number;
  /** Called for each refusal of a subject that was blocked already. */
  readonly onRefusedWhileBlocked: (key: string) => void;
  /** Told how many events of a batch found the outbox full. */
  readonly onDropped: (count: number) => void;
}

/** Speaks with decide-log.lua. */
export function logProtocol(options: LogProtocolOptions): Protocol<LogItem> {
  const { client, script, fallback, outboxCap, onRefusedWhileBlocked, onDropped } = options;
  return {
    keyOf: ({ request }) => request.key,
    send(batch, readOnly) {
      const keys = batch.map(({ request }) => request.key);
      const repeated = new Set(keys).size < keys.length ? 1 : 0;
      return script.run(client, keys, [outboxCap, repeated, ...runs(batch, readOnly)]);
    },
    settle(batch, reply, readOnly) {
      const nowMs = timeOf(reply);
      let offset = REPLY_HEADER;
      for (const { request, mode, resolve } of batch) {
        if (reply[offset] === outcomes.blocked && mode !== PEEK) onRefusedWhileBlocked(request.key);
        if (readOnly && mode !== PEEK && reply[offset] === outcomes.allowed) resolve(fallback.decide(request, false));
        else resolve(decisionAt(request.policy, reply, offset, nowMs));
        offset += REPLY_SIZE;
      }
      const dropped = droppedAt(reply, offset);
      if (dropped > 0) onDropped(dropped);
    },
    fail(batch) {
      for (const { request, mode, resolve } of batch) resolve(fallback.decide(request, mode === PEEK));
    },
  };
}

/** Neighbours with the same policy, mode and cost share one description: mostly a whole batch is one run. */
function runs(batch: readonly LogItem[], readOnly: boolean): number[] {
  const args: number[] = [];
  let last: LogItem | undefined;
  let count = 0;
  for (const next of batch) {
    if (last !== undefined && !alike(last, next)) {
      args.push(...describe(last, count, readOnly));
      count = 0;
    }
    last = next;
    count += 1;
  }
  if (last !== undefined) args.push(...describe(last, count, readOnly));
  return args;
}

function alike(one: LogItem, other: LogItem): boolean {
  return (
    one.request.policy === other.request.policy && one.request.cost === other.request.cost && one.mode === other.mode
  );
}

function describe({ request: { policy, cost }, mode }: LogItem, count: number, readOnly: boolean): number[] {
  return [policy.limit, policy.windowMs, policy.blockMs, readOnly ? PEEK : mode, cost, count];
}
