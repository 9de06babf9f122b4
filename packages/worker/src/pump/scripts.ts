import { defineScript, type RedisScript } from '@spillway/redis';
import * as lua from '../scripts.generated.ts';

/** Acknowledges and deletes entries in one step; replies how many were still there. */
export const release: RedisScript<number> = defineScript(lua.release, Number);

/** Removes consumers that hold nothing; replies how many. */
export const forgetConsumers: RedisScript<number> = defineScript(lua.forgetConsumers, Number);

/** An epoch that ended because another Redis process gives the numbers now. */
export interface EndedEpoch {
  readonly epoch: number;
  /** The last number that this process' data know of. What was given out beyond it is lost. */
  readonly lastSeq: number;
  /** The one that began. */
  readonly next: number;
}

/** Begins a new epoch of one outbox when its Redis isn't the process that began the present one; null when it is. */
export const beginEpoch: RedisScript<EndedEpoch | null> = defineScript(lua.beginEpoch, (reply) => {
  const [epoch, lastSeq, next] = Array.isArray(reply) ? reply.map(Number) : [];
  return epoch === undefined || lastSeq === undefined || next === undefined ? null : { epoch, lastSeq, next };
});
