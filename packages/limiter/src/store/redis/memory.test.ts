import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { startRedis, startRedisCluster } from '@spillway/embedded';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';

const fixture = fileURLToPath(new URL('../../testing/flood.fixture.ts', import.meta.url));

/** What may stay of 50,000 requests: local windows of 1,000 subjects, and what V8 keeps for itself. */
const SLACK_MB = 15;

type Report = Readonly<Record<string, number>>;

/** Starts the flooding process. Each call is a round. */
function flooding(...urls: readonly string[]): () => Promise<Report> {
  const child: ChildProcess = spawn(
    process.execPath,
    ['--expose-gc', '--conditions=@spillway/source', '--import', 'tsx', fixture, urls.join(',')],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  onTestFinished(() => void child.kill('SIGKILL'));
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error('the flood has no pipes');
  const lines = createInterface({ input: stdout });
  return async () => {
    stdin.write('\n');
    const [line] = await once(lines, 'line');
    return JSON.parse(String(line));
  };
}

/** Three rounds in an outage leave no more behind than one does. */
async function expectFlat(flood: () => Promise<Report>): Promise<void> {
  const [first, ...later] = [await flood(), await flood(), await flood()];
  for (const { heapMb } of later) expect(heapMb).toBeLessThan((first?.['heapMb'] ?? 0) + SLACK_MB);
  expect(later.at(-1)?.['local']).toBeGreaterThan(0);
  expect(later.at(-1)?.['unavailable']).toBeGreaterThan(0);
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
      await expectFlat(flood);
      await (fault === 'kill' ? server.restart() : server.resume());
      await expect.poll(async () => (await flood())['allowed'] ?? 0, { timeout: 30_000 }).toBeGreaterThan(0);
      expect((await flood())['heapMb']).toBeLessThan((healthy['heapMb'] ?? 0) + SLACK_MB);
    },
  );

  it('with Redis down at boot', async () => {
    await expectFlat(flooding('redis://127.0.0.1:1'));
  });

  it('with Redis at its maxmemory', async () => {
    const server = await startRedis({ args: ['--maxmemory-policy', 'noeviction'] });
    onTestFinished(() => server.stop());
    const admin = new Redis(server.url);
    onTestFinished(() => admin.disconnect());
    await admin.config('SET', 'maxmemory', '1');
    await expectFlat(flooding(server.url));
  });

  it('with a frozen master of a Cluster', async () => {
    const servers = await startRedisCluster({ nodeTimeoutMs: 60_000 });
    onTestFinished(() => servers.stop());
    const flood = flooding(...servers.urls);
    await flood();
    await servers.nodes[0]?.pause();
    await expectFlat(flood);
  });
});
