import { setTimeout as pause } from 'node:timers/promises';
import { makeInstance, now, type Watch } from './instance.ts';

/*
 * One process of a fleet: run with Redis' URL. It says `ready`; told what to watch it says `watching`, and the time when it
 * acted upon the change.
 */
const [url = ''] = process.argv.slice(2);
const POLL_MS = 2;
const { limiter, policy, breakers } = makeInstance(url);

/** Makes ready, and gives what tells whether the change holds here. Nothing of it asks Redis while it doesn't. */
async function watch({ kind, name, limit }: Watch): Promise<() => boolean | Promise<boolean>> {
  if (kind === 'override') return () => limiter.live.resolve(policy, name).limit === limit;
  if (kind === 'unblock') {
    while ((await limiter.consume('fleet', name)).allowed) await pause(POLL_MS);
    return async () => (await limiter.consume('fleet', name)).allowed;
  }
  await breakers.run(name, 'fleet', async () => undefined);
  return () => breakers.get(name, 'fleet').state === 'open';
}

process.on('message', (order: Watch) => {
  void (async () => {
    const holds = await watch(order);
    process.send?.('watching');
    while (!(await holds())) await pause(POLL_MS);
    process.send?.(now());
  })();
});
process.once('disconnect', () => process.exit());
process.send?.('ready');
