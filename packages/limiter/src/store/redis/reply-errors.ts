/*
 * What an error says about the script that was sent: Redis answered, so it did not run or it failed; or nobody answered,
 * and it may have run. Only what certainly did nothing may be sent again.
 */

/** True for an error that Redis sent; false when the connection was lost, or the script never left. */
export function isReplyError(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError';
}

/**
 * True when a slot is on its way to another master and the keys of the call lie on both sides: Redis refused the call
 * before it ran. Each key alone has a side, so the requests succeed one by one. The client follows such errors from node to
 * node for a while, and then gives up with an error of its own that quotes the last.
 */
export function isSplitByMigration(error: unknown): boolean {
  return (
    error instanceof Error &&
    /^(?:TRYAGAIN |Too many Cluster redirections\..*ReplyError: (?:TRYAGAIN|ASK|MOVED) )/.test(error.message)
  );
}

/**
 * True at maxmemory without eviction. Redis looks at its memory once, as the script begins, and then refuses the first write
 * that needs more: nothing of the batch was written. Reads still work.
 */
export function isOutOfMemory(error: unknown): boolean {
  return isReplyError(error) && error instanceof Error && /^(?:ERR )?OOM /.test(error.message);
}
