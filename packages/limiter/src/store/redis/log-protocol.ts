import { PreparedArgument, type RedisClient, type ScriptArgument } from '@spillway/redis';
import type { Policy } from '../../types.ts';
import type { Protocol } from './batcher.ts';
import { admittedIn } from './reply.ts';
import type { LimiterScripts } from './scripts.ts';
import { alike, isPeek, peekMode, settlementOf, type SettlementOptions, type SingleItem } from './single-request.ts';

/** Bytes of decide-lone-log.lua's argument in front of the time to live. */
const RULE_BYTES = 23;

/** What a {@link logProtocol} is made of. */
export interface LogProtocolOptions extends SettlementOptions {
  readonly outboxCap: number;
  readonly client: RedisClient;
  readonly scripts: Pick<LimiterScripts, 'decideLog' | 'decideLoneLog' | 'spareMs'>;
}

/** Speaks with decide-log.lua, and with decide-lone-log.lua for a request on its own. */
export function logProtocol(options: LogProtocolOptions): Protocol<SingleItem, Buffer | number> {
  const { client, scripts, outboxCap } = options;
  const settlement = settlementOf(options);
  const { decideLog, decideLoneLog, spareMs } = scripts;
  const rules = preparedRules(outboxCap, spareMs);

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
      // Only a request that was charged is answered by a number: never one that was only looked at.
      if (typeof reply === 'number')
        for (const { request, resolve } of batch) resolve(admittedIn(request.policy, reply));
      else if (batch.length === 1) settlement.settle(batch, reply, readOnly, askedAtMs);
      else settlement.settleUnits(batch, reply, readOnly, askedAtMs);
    },
    fail: settlement.fail,
  };
}

/** Makes the one argument of decide-lone-log.lua; that of a unit under the policy as it is, once a policy. */
function preparedRules(outboxCap: number, spareMs: number): (item: SingleItem, readOnly: boolean) => PreparedArgument {
  const known = new WeakMap<Policy, PreparedArgument>();

  function prepare({ request, mode }: SingleItem): PreparedArgument {
    const { limit, windowMs, blockMs } = request.policy;
    const ttl = String(2 * windowMs + spareMs);
    const bytes = Buffer.alloc(RULE_BYTES + ttl.length);
    bytes.writeUInt32BE(outboxCap, 0);
    bytes.writeUInt32BE(limit, 4);
    bytes.writeUIntBE(windowMs, 8, 6);
    bytes.writeUInt32BE(blockMs, 14);
    bytes.writeUInt8(mode, 18);
    bytes.writeUInt32BE(request.cost, 19);
    bytes.write(ttl, RULE_BYTES, 'latin1');
    return new PreparedArgument(bytes);
  }

  return (item, readOnly) => {
    const { policy, cost } = item.request;
    if (readOnly) return prepare({ ...item, mode: peekMode(policy) });
    if (cost !== 1 || isPeek(item.mode)) return prepare(item);
    let rule = known.get(policy);
    if (rule === undefined) {
      rule = prepare(item);
      known.set(policy, rule);
    }
    return rule;
  };
}

/** Neighbours with the same policy, mode and cost share one description: mostly a whole batch is one run. */
function runs(batch: readonly SingleItem[], readOnly: boolean, spareMs: number): ScriptArgument[] {
  const args: ScriptArgument[] = [];
  let last: SingleItem | undefined;
  let count = 0;
  const end = (): void => {
    if (last === undefined) return;
    const { policy, cost } = last.request;
    const mode = readOnly ? peekMode(policy) : last.mode;
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
