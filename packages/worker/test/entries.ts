import { outboxKeys, shardTag } from '@spillway/redis';
import type { AuditEntry } from '../src/outbox.ts';

/** What a test wants to say of a block; the rest is made up. */
export interface BlockFacts {
  readonly shard?: number;
  /** Position in the outbox; 0 for a later snapshot of the block that `openedBy` opened. */
  readonly seq?: number;
  readonly atMs?: number;
  readonly openedBy?: { readonly seq: number; readonly atMs: number };
  readonly subject?: string;
  readonly denied?: number;
  readonly untilMs?: number;
  readonly limit?: number;
}

/** The moment at which everything in a test happens unless it says otherwise. */
export const T0: number = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

/** The epoch of all made-up outboxes. */
export const EPOCH: number = T0 - 86_400_000;

/** Names and values of a `block` event. */
function blockFields(facts: BlockFacts = {}): string[] {
  const { shard = 0, seq = 1, atMs = T0, openedBy, subject = `subject-${seq}`, denied = 0, limit = 20 } = facts;
  const { untilMs = atMs + 120_000 } = facts;
  const named = {
    type: 'block',
    epoch: EPOCH,
    seq,
    at: atMs,
    key: `${shardTag(shard)}:w:generation:16:generate-content:${subject}`,
    limit,
    window: 60_000,
    count: limit,
    denied,
    start: T0 - 30_000,
    last: atMs,
    until: untilMs,
    mode: 0,
    id_epoch: openedBy === undefined ? 0 : EPOCH,
    id_seq: openedBy?.seq ?? 0,
    id_at: openedBy?.atMs ?? 0,
  };
  return Object.entries(named).flatMap(([name, value]) => [name, String(value)]);
}

/** The same packed, as the limiter's script writes it into the outbox. */
export function packedBlock(facts: BlockFacts = {}): string[] {
  const values = blockFields(facts).filter((_, index) => index % 2 === 1);
  return ['e', JSON.stringify(values.map((value) => (/^\d+$/u.test(value) ? Number(value) : value)))];
}

/** The same with its names, as dead letters keep it. */
export function blockEntry(facts: BlockFacts = {}): AuditEntry {
  return [facts.shard ?? 0, `${facts.atMs ?? T0}-${facts.seq ?? 1}`, blockFields(facts)];
}

/** What it takes to add an entry. */
export interface StreamWriter {
  xadd(key: string, id: '*', ...fields: string[]): Promise<unknown>;
  xlen(key: string): Promise<number>;
}

/** Writes blocks number `from` to `to` (both included) into the outboxes, one shard after the other in turn. */
export async function addBlocks(redis: StreamWriter, from: number, to: number, shards: number): Promise<void> {
  const numbers = Array.from({ length: to - from + 1 }, (_, index) => from + index);
  await Promise.all(
    numbers.map((seq) =>
      redis.xadd(outboxKeys(seq % shards).stream, '*', ...packedBlock({ shard: seq % shards, seq })),
    ),
  );
}

/** Writes blocks number `from` to `to` into one shard's outbox and counts them in its head, as the limiter's script does. */
export async function emitBlocks(
  redis: StreamWriter & { hset(key: string, values: object): Promise<unknown> },
  shard: number,
  from: number,
  to: number,
): Promise<void> {
  const { stream, head } = outboxKeys(shard);
  for (let seq = from; seq <= to; seq += 1) {
    await redis.xadd(stream, '*', ...packedBlock({ shard, seq, subject: `subject-${shard}-${seq}` }));
  }
  await redis.hset(head, { epoch: EPOCH, seq: to });
}

/** How many entries all outboxes hold. */
export async function outboxLength(redis: StreamWriter, shards: number): Promise<number> {
  const streams = Array.from({ length: shards }, (_, shard) => outboxKeys(shard).stream);
  const lengths = await Promise.all(streams.map((stream) => redis.xlen(stream)));
  return lengths.reduce((sum, length) => sum + length, 0);
}

/** What a test wants to say of a subject that came near its limit; the rest is made up. */
export interface NearLimitFacts {
  readonly seq: number;
  readonly shard?: number;
  readonly epoch?: number;
  readonly remaining?: string;
  readonly action?: string;
}

/** A `near_limit` event, as the limiter's script writes it. */
export function nearLimitEntry(facts: NearLimitFacts): AuditEntry {
  const { seq, shard = 0, epoch = T0, remaining = '20', action = 'upload' } = facts;
  const fields = { type: 'near_limit', epoch, seq, at: T0 + seq, limit: 100, remaining };
  const key = `${shardTag(shard)}:w:standard:${action.length}:${action}:ada`;
  const flat = Object.entries(fields).flatMap(([name, value]) => [name, String(value)]);
  return [shard, `${T0}-${seq}`, [...flat, 'key', key]];
}
