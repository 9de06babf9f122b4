import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import type { MonitorState } from './monitor.ts';
import { isUnmigrated, UNMIGRATED } from '../logger.ts';

/** Where to listen and what to answer. */
export interface HealthServerOptions {
  readonly host: string;
  /** 0 = a free one. */
  readonly port: number;
  readonly readiness: () => Readiness;
  /** What `/metrics` answers. @default there is no such page */
  readonly registry?: Pick<Registry, 'contentType' | 'metrics'>;
}

/** A server that listens. */
export interface HealthServer {
  readonly url: string;
  /** Cuts what is open. Never rejects. */
  close(): Promise<void>;
}

/**
 * Serves `/healthz` (the process is alive: always 200), `/readyz` (200, or 503 with the reasons) and `/metrics`.
 * Rejects with Node's error if the address is not available.
 */
export async function serveHealth({ host, port, readiness, registry }: HealthServerOptions): Promise<HealthServer> {
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0];
    if (request.method !== 'GET' && request.method !== 'HEAD') answer(response, 405, { status: 'method not allowed' });
    else if (path === '/healthz') answer(response, 200, { status: 'alive' });
    else if (path === '/readyz') {
      const state = readiness();
      answer(response, state.ready ? 200 : 503, state);
    } else if (path === '/metrics' && registry !== undefined) void answerMetrics(response, registry);
    else answer(response, 404, { status: 'not found' });
  });
  const address = await listen(server, host, port);
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`,
    close: async () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}

async function answerMetrics(
  response: ServerResponse,
  registry: Pick<Registry, 'contentType' | 'metrics'>,
): Promise<void> {
  try {
    const body = await registry.metrics();
    response.writeHead(200, { 'content-type': registry.contentType, 'cache-control': 'no-store' });
    response.end(body);
  } catch {
    answer(response, 500, { status: 'the metrics could not be read' });
  }
}

async function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      const address = server.address();
      if (typeof address === 'object' && address !== null) resolve(address);
      else reject(new Error('the server has no port'));
    });
  });
}

/** Whether the worker does its work, and if not, why. */
export interface Readiness {
  readonly ready: boolean;
  /** How long the oldest event has been on its way, in ms; null if not known. */
  readonly oldestEventAgeMs: number | null;
  /** One sentence for each reason. */
  readonly reasons: readonly string[];
}

/**
 * Ready means that events arrive: a Redis that answers PING says nothing about a trail that stands still.
 * @param objectiveMs the oldest event may be so old.
 * @param staleMs what was seen may be so old.
 */
export function readinessOf(state: MonitorState, objectiveMs: number, staleMs: number): Readiness {
  if (state.kind === 'waiting') return notReady(null, 'has not looked yet');
  if (state.kind === 'failed') {
    return notReady(null, isUnmigrated(state.error) ? UNMIGRATED : 'Redis or Postgres gives no answer');
  }
  const oldestEventAgeMs = Math.round(state.observation.oldestEventAgeMs);
  if (state.ageMs > staleMs) return notReady(oldestEventAgeMs, `has not looked for ${Math.round(state.ageMs)} ms`);
  if (oldestEventAgeMs > objectiveMs) {
    return notReady(
      oldestEventAgeMs,
      `the oldest event has waited ${oldestEventAgeMs} ms, more than ${objectiveMs} ms`,
    );
  }
  return { ready: true, oldestEventAgeMs, reasons: [] };
}

function notReady(oldestEventAgeMs: number | null, reason: string): Readiness {
  return { ready: false, oldestEventAgeMs, reasons: [reason] };
}
