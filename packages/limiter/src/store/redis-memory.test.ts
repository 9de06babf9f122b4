import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { startRedis, startRedisCluster } from '@spillway/local-servers';
import { compiled } from '@spillway/local-servers/testing';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';

const fixture = await compiled(new URL('../../test/flood.fixture.ts', import.meta.url));

/** What may stay of 50,000 requests: local windows of 1,000 subjects, and what V8 keeps for itself. */
const SLACK_MB = 15;

type Report = Readonly<Record<string, number>>;

/** Starts the flooding process. Each call is a round of so many requests at once. */
function flooding(...urls: readonly string[]): (requests?: number) => Promise<Report> {
  const child: ChildProcess = spawn(process.execPath, ['--expose-gc', fixture, urls.join(',')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error('the flood has no pipes');
  const lines = createInterface({ input: stdout });
  return async (requests = 50_000) => {
    stdin.write(`${requests}\n`);
    const [line] = await once(lines, 'line');
    return JSON.parse(String(line));
  };
}

/** By how much the heap grows from one round in an outage to the next, in MB. */
async function growth(flood: () => Promise<Report>): Promise<number> {
  const [first, second] = [await flood(), await flood()];
  expect(second['local']).toBeGreaterThan(0);
  expect(second['unavailable']).toBeGreaterThan(0);
  return (second['heapMb'] ?? Infinity) - (first['heapMb'] ?? 0);
}

describe('memory stays flat under 50,000 concurrent requests', { timeout: 120_000 }, () => {
  it.each(['kill', 'pause'] as const)(
    'with Redis away (%s), and they are decided again when it is back',
    async (fault) => {
      const server = await startRedis();
      onTestFinished(() => server.stop());
      const flood = flooding(server.url);
      const healthy = await flood();
      await server[fault]();
      expect(await growth(flood)).toBeLessThan(SLACK_MB);
      await (fault === 'kill' ? server.restart() : server.resume());
      // On a busy machine no request of 50,000 may have its answer within the deadline: all of a few must.
      await expect.poll(() => flood(100), { timeout: 60_000 }).toMatchObject({ allowed: 100 });
      expect((await flood())['heapMb']).toBeLessThan((healthy['heapMb'] ?? 0) + SLACK_MB);
    },
  );

  it('with Redis down at boot', async () => {
    expect(await growth(flooding('redis://127.0.0.1:1'))).toBeLessThan(SLACK_MB);
  });

  it('with Redis at its maxmemory', async () => {
    const server = await startRedis({ args: ['--maxmemory-policy', 'noeviction'] });
    onTestFinished(() => server.stop());
    const admin = new Redis(server.url);
    onTestFinished(() => admin.disconnect());
    await admin.config('SET', 'maxmemory', '1');
    expect(await growth(flooding(server.url))).toBeLessThan(SLACK_MB);
  });

  it('with a frozen master of a Cluster', async () => {
    const servers = await startRedisCluster({ nodeTimeoutMs: 60_000 });
    onTestFinished(() => servers.stop());
    const flood = flooding(...servers.urls);
    await flood();
    await servers.nodes[0]?.pause();
    expect(await growth(flood)).toBeLessThan(SLACK_MB);
  });
});
