import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { hotPathOptions } from '@spillway/redis';
import { compiled, useRedis } from '@spillway/local-servers/testing';
import { afterEach, expect, it } from 'vitest';
import { fine, quick } from '../../test/breakers.ts';
import { createBreakers } from './create-breakers.ts';

const index = await compiled(new URL('../index.ts', import.meta.url));
const redis = useRedis();
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
