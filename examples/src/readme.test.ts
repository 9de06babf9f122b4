import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { useRedis } from '@spillway/local-servers/testing';
import { findFreePort } from '@spillway/local-servers';
import { expect, it, onTestFinished } from 'vitest';
import { run } from '../test/run-example.ts';

const redis = useRedis();

it("the README's first program works as pasted", async () => {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const [, program = ''] = /^```ts\n(.*?)^```$/msu.exec(readme) ?? [];
  const folder = new URL('../dist/readme/', import.meta.url);
  await mkdir(folder, { recursive: true });
  const file = new URL('app.mts', folder);
  await writeFile(file, program);

  const port = String(await findFreePort());
  const args = ['--conditions=@spillway/source', '--import', 'tsx', file.pathname];
  const app = run(process.execPath, args, { REDIS_URL: redis.url, PORT: port });
  onTestFinished(async () => {
    app.child.kill('SIGKILL');
    await app.exited();
  });
  const ask = async (): Promise<Response> => fetch(`http://127.0.0.1:${port}/api/hello`);
  await expect.poll(async () => (await ask().catch(() => undefined))?.text()).toBe('hello');
  const statuses = new Set<number>();
  for (let request = 0; request < 99; request += 1) statuses.add((await ask()).status);
  expect([...statuses]).toEqual([200]);
  const refusal = await ask();
  expect(refusal.status).toBe(429);
  expect(Number(refusal.headers.get('Retry-After'))).toBeGreaterThan(0);
  expect(refusal.headers.get('RateLimit')).toMatch(/^"standard";r=0;t=\d+$/);
});
