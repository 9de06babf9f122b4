/* oxlint-disable typescript/no-unnecessary-type-parameters -- the peers' interfaces let the caller name the reply */
/**
 * Passes a reply of ioredis (`unknown`) on to a peer that types it itself. Only null is refused: no script or command
 * that the peers send answers with it.
 */
export function peerReply<Reply>(reply: unknown): Reply {
  if (isReply<Reply>(reply)) return reply;
  throw new TypeError('Redis answered a peer with null');
}

// The peers ask for "whatever you say it is"; a guard says it in one place instead of a cast in each.
function isReply<Reply>(reply: unknown): reply is Reply {
  return reply !== null && reply !== undefined;
}
