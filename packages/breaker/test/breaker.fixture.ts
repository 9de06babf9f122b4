import { hotPathClusterOptions, hotPathOptions } from '@spillway/redis';
import { Cluster, Redis } from 'ioredis';
import { createBreakers } from '../src/breakers/create-breakers.ts';
import { definePreset } from '../src/presets/preset.ts';
import type { FromParent, ToParent } from './process-fleet.ts';

/*
 * A process with breakers that does what its parent tells it to.
 * Usage: breaker.fixture.ts URL[,URL…] OPEN_MS TIMEOUT_MS [deaf]
 */
const [urls = '', openMs = '', timeoutMs = '', deaf = ''] = process.argv.slice(2);
const nodes = urls.split(',');
const redis = nodes.length > 1 ? new Cluster(nodes, hotPathClusterOptions) : new Redis(urls, hotPathOptions);
redis.on('error', () => undefined);
if (deaf === 'deaf') {
  // Its subscriptions lead nowhere.
  redis.duplicate = () => new Redis({ port: 1, retryStrategy: () => 60_000 });
}
const tell = (message: ToParent): void => void process.send?.(message);
const now = (): number => performance.timeOrigin + performance.now();
const nothing = (): void => undefined;
const breakers = createBreakers({
  redis,
  presets: [
    definePreset({
      name: 'quick',
      trip: { strategy: 'consecutive', failures: 5 },
      openMs: Number(openMs),
      timeoutMs: Number(timeoutMs),
      probeMarginMs: 100,
    }),
  ],
  metrics: {
    state: (name, _, state) => tell({ type: 'state', name, state, atMs: now() }),
    call: nothing,
    transition: nothing,
    lease: nothing,
    flush: nothing,
    outage: nothing,
  },
});

const functions = {
  fine: async () => 'fine',
  boom: async () => {
    throw new Error('boom');
  },
  hang: () => {
    tell({ type: 'hanging' });
    return new Promise(nothing);
  },
};
const loops = new Map<string, NodeJS.Timeout>();

async function call(name: string, outcome: keyof typeof functions): Promise<string> {
  try {
    await breakers.run(name, 'quick', functions[outcome]);
    return 'fine';
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'failed';
  }
}

process.on('message', (message: FromParent) => void obey(message));

async function obey(message: FromParent): Promise<void> {
  const { id, name } = message;
  if (message.type === 'call') {
    const outcomes: string[] = [];
    for (let times = 0; times < message.times; times += 1) outcomes.push(await call(name, message.outcome));
    tell({ type: 'done', id, outcomes, atMs: now() });
    return;
  }
  if (message.type === 'loop') {
    clearInterval(loops.get(name));
    const timer = setInterval(() => void call(name, message.outcome), message.everyMs);
    loops.set(name, timer);
    tell({ type: 'done', id, outcomes: [], atMs: now() });
    return;
  }
  if (message.type === 'move') {
    await breakers.get(name, 'quick')[message.how]({ who: 'ada' });
    tell({ type: 'done', id, outcomes: [], atMs: now() });
    return;
  }
  const snapshot = breakers.get(name, 'quick').snapshot();
  tell({ type: 'snapshot', id, snapshot });
}

redis.once('ready', () => tell({ type: 'ready' }));
process.once('disconnect', () => process.exit(0));
