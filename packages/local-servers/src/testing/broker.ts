import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server as NetServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type BrokerReply, firstLine, parseRequest } from './broker-protocol.ts';
import type { Lease, ServerPool } from './server-pool.ts';

/** Lends servers to the test files of one run. */
export interface Broker {
  /** Path of the socket that it listens on. */
  readonly address: string;
  /** Forgets the template databases, because the code that made them may have changed (watch mode). */
  reset(): Promise<void>;
  /** Stops all servers. */
  close(): Promise<void>;
}

/**
 * Opens a broker. This costs a socket and nothing else: servers start when the first file asks, so a run of pure
 * unit tests starts none.
 */
export async function openBroker(): Promise<Broker> {
  const directory = await mkdtemp(path.join(tmpdir(), 'spillway-tests-'));
  const address = path.join(directory, 'broker.sock');
  const state = { run: randomBytes(4).toString('hex'), pool: lazyPool() };
  const server = createServer((socket) => {
    void serve(socket, state);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(address, resolve);
  });
  server.unref();
  const forget = async (): Promise<void> => {
    const { run } = state;
    state.run = randomBytes(4).toString('hex');
    const pool = await state.pool.ifLoaded();
    const postgres = await pool?.startedPostgres();
    if (postgres === undefined) return;
    const { dropTemplates } = await import('./template-database.ts');
    await dropTemplates(postgres.url, run);
  };
  return {
    address,
    reset: forget,
    close: async () => {
      await closeServer(server);
      // An external Postgres stays, and must not collect what we leave behind.
      await forget().catch(() => {});
      await (await state.pool.ifLoaded())?.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

interface LazyPool {
  load(): Promise<ServerPool>;
  ifLoaded(): Promise<ServerPool | undefined>;
}

/** The pool pulls in clients and more; a run that needs no server shouldn't wait for them to load. */
function lazyPool(): LazyPool {
  let pool: Promise<ServerPool> | undefined;
  return {
    load: () => (pool ??= import('./server-pool.ts').then((module) => new module.ServerPool())),
    ifLoaded: async () => pool,
  };
}

async function serve(socket: Socket, state: { readonly run: string; readonly pool: LazyPool }): Promise<void> {
  let gone = false;
  let lease: Lease | undefined;
  socket.on('error', () => {});
  socket.once('close', () => {
    gone = true;
    void lease?.release();
  });
  try {
    const { want } = parseRequest(await firstLine(socket));
    const pool = await state.pool.load();
    const leases = { redis: 'leaseRedis', postgres: 'leasePostgres', compiler: 'leaseCompiler' } as const;
    lease = await pool[leases[want]]();
    // The file may have died while its server was starting.
    if (gone) await lease.release();
    else reply(socket, { kind: 'lease', url: lease.url, run: state.run });
  } catch (error) {
    reply(socket, { kind: 'failure', message: error instanceof Error ? error.message : String(error) });
  }
}

function reply(socket: Socket, message: BrokerReply): void {
  socket.write(`${JSON.stringify(message)}\n`);
}

async function closeServer(server: NetServer): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    // Files that were killed in the middle may have left a connection to nobody.
    setTimeout(resolve, 500).unref();
  });
}
