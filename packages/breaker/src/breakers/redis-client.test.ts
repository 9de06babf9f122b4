import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { startRedis } from '@spillway/local-servers';
import { compiled, documentedRedisUser, useRedis } from '@spillway/local-servers/testing';
import { hotPathOptions, type RedisClientOrUrl } from '@spillway/redis';
import { Redis } from 'ioredis';
import { afterEach, expect, it, onTestFinished, vi } from 'vitest';
import { fine, outcomeOf, quick } from '../../test/breakers.ts';
import type { Breakers } from './breaker.ts';
import { type BreakersSettings, createBreakers } from './create-breakers.ts';

const redis = useRedis();

function clientOf(url: string, options: object = {}): Redis {
  const client = new Redis(url, { ...hotPathOptions, ...options });
  client.on('error', () => undefined);
  onTestFinished(() => client.disconnect());
  return client;
}

function breakersOf(client: RedisClientOrUrl, namespace = ''): Breakers<'quick'> {
  const given = { presets: [quick()], deadlineMs: 5_000, onError: () => undefined, namespace };
  const breakers = createBreakers({ redis: client, ...given });
  onTestFinished(() => breakers.close());
  return breakers as Breakers<'quick'>;
}

const database = (number: number): string => {
  const url = new URL(redis.url);
  url.pathname = `/${number}`;
  return url.href;
};
const call = async (breakers: Breakers<'quick'>): Promise<unknown> => outcomeOf(breakers.run('a', 'quick', fine));

it('hear nothing of another database of the same Redis', async () => {
  const [production, staging, neighbour] = [0, 1, 1].map((number) => breakersOf(clientOf(database(number))));
  if (production === undefined || staging === undefined || neighbour === undefined) throw new Error('not three');
  await expect.poll(async () => [await call(production), await call(neighbour)]).toEqual(['fine', 'fine']);
  await staging.get('a', 'quick').forceOpen({ who: 'ada', why: 'staging only' });
  // The neighbour in the same database has heard, so the message has been sent to everybody who hears it.
  await expect.poll(() => neighbour.get('a', 'quick').state).toBe('forced_open');
  expect(await call(production)).toBe('fine');
  expect(await production.get('a', 'quick').read()).toMatchObject({ state: 'closed' });
});

it('refuse the first call of a process that connects for it', async () => {
  const running = breakersOf(redis.url);
  await running.get('a', 'quick').forceOpen({ who: 'ada' });
  for (const client of [redis.url, clientOf(redis.url), clientOf(redis.url, { lazyConnect: true })]) {
    const started = breakersOf(client);
    expect(await call(started)).toBe('circuit_open');
    expect(await started.get('a', 'quick').read()).toMatchObject({ state: 'forced_open', isStale: false });
  }
});

it('call in a process that can not reach Redis, once the deadline is over', async () => {
  const told: string[] = [];
  const onError = ({ code }: { code: string }): void => void told.push(code);
  const breakers = createBreakers({
    redis: clientOf('redis://127.0.0.1:1'),
    presets: [quick()],
    deadlineMs: 20,
    onError,
  });
  onTestFinished(() => breakers.close());
  expect(await call(breakers as Breakers<'quick'>)).toBe('fine');
  expect(breakers.get('a', 'quick').snapshot().isStale).toBe(true);
  expect(told).toHaveLength(1);
});

it('are forced, and say so, for a user who may not use channels', async () => {
  await redis.client.call('ACL', 'SETUSER', 'quiet', 'on', '>pw', 'resetchannels', '~*', '+@all');
  const quiet = breakersOf(clientOf(redis.url, { username: 'quiet', password: 'pw' }));
  await expect.poll(() => call(quiet)).toBe('fine');
  await quiet.get('a', 'quick').forceOpen({ who: 'ada' });
  expect(quiet.get('a', 'quick').state).toBe('forced_open');
  const other = breakersOf(clientOf(redis.url));
  await expect.poll(async () => (await other.get('a', 'quick').read()).state).toBe('forced_open');
  await redis.client.call('ACL', 'DELUSER', 'quiet');
});

it.each(['', 'staging'] as const)(
  'need no more rights than the documented ACL rule gives, in namespace "%s"',
  async (namespace) => {
    await redis.client.call('ACL', 'SETUSER', 'app', ...(await documentedRedisUser('app', namespace)));
    await redis.client.call('ACL', 'LOG', 'RESET');
    onTestFinished(async () => void (await redis.client.call('ACL', 'DELUSER', 'app')));
    const [one, two] = [1, 2].map(() =>
      breakersOf(clientOf(redis.url, { username: 'app', password: 'pw' }), namespace),
    );
    if (one === undefined || two === undefined) throw new Error('not two');
    await expect.poll(async () => [await call(one), await call(two)]).toEqual(['fine', 'fine']);
    await one.get('a', 'quick').forceOpen({ who: 'ada' });
    await expect.poll(() => two.get('a', 'quick').state).toBe('forced_open');
    expect(await redis.client.call('ACL', 'LOG')).toEqual([]);
  },
);

it('connect a client that waits for its first command', async () => {
  const lazy = clientOf(redis.url, { lazyConnect: true });
  expect(lazy.status).toBe('wait');
  const breakers = breakersOf(lazy);
  await expect.poll(() => call(breakers)).toBe('fine');
  await expect.poll(() => lazy.status).toBe('ready');
});

it('leave a master that was demoted', async () => {
  const [old, next] = [await startRedis(), await startRedis()];
  onTestFinished(async () => void (await Promise.all([old.stop(), next.stop()])));
  const admin = clientOf(old.url);
  await expect.poll(() => admin.status).toBe('ready');
  const client = clientOf(old.url);
  const breakers = breakersOf(client);
  await expect.poll(() => call(breakers)).toBe('fine');
  const { port } = new URL(next.url);
  await admin.call('REPLICAOF', '127.0.0.1', port);
  let reconnects = 0;
  client.on('connect', () => (reconnects += 1));
  await expect
    .poll(async () => {
      await breakers
        .get('a', 'quick')
        .forceOpen({ who: 'ada' })
        .catch(() => undefined);
      return reconnects;
    })
    .toBeGreaterThan(0);
});

it('write nothing more on a client whose owner quits, so that the reply to QUIT is not lost', async () => {
  const client = clientOf(redis.url, { socketTimeout: 10_000 });
  const breakers = breakersOf(client);
  await expect.poll(() => client.status).toBe('ready');
  expect(await call(breakers)).toBe('fine');
  const sent = vi.spyOn(client, 'sendCommand');
  // For longer than beats and looks wait.
  await redis.client.client('PAUSE', 2_500, 'ALL');
  const quit = client.quit();
  await call(breakers);
  expect(await outcomeOf(breakers.run('b', 'quick', fine))).toBe('fine');
  expect(await quit).toBe('OK');
  const names = sent.mock.calls.map(([command]) => command.name);
  expect(names.slice(names.indexOf('quit'))).toEqual(['quit']);
});

const soon = { timeout: 10_000 };

function namespaced(options: Partial<BreakersSettings<[]>> = {}): Breakers<'quick'> {
  const client = new Redis(redis.url, hotPathOptions);
  onTestFinished(() => client.disconnect());
  const breakers = createBreakers({ redis: client, deadlineMs: 5_000, ...options, presets: [quick()] });
  onTestFinished(() => breakers.close());
  return breakers as Breakers<'quick'>;
}

it('in two namespaces of one Redis see nothing of each other, and within one all', async () => {
  const production = namespaced();
  const [staging, neighbour] = [namespaced({ namespace: 'staging' }), namespaced({ namespace: 'staging' })];
  expect(await Promise.all([call(production), call(neighbour)])).toEqual(['fine', 'fine']);
  await staging.get('a', 'quick').forceOpen({ who: 'ada', why: 'staging only' });
  await expect.poll(() => neighbour.get('a', 'quick').state, soon).toBe('forced_open');
  expect(await call(production)).toBe('fine');
  expect(await production.get('a', 'quick').read()).toMatchObject({ state: 'closed' });
  const keys = (await redis.client.keys('*')).filter((key) => !key.startsWith('{sw:staging:'));
  expect(
    keys.every((key) => /^\{sw:\d+\}:/u.test(key)),
    keys.join(' '),
  ).toBe(true);
  expect((await redis.client.pubsub('CHANNELS')) as string[]).toEqual(
    expect.arrayContaining(['spillway:0:breakers', 'spillway:staging@0:breakers']),
  );
});

it('without a trail open and close as ever, and write no event', async () => {
  const breakers = namespaced({ trail: false });
  for (let round = 0; round < 20; round += 1) {
    await breakers.get('a', 'quick').forceOpen({ who: 'ada', why: 'x'.repeat(200) });
    await breakers.get('a', 'quick').reset({ who: 'ada' });
  }
  expect(await call(breakers)).toBe('fine');
  await breakers.close();
  expect(await redis.client.keys('*outbox*')).toEqual([]);
});

it('with another number of shards than others say so', async () => {
  const told: string[] = [];
  expect(await call(namespaced({ shards: 4 }))).toBe('fine');
  await expect.poll(() => redis.client.keys('{sw:00}:shards'), soon).toHaveLength(1);
  const odd = namespaced({ onError: ({ code }) => void told.push(code) });
  expect(await call(odd)).toBe('fine');
  await expect.poll(() => told, soon).toEqual(['shards_disagree']);
});

it.each([{ namespace: 'Prod' }, { namespace: 'a b' }, { trail: 'off' }, { trail: false, outboxCap: 9 }])(
  'refuse %j by the name of the option',
  (options) => {
    const [name] = 'outboxCap' in options ? ['outboxCap'] : Object.keys(options);
    expect(() => namespaced(options as object)).toThrow(
      expect.objectContaining({ code: 'invalid_input', field: name }),
    );
  },
);

const index = await compiled(new URL('../index.ts', import.meta.url));
const here = fileURLToPath(new URL('../..', import.meta.url));
const children: ReturnType<typeof spawn>[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** Ends with its exit code: 0 when it ended by itself. */
function codeOf(program: string): Promise<number | null> {
  const text = `
    import { Redis } from 'ioredis';
    import { createBreakers } from '${index}';
    import { hotPathOptions } from '@spillway/redis';
    const redis = new Redis('${redis.url}', hotPathOptions);
    redis.on('error', () => undefined);
    await new Promise((resolve) => redis.once('ready', resolve));
    const breakers = createBreakers({ redis });
    const fails = async () => { throw new Error('down'); };
    ${program}
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', text], {
    cwd: here,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  children.push(child);
  return new Promise((resolve) => child.once('exit', resolve));
}

it.each([
  ['was used once', `await breakers.run('x', 'ai_provider', async () => 1); await redis.quit();`],
  ['was looked at', `await breakers.get('x', 'ai_provider').read(); await redis.quit();`],
  ['was cut off', `await breakers.run('x', 'ai_provider', async () => 1); redis.disconnect();`],
  [
    'is open',
    `for (let i = 0; i < 9; i += 1) await breakers.run('x', 'ai_provider', fails).catch(() => 0); await redis.quit();`,
  ],
  ['was closed', `await breakers.run('x', 'ai_provider', async () => 1); await breakers.close(); await redis.quit();`],
])('a process whose breaker %s ends by itself once its Redis client has ended', async (_, program) => {
  expect(await codeOf(program)).toBe(0);
});

it('closed breakers leave no listener on the client', async () => {
  const client = redis.connect(hotPathOptions);
  await expect.poll(() => client.status).toBe('ready');
  const counts = (): number[] => client.eventNames().map((event) => client.listenerCount(event));
  const before = counts();
  const breakers = createBreakers({ redis: client, presets: [quick()] });
  await breakers.run('a', 'quick', fine);
  await breakers.close();
  expect(counts()).toEqual(before);
});
