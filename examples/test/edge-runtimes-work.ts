import { readFile, writeFile } from 'node:fs/promises';
import { startApi, createLogger } from '@spillway/api';
import { createApiKey, createPool, migrate } from '@spillway/db';
import { type PostgresServer, startPostgres } from '@spillway/local-servers';
import { compiled, type RedisFixture } from '@spillway/local-servers/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NpmProject } from './npm-project.ts';

const START_MS = 180_000;

/** What edge-flood.mjs and edge-workerd.mjs say: the API admitted ten of thirteen requests, and the breaker let three of five calls fail. */
const FLOODED = `${'api '.repeat(10)}429 429 429 boom boom boom circuit_open circuit_open\n`;

/** An edge function with the two calls of the modules that `spillway init supabase` writes; TIER is a tier's name. */
const FUNCTION = `import { applyRateLimit } from "./supabase/functions/_shared/rate-limit-middleware.ts";
import { withCircuitBreaker } from "./supabase/functions/_shared/circuit-breaker-enhanced.ts";
import { createClient } from 'npm:@supabase/supabase-js@2';

export async function handle(req: Request): Promise<Response> {
  const supabase = createClient('http://127.0.0.1', 'service-role-key');
  const rateLimitResponse = await applyRateLimit(req, TIER, 'generate-content');
  if (rateLimitResponse) return rateLimitResponse;
  return await withCircuitBreaker('runware', 'ai_provider', async () => await fetch('http://127.0.0.1'), supabase);
}
`;

/**
 * Tests of an application that limits and breaks over the API, on the runtimes that it is for.
 * @param tools gives a project with them
 */
export function edgeRuntimesWork(redis: RedisFixture, tools: () => NpmProject): void {
  describe('a bundle that limits and breaks over the API', () => {
    let postgres: PostgresServer;
    let pool: ReturnType<typeof createPool>;
    let key: string;

    beforeAll(async () => {
      postgres = await startPostgres();
      await migrate({ connectionString: postgres.url });
      pool = createPool({ connectionString: postgres.url, onError: () => undefined });
      key = (await createApiKey(pool, { name: 'edge', scopes: ['decide', 'report'] })).key;
      const bundle = [
        'edge.mjs',
        '--bundle',
        '--format=esm',
        '--platform=browser',
        '--minify',
        '--outfile=out/edge.mjs',
      ];
      const made = await tools().run('esbuild', [...bundle, '--metafile=out/meta.json', '--log-level=error']);
      if (made.code !== 0) throw new Error(made.output);
    }, START_MS);

    afterAll(async () => {
      await pool.end();
      await postgres.stop();
    });

    it('holds no Redis client, and imports no module of Node', async () => {
      const meta = JSON.parse(await readFile(`${tools().folder}/out/meta.json`, 'utf8')) as {
        readonly inputs: object;
        readonly outputs: Readonly<Record<string, { readonly imports: readonly unknown[]; readonly bytes: number }>>;
      };
      const [output] = Object.values(meta.outputs);
      expect(output?.imports).toEqual([]);
      expect(Object.keys(meta.inputs).filter((path) => path.includes('ioredis'))).toEqual([]);
      expect(output?.bytes).toBeLessThan(200_000);
    });

    it(
      'compiles under `deno check`, and so do the modules that `spillway init supabase` writes',
      async () => {
        const { folder, run } = tools();
        const init = await run('node', [
          await compiled(new URL('../../packages/cli/src/main.ts', import.meta.url)),
          'init',
          'supabase',
        ]);
        expect(init.code, init.output).toBe(0);
        await writeFile(`${folder}/function.ts`, FUNCTION.replace('TIER', "'generation'"));
        await writeFile(`${folder}/wrong.ts`, FUNCTION.replace('TIER', '20'));
        const check = ['check', '--node-modules-dir=manual'];
        const checked = await run('deno', [...check, 'function.ts', 'app.ts'], { NO_COLOR: '1' });
        expect(checked.code, checked.output).toBe(0);
        const wrong = await run('deno', [...check, 'wrong.ts'], { NO_COLOR: '1' });
        expect(wrong.code).toBe(1);
        expect(wrong.output).toContain("'number' is not assignable to parameter of type 'string'");
      },
      START_MS,
    );

    it.each([
      ['Node', 'node', ['edge-flood.mjs']],
      ['Deno', 'deno', ['run', '--no-prompt', '--allow-net', '--allow-env', 'edge-flood.mjs']],
      ['Bun', 'bun', ['edge-flood.mjs']],
      ['workerd', 'node', ['edge-workerd.mjs']],
    ])(
      'limits and breaks on %s',
      async (_, program, args) => {
        await redis.client.flushall();
        const logger = createLogger({ name: 'edge', level: 'fatal' });
        const api = await startApi({ redisUrl: redis.url, pool, host: '127.0.0.1', port: 0, logger });
        try {
          const ran = await tools().run(program, args, { API_URL: api.url, API_KEY: key });
          expect(ran).toEqual({ code: 0, output: FLOODED });
        } finally {
          await api.close(0);
        }
      },
      60_000,
    );
  });
}
