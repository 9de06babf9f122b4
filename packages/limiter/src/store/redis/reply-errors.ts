/*
 * What an error says about the script that was sent: Redis answered, so it did not run or it failed; or nobody answered,
 * and it may have run. Only what certainly did nothing may be sent again.
 */

/** True for an error that Redis sent, and for an answer that can't be read; false when the connection was lost. */
export function isReplyError(error: unknown): boolean {
  return error instanceof Error && (error.name === 'ReplyError' || error.name === 'UnexpectedReplyError');
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
