import { PreparedArgument, type RedisClient, type RedisScript } from '@spillway/redis';
import type { Policy } from '../../types.ts';
import type { Protocol } from './batcher.ts';
import { alike, isPeek, peekMode, settlementOf, type SettlementOptions, type SingleItem } from './single-request.ts';

const START_BYTES = 5;
const RUN_BYTES = 27;
const HOLDER_BYTES = 8;

/** What a {@link counterProtocol} is made of. */
export interface CounterProtocolOptions extends SettlementOptions {
  readonly client: RedisClient;
  /** decide-counters.lua with the algorithm of all requests. */
  readonly script: RedisScript<Buffer>;
  readonly outboxCap: number;
}

/** Speaks with decide-counters.lua. */
export function counterProtocol(options: CounterProtocolOptions): Protocol<SingleItem, Buffer> {
  const { client, script, outboxCap } = options;
  const known = new WeakMap<Policy, PreparedArgument>();

  /** A unit under the policy as it is, alone: described once a policy. */
  function alone(item: SingleItem, readOnly: boolean): PreparedArgument {
    const { policy, cost, slot } = item.request;
    if (readOnly || cost !== 1 || isPeek(item.mode) || slot !== undefined) return describe([item], true, readOnly);
    let rules = known.get(policy);
    if (rules === undefined) known.set(policy, (rules = describe([item], true, false)));
    return rules;
  }

  // `apart`: each window is read by its own, since a key comes twice, or since there is but one.
  function describe(batch: readonly SingleItem[], apart: boolean, readOnly: boolean): PreparedArgument {
    const start = Buffer.allocUnsafe(START_BYTES);
    start.writeUInt32BE(outboxCap, 0);
    start.writeUInt8(apart ? 1 : 0, 4);
    return new PreparedArgument(Buffer.concat([start, ...runsOf(batch).map((run) => describeRun(run, readOnly))]));
  }

  return {
    keyOf: ({ request }) => request.key,
    send(batch, readOnly) {
      const [first, second] = batch;
      if (first !== undefined && second === undefined) {
        return script.run(client, [first.request.key], [alone(first, readOnly)]);
      }
      const keys = batch.map(({ request }) => request.key);
      return script.run(client, keys, [describe(batch, new Set(keys).size < keys.length, readOnly)]);
    },
    ...settlementOf(options),
  };
}

/** Neighbours that one description fits: mostly the whole batch. */
function runsOf(batch: readonly SingleItem[]): readonly SingleItem[][] {
  const runs: SingleItem[][] = [];
  let run: SingleItem[] | undefined;
  for (const item of batch) {
    if (run?.[0] !== undefined && alike(run[0], item)) run.push(item);
    else runs.push((run = [item]));
  }
  return runs;
}

function describeRun(run: readonly SingleItem[], readOnly: boolean): Buffer {
  const [first] = run;
  if (first === undefined) return Buffer.alloc(0);
  const { policy, cost } = first.request;
  const holders = policy.algorithm === 'concurrency';
  const bytes = Buffer.allocUnsafe(RUN_BYTES + (holders ? HOLDER_BYTES * run.length : 0));
  bytes.writeUInt32BE(policy.limit, 0);
  bytes.writeUIntBE(policy.windowMs, 4, 6);
  bytes.writeUInt32BE(policy.blockMs, 10);
  bytes.writeUInt8(readOnly ? peekMode(policy) : first.mode, 14);
  bytes.writeUInt32BE(cost, 15);
  bytes.writeUInt32BE(extraOf(policy), 19);
  bytes.writeUInt32BE(run.length, 23);
  if (holders)
    bytes.write(run.map(({ request }) => request.slot ?? ' '.repeat(HOLDER_BYTES)).join(''), RUN_BYTES, 'latin1');
  return bytes;
}

function extraOf(policy: Policy): number {
  if (policy.algorithm === 'sliding-window') return policy.buckets;
  return policy.algorithm === 'token-bucket' ? policy.burst : 0;
}
