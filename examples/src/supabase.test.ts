import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createPool, migrate } from '@spillway/db';
import { type PostgresServer, startPostgres } from '@spillway/local-servers';
import { compiled, useRedis } from '@spillway/local-servers/testing';
import { drain } from '@spillway/worker';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { npmInstall, type NpmProject, npmProject } from '../test/npm-project.ts';
import { run, type RunningExample } from '../test/run-example.ts';

/** An edge function: the guide's two examples as they are printed, and what is around them in any function. */
const FUNCTION = `
import { createClient } from 'npm:@supabase/supabase-js@2';
import { applyRateLimit } from "../_shared/rate-limit-middleware.ts";
import { withCircuitBreaker } from "../_shared/circuit-breaker-enhanced.ts";

const runwareApiUrl = Deno.env.get('RUNWARE_URL')!;
const options = { method: 'POST' };
const supabase = createClient(Deno.env.get('SUPABASE_URL')!, 'service-role-key');

async function handle(req: Request): Promise<Response> {
// At start of handler:
const rateLimitResponse = await applyRateLimit(req, 'generation', 'generate-content');
if (rateLimitResponse) return rateLimitResponse;

const result = await withCircuitBreaker('runware', 'ai_provider', async () => {
  return await fetch(runwareApiUrl, options);
}, supabase);
return new Response(await result.text(), { status: result.status });
}

const onListen = ({ port }: { port: number }) => console.log('http://127.0.0.1:' + port);
Deno.serve({ port: 0, hostname: '127.0.0.1', onListen }, (req) =>
  handle(req).catch((error) => new Response(error.code, { status: 599 })));
`;

const workspace = fileURLToPath(new URL('../../', import.meta.url));
const redis = useRedis();
let project: NpmProject;
let postgres: PostgresServer;
let owner: ReturnType<typeof createPool>;

/** A project of Supabase's: an owner that is no superuser, and whatever it makes in `public` granted to browsers' roles. */
const PROJECT = `
  CREATE ROLE owner LOGIN CREATEROLE;
  CREATE ROLE anon; CREATE ROLE authenticated; CREATE ROLE service_role BYPASSRLS;
  GRANT anon, authenticated, service_role TO owner;`;
const PRIVILEGES = `
  GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;
  ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;
  ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO anon, authenticated, service_role;
  ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO anon, authenticated, service_role;`;

beforeAll(async () => {
  project = await npmProject({ deno: '2.9.6', jose: '6', '@supabase/supabase-js': '2' }, {}, 'none');
  await npmInstall(project);
  // Deno reads what is built.
  for (const name of ['limiter', 'breaker']) {
    await compiled(new URL(`../../packages/${name}/src/index.ts`, import.meta.url));
  }
  const ours = { '@spillway/limiter': '*', '@spillway/breaker': '*' };
  for (const name of Object.keys(ours)) {
    const link = join(project.folder, 'node_modules', name);
    await mkdir(join(link, '..'), { recursive: true });
    await symlink(join(workspace, 'packages', name.replace('@spillway/', '')), link);
  }
  const dependencies = { ...ours, jose: '6', '@supabase/supabase-js': '2' };
  await writeFile(join(project.folder, 'package.json'), JSON.stringify({ private: true, dependencies }));
  const cli = await compiled(new URL('../../packages/cli/src/main.ts', import.meta.url));
  const init = await project.run('node', [cli, 'init', 'supabase']);
  if (init.code !== 0) throw new Error(init.output);
  await mkdir(join(project.folder, 'supabase/functions/generate'));
  await writeFile(join(project.folder, 'supabase/functions/generate/index.ts'), FUNCTION);

  postgres = await startPostgres();
  const admin = createPool({ connectionString: postgres.url, onError: () => {} });
  await admin.query(PROJECT);
  await admin.query('CREATE DATABASE project OWNER owner');
  await admin.end();
  const url = postgres.url.replace(/\/\/[^@]*@/u, '//owner@').replace(/\/[^/]*$/u, '/project');
  owner = createPool({ connectionString: url, onError: () => {} });
  await owner.query(PRIVILEGES);
  await migrate({ connectionString: url });
}, 240_000);

afterAll(async () => {
  await owner?.end();
  await postgres?.stop();
  await project?.remove();
});

async function listen(answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
}

const encoded = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');

/** The platform's sign-in: its public key, and tokens of users. */
async function signIn(): Promise<{ readonly url: string; token(sub: string, key?: typeof strange): string }> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwks = JSON.stringify({
    keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'ES256', use: 'sig' }],
  });
  const url = await listen((request, response) => {
    response.statusCode = request.url === '/auth/v1/.well-known/jwks.json' ? 200 : 404;
    response.setHeader('Content-Type', 'application/json').end(jwks);
  });
  return {
    url,
    token(sub, key = privateKey) {
      const claims = { sub, iss: `${url}/auth/v1`, aud: 'authenticated', exp: Math.floor(Date.now() / 1000) + 3_600 };
      const text = `${encoded({ alg: 'ES256', kid: 'one' })}.${encoded(claims)}`;
      return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
    },
  };
}

const { privateKey: strange } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

/** The edge function's process, which may use the network and the environment. */
function serveFunction(env: Readonly<Record<string, string>>): RunningExample {
  const args = ['run', '--no-check', '--no-prompt', '--allow-net', '--allow-env', '--node-modules-dir=manual'];
  const deno = join(project.folder, 'node_modules/.bin/deno');
  const file = join(project.folder, 'supabase/functions/generate/index.ts');
  const example = run(deno, [...args, file], env);
  onTestFinished(() => void example.child.kill('SIGKILL'));
  return example;
}

async function asked(
  env: Readonly<Record<string, string>>,
): Promise<(headers?: Record<string, string>) => Promise<Response>> {
  const served = serveFunction(env);
  const address = (): string => /http:\S+\d/u.exec(served.output())?.[0] ?? '';
  await expect.poll(address, { timeout: 60_000 }).toMatch(/:\d+$/u);
  return async (headers = {}) => fetch(address(), { method: 'POST', headers });
}

describe("the guide's two examples, as printed, in an edge function that `spillway init supabase` has made ready", () => {
  it('limit who is signed in by the verified token, and everybody else together', async () => {
    const auth = await signIn();
    const runware = await listen((_request, response) => void response.end('an image'));
    const ask = await asked({ REDIS_URL: redis.url, SUPABASE_URL: auth.url, RUNWARE_URL: runware });
    const ada = { Authorization: `Bearer ${auth.token('ada')}` };
    const statuses: number[] = [];
    for (let request = 0; request < 21; request += 1) statuses.push((await ask(ada)).status);
    expect(statuses).toEqual([...Array.from({ length: 20 }, () => 200), 429]);
    const refusal = await ask(ada);
    expect(Object.fromEntries(refusal.headers)).toMatchObject({
      'access-control-allow-origin': '*',
      'retry-after': '120',
    });
    expect((await ask({ Authorization: `Bearer ${auth.token('bob')}` })).status).toBe(200);

    // A token that somebody else signed is nobody's: it counts with those who have none.
    const forged = { Authorization: `Bearer ${auth.token('bob', strange)}` };
    const others: number[] = [];
    for (let request = 0; request < 21; request += 1) {
      others.push((await ask(request % 2 === 0 ? forged : {})).status);
    }
    expect(others).toEqual([...Array.from({ length: 20 }, () => 200), 429]);
    expect((await ask({ Authorization: `Bearer ${auth.token('bob')}` })).status).toBe(200);

    await expect
      .poll(
        async () => {
          await drain({ redis: redis.url, pool: owner });
          const { rows } = await owner.query<{ identifier: string }>('SELECT identifier FROM rate_limits_v2');
          return rows.map(({ identifier }) => identifier).toSorted();
        },
        { timeout: 30_000 },
      )
      .toEqual(['anonymous', `jwt:${auth.url}/auth/v1|ada`]);
    const counted = `SELECT COUNT(*) FROM rate_limits_v2 WHERE blocked_until > now() - interval '24 hours'`;
    expect((await owner.query(counted)).rows).toEqual([{ count: '2' }]);
  }, 180_000);

  it('stop calling a service that fails, and the trail says so, which no browser may read', async () => {
    const auth = await signIn();
    let calls = 0;
    const runware = await listen((_request, response) => {
      calls += 1;
      response.statusCode = 503;
      response.end('down');
    });
    const ask = await asked({ REDIS_URL: redis.url, SUPABASE_URL: auth.url, RUNWARE_URL: runware });
    const headers = { Authorization: `Bearer ${auth.token(randomUUID())}` };
    const answers: string[] = [];
    for (let request = 0; request < 12; request += 1) {
      const answer = await ask(headers);
      answers.push(`${answer.status} ${await answer.text()}`);
    }
    expect(answers.slice(0, 5)).toEqual(Array.from({ length: 5 }, () => '503 down'));
    expect(answers.at(-1)).toBe('599 circuit_open');
    expect(calls).toBeLessThan(12);

    const events = async (): Promise<unknown[]> => {
      await drain({ redis: redis.url, pool: owner });
      const query = 'SELECT breaker_name, event_type FROM circuit_breaker_events';
      return (await owner.query(query)).rows;
    };
    await expect.poll(events, { timeout: 30_000 }).toContainEqual({ breaker_name: 'runware', event_type: 'opened' });
    for (const role of ['anon', 'authenticated']) {
      for (const table of ['rate_limits_v2', 'circuit_breaker_events', 'system_metrics', 'archive.archival_runs']) {
        await expect(owner.query(`SET ROLE ${role}; SELECT FROM ${table}`), `${role} ${table}`).rejects.toMatchObject({
          code: '42501',
        });
      }
    }
  }, 180_000);

  it.each(['REDIS_URL', 'SUPABASE_URL'])(
    'do not start without %s, rather than letting everybody in',
    async (missing) => {
      const env = { REDIS_URL: redis.url, SUPABASE_URL: 'http://127.0.0.1:1', RUNWARE_URL: 'http://127.0.0.1:1' };
      const served = serveFunction({ ...env, [missing]: '' });
      expect(await served.exited()).toBe(1);
      expect(served.output()).not.toContain('http:');
    },
    60_000,
  );
});
