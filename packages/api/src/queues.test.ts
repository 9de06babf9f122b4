import { useRedis } from '@spillway/local-servers/testing';
import { AUDIT_QUEUE, createAuditQueue, MAINTENANCE_QUEUE, requestRun } from '@spillway/worker';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { useApi, memoryLog } from '../test/use-api.ts';
import { cookieSessions } from './auth/credential.ts';
import { openWorkerQueues, type WorkerQueues } from './queues.ts';

const redis = useRedis();
let queuesOfWorkers: WorkerQueues;
beforeEach(() => {
  queuesOfWorkers = openWorkerQueues(redis.url, '', memoryLog().logger);
});
afterEach(() => queuesOfWorkers.close());
const api = useApi(() => ({
  queues: queuesOfWorkers,
  dashboard: { sessions: cookieSessions('a secret of thirty-two characters'), ending: new AbortController().signal },
}));

/** What the board says of its queues. */
async function queues(): Promise<unknown> {
  const response = await api.ask('GET', `/queues/api/queues?activeQueue=${AUDIT_QUEUE}&status=failed`);
  expect(response.status).toBe(200);
  return response.json();
}

async function failedJob(): Promise<string> {
  const connection = redis.connect();
  const queue = createAuditQueue({ connection, onError: () => undefined });
  const job = await queue.add('events', { outboxes: [] });
  await redis.client.lrem(`{spillway}:${AUDIT_QUEUE}:wait`, 1, job.id ?? '');
  await redis.client.zadd(`{spillway}:${AUDIT_QUEUE}:failed`, Date.now(), job.id ?? '');
  await queue.close();
  return job.id ?? '';
}

it('is for admins alone', async () => {
  for (const path of ['/queues', '/queues/api/queues', '/queues/static/favicon-32x32.png', '/queues/queue/x']) {
    expect((await api.app.request(path)).status).toBe(401);
    expect((await api.ask('GET', path, { as: 'read' })).status).toBe(403);
    expect((await api.ask('GET', path, { as: 'decide' })).status).toBe(403);
    expect((await api.ask('GET', path)).status).toBe(200);
  }
  const own = { Origin: 'http://localhost', Host: 'localhost', 'Content-Type': 'application/json' };
  const login = await api.app.request('/dashboard/session', { method: 'POST', headers: own, body: '{"key":"admin"}' });
  const Cookie = login.headers.get('Set-Cookie')?.split(';')[0] ?? '';
  expect((await api.app.request('/queues', { headers: { Cookie } })).status).toBe(200);
});

it('sends a browser without a session to the page that signs in', async () => {
  const browser = { headers: { Accept: 'text/html,application/xhtml+xml' } };
  const response = await api.app.request('/queues', browser);
  expect(response.status).toBe(302);
  expect(response.headers.get('Location')).toBe('/dashboard');
  expect((await api.app.request('/queues', { ...browser, method: 'POST' })).status).toBe(401);
  expect((await api.ask('GET', '/queues', { as: 'read' })).status).toBe(403);
});

it('lists the audit queue and its jobs', async () => {
  const id = await failedJob();
  expect(await queues()).toMatchObject({ queues: [{ name: AUDIT_QUEUE, counts: { failed: 1 }, jobs: [{ id }] }, {}] });
});

it('lists the maintenance queue and the progress of its jobs', async () => {
  const { maintenance } = queuesOfWorkers;
  const { runId: id } = await requestRun(maintenance, { job: 'cron-archive-data', dryRun: false });
  const progress = { table: 'public.audit_logs', done: 5_000, total: 12_000 };
  await (await maintenance.getJob(id))?.updateProgress(progress);
  const response = await api.ask('GET', `/queues/api/queues?activeQueue=${MAINTENANCE_QUEUE}&status=waiting`);
  expect(await response.json()).toMatchObject({
    queues: [{ name: AUDIT_QUEUE }, { name: MAINTENANCE_QUEUE, jobs: [{ id, name: 'cron-archive-data', progress }] }],
  });
});

it('tries failed jobs again, and refuses whatever would lose events', async () => {
  const id = await failedJob();
  const path = `/queues/api/queues/${AUDIT_QUEUE}`;
  for (const [method, action] of [
    ['PUT', `${id}/clean`],
    ['PUT', 'clean/failed'],
    ['PUT', 'empty'],
    ['PUT', 'obliterate'],
    ['PUT', 'pause'],
    ['POST', 'add'],
    ['PATCH', `${id}/update-data`],
    ['PUT', 'retry/completed'],
    // The board's route for cleaning a set, not a job called clean that is tried again.
    ['PUT', 'clean/retry'],
    ['PUT', '%63lean/retry'],
    ['PUT', 'retry/retry'],
  ] as const) {
    const response = await api.ask(method, `${path}/${action}`, { body: {} });
    expect([action, response.status, response.headers.get('Content-Type')]).toEqual([
      action,
      403,
      'application/problem+json',
    ]);
  }
  expect(await queues()).toMatchObject({ queues: [{ counts: { failed: 1 }, isPaused: false }, {}] });
  expect((await api.ask('PUT', `${path}/${id}/retry`)).status).toBe(204);
  expect(await queues()).toMatchObject({ queues: [{ counts: { failed: 0, waiting: 1 } }, {}] });
});

it('loads nothing from elsewhere', async () => {
  const response = await api.ask('GET', '/queues');
  const page = await response.text();
  expect(page).toContain('static/js/main');
  expect(page).not.toMatch(/(?:href|src)="(?:https?:)?\/\//u);
  expect(response.headers.get('Content-Security-Policy')).toContain("default-src 'none'");
});
