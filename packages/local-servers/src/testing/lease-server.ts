import { randomBytes } from 'node:crypto';
import { createConnection } from 'node:net';
import { inject } from 'vitest';
import { startPostgres } from '../postgres/start-postgres.ts';
import { startRedis } from '../redis/start-redis.ts';
import { type BrokerReply, type BrokerRequest, firstLine, parseReply } from './broker-protocol.ts';

/** A server that a test file may use for a while. */
export interface LeasedServer {
  readonly url: string;
  /** Names this test run. */
  readonly run: string;
  /** Gives it back, or stops it where it was started for this file alone. */
  release(): Promise<void>;
}

/** Borrows a server from the run's broker; where none is wired up, starts one for this file alone. */
export async function leaseServer(want: BrokerRequest['want']): Promise<LeasedServer> {
  const address: string | undefined = inject('spillwayBroker');
  if (address !== undefined) return leaseServerFrom(address, want);
  const run = randomBytes(4).toString('hex');
  if (want === 'compiler') return { url: '', run, release: async () => {} };
  const server = await (want === 'redis' ? startRedis() : startPostgres());
  return { url: server.url, run, release: () => server.stop() };
}

/** Borrows a server from the broker at this address. */
export async function leaseServerFrom(address: string, want: BrokerRequest['want']): Promise<LeasedServer> {
  const socket = createConnection(address);
  const arrived = firstLine(socket);
  socket.on('error', () => {});
  socket.write(`${JSON.stringify({ want } satisfies BrokerRequest)}\n`);
  const reply: BrokerReply = parseReply(await arrived);
  if (reply.kind === 'failure') {
    socket.destroy();
    throw new Error(`no ${want} for this test file: ${reply.message}`);
  }
  return {
    url: reply.url,
    run: reply.run,
    release: () =>
      new Promise((resolve) => {
        socket.once('close', () => resolve());
        socket.destroy();
      }),
  };
}
