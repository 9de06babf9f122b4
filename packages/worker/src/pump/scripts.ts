import { defineScript, type RedisScript } from '@spillway/redis';
import * as lua from '../scripts.generated.ts';

/** Acknowledges and deletes entries in one step; replies how many were still there. */
export const release: RedisScript<number> = defineScript(lua.release, Number);

/** Removes consumers that hold nothing; replies how many. */
export const forgetConsumers: RedisScript<number> = defineScript(lua.forgetConsumers, Number);

/** Where an outbox' numbers stand, and which epochs of it were found to be over. */
export interface EpochLook {
  readonly epoch: number;
  readonly lastSeq: number;
  /** Each with the highest number that is known of it. */
  readonly ended: readonly { readonly epoch: number; readonly seenSeq: number }[];
}

/**
 * Looks whether another Redis process gives the numbers of an outbox than the one that began its epoch, and begins a new
 * one if so. Takes the epoch that the caller saw last and the highest number that it saw in it, 0 and 0 for none. Null for an
 * outbox that never had an event.
 */
export const beginEpoch: RedisScript<EpochLook | null> = defineScript(lua.beginEpoch, (reply) => {
  const [epoch, lastSeq, ...rest] = Array.isArray(reply) ? reply.map(Number) : [];
  if (epoch === undefined || lastSeq === undefined) return null;
  const ended = Array.from({ length: rest.length / 2 }, (_, index) => ({
    epoch: rest[2 * index] ?? 0,
    seenSeq: rest[2 * index + 1] ?? 0,
  }));
  return { epoch, lastSeq, ended };
});
