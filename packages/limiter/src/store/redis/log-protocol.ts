import { PreparedArgument, type RedisClient, type ScriptArgument } from '@spillway/redis';
import { outcomes } from '../../decision.ts';
import type { Decision, Policy } from '../../types.ts';
import type { BlockedListener, StoreRequest } from '../store.ts';
import type { Protocol } from './batcher.ts';
import type { Fallback } from './fallback.ts';
import { admittedIn, decisionAt, droppedAt, REPLY_HEADER, REPLY_SIZE, timeOf } from './reply.ts';
import type { LimiterScripts } from './scripts.ts';

const MODES = { enforce: 0, shadow: 1 } as const;
const PEEK = 2;
/** Bytes of decide-lone-log.lua's argument in front of the time to live. */
const RULE_BYTES = 21;

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
  readonly scripts: Pick<LimiterScripts, 'decideLog' | 'decideLoneLog' | 'spareMs'>;
  /** Answers what Redis doesn't. */
  readonly fallback: Fallback;
  readonly outboxCap: number;
  /** Called for each refusal of a subject that was blocked already. */
  readonly onRefusedWhileBlocked: BlockedListener;
  /** Told how many events of a batch found the outbox full. */
  readonly onDropped: (count: number) => void;
}

/** Speaks with decide-log.lua, and with decide-lone-log.lua for a request on its own. */
export function logProtocol(options: LogProtocolOptions): Protocol<LogItem, Buffer | number> {
  const { client, scripts, fallback, outboxCap, onRefusedWhileBlocked, onDropped } = options;
  const { decideLog, decideLoneLog, spareMs } = scripts;
  const rules = preparedRules(outboxCap, spareMs);

  function settleAll(batch: readonly LogItem[], reply: Buffer, readOnly: boolean, askedAtMs: number): void {
    const nowMs = timeOf(reply);
    let offset = REPLY_HEADER;
    for (const { request, mode, resolve } of batch) {
      const decision = decisionAt(request.policy, reply, offset, nowMs);
      if (reply[offset] === outcomes.blocked && mode !== PEEK) onRefusedWhileBlocked(request, decision, askedAtMs);
      if (readOnly && mode !== PEEK && reply[offset] === outcomes.allowed) resolve(fallback.decide(request, false));
      else resolve(decision);
      offset += REPLY_SIZE;
    }
    const dropped = droppedAt(reply, offset);
    if (dropped > 0) onDropped(dropped);
  }

  return {
    keyOf: ({ request }) => request.key,
    send(batch, readOnly) {
      const [first, second] = batch;
      if (first !== undefined && second === undefined) {
        return decideLoneLog.run(client, [first.request.key], [rules(first, readOnly)]);
      }
      const keys = batch.map(({ request }) => request.key);
      const repeated = new Set(keys).size < keys.length ? 1 : 0;
      return decideLog.run(client, keys, [outboxCap, repeated, ...runs(batch, readOnly, spareMs)]);
    },
    settle(batch, reply, readOnly, askedAtMs) {
      if (typeof reply !== 'number') settleAll(batch, reply, readOnly, askedAtMs);
      // Only a request that was charged is answered by a number: never one that was only looked at.
      else for (const { request, resolve } of batch) resolve(admittedIn(request.policy, reply));
    },
    fail(batch) {
      for (const { request, mode, resolve } of batch) resolve(fallback.decide(request, mode === PEEK));
    },
  };
}

/** Makes the one argument of decide-lone-log.lua; that of a unit under the policy as it is, once a policy. */
function preparedRules(outboxCap: number, spareMs: number): (item: LogItem, readOnly: boolean) => PreparedArgument {
  const known = new WeakMap<Policy, PreparedArgument>();

  function prepare({ request, mode }: LogItem): PreparedArgument {
    const { limit, windowMs, blockMs } = request.policy;
    const ttl = String(2 * windowMs + spareMs);
    const bytes = Buffer.alloc(RULE_BYTES + ttl.length);
    for (const [place, value] of [outboxCap, limit, windowMs, blockMs].entries()) bytes.writeUInt32BE(value, 4 * place);
    bytes.writeUInt8(mode, 16);
    bytes.writeUInt32BE(request.cost, 17);
    bytes.write(ttl, RULE_BYTES, 'latin1');
    return new PreparedArgument(bytes);
  }

  return (item, readOnly) => {
    const { policy, cost } = item.request;
    if (readOnly) return prepare({ ...item, mode: PEEK });
    if (cost !== 1 || item.mode === PEEK) return prepare(item);
    let rule = known.get(policy);
    if (rule === undefined) {
      rule = prepare(item);
      known.set(policy, rule);
    }
    return rule;
  };
}

/** Neighbours with the same policy, mode and cost share one description: mostly a whole batch is one run. */
function runs(batch: readonly LogItem[], readOnly: boolean, spareMs: number): ScriptArgument[] {
  const args: ScriptArgument[] = [];
  let last: LogItem | undefined;
  let count = 0;
  const end = (): void => {
    if (last === undefined) return;
    const { policy, cost } = last.request;
    const mode = readOnly ? PEEK : last.mode;
    args.push(policy.limit, policy.windowMs, policy.blockMs, mode, cost, 2 * policy.windowMs + spareMs, count);
  };
  for (const next of batch) {
    if (last !== undefined && !alike(last, next)) {
      end();
      count = 0;
    }
    last = next;
    count += 1;
  }
  end();
  return args;
}

function alike(one: LogItem, other: LogItem): boolean {
  return (
    one.request.policy === other.request.policy && one.request.cost === other.request.cost && one.mode === other.mode
  );
}
