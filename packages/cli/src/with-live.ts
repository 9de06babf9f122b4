import { type LivePolicies, livePolicies } from '@spillway/limiter';
import { actor } from './actor.ts';
import type { CliContext } from './cli-context.ts';
import { readShards, readTrailRedises } from './config.ts';
import { withRedis } from './open-redis.ts';

/** Runs `work` on the live policies of the deployment that the variables name, as the user of this machine. */
export async function withLive<Result>(
  context: CliContext,
  work: (live: LivePolicies) => Promise<Result>,
): Promise<Result> {
  const { namespace } = readShards(context.env);
  return withRedis(readTrailRedises(context.env).trail, async (redis) => {
    const live = livePolicies({ redis, namespace, actor: actor().slice(0, 200).toWellFormed(), deadlineMs: 5_000 });
    try {
      return await work(live);
    } finally {
      await live.close();
    }
  });
}
