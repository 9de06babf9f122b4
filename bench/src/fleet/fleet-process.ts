import { setTimeout as pause } from 'node:timers/promises';
import { BREAKER_CHANGES, makeInstance, now, type Order, type Standing, type Watch } from './members.ts';

/*
 * One process of a fleet: run with Redis' URL. It says `ready`; told what to watch it says `watching`, and the time when it
 * acted upon the change. Told to follow breakers it says `following`, and when it is asked to tell, how they stand.
 */
const [url = ''] = process.argv.slice(2);
const POLL_MS = 2;
const { limiter, policy, breakers } = makeInstance(url);
let standing: Standing = { text: '', changedAt: 0 };

/** Makes ready, and gives what tells whether the change holds here. Nothing of it asks Redis while it doesn't. */
async function watch({ kind, name, limit }: Watch): Promise<() => boolean | Promise<boolean>> {
  if (kind === 'override') return () => limiter.live.resolve(policy, name).limit === limit;
  if (kind === 'unblock') {
    while ((await limiter.consume('fleet', name)).allowed) await pause(POLL_MS);
    return async () => (await limiter.consume('fleet', name)).allowed;
  }
  const breaker = breakers.get(name, 'fleet');
  // A reset ends a forced state, which has to be known first.
  if (kind === 'reset') while (breaker.state !== 'forced_open') await pause(POLL_MS);
  else await breakers.run(name, 'fleet', async () => undefined);
  return () => breaker.state === BREAKER_CHANGES[kind];
}

function look(names: readonly string[]): void {
  const seen = names.map((name) => {
    const { epoch, fleetState, isStale } = breakers.get(name, 'fleet').snapshot();
    return `${name} ${fleetState} since ${epoch}${isStale ? ', alone' : ''}`;
  });
  const text = seen.join('; ');
  if (text !== standing.text) standing = { text, changedAt: now() };
}

process.on('message', (order: Order) => {
  if (order.kind === 'tell') process.send?.(standing);
  else if (order.kind === 'follow') {
    setInterval(() => look(order.names), POLL_MS);
    process.send?.('following');
  } else {
    void (async () => {
      const holds = await watch(order);
      process.send?.('watching');
      while (!(await holds())) await pause(POLL_MS);
      process.send?.(now());
    })();
  }
});
process.once('disconnect', () => process.exit());
process.send?.('ready');
