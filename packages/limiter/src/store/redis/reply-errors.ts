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
