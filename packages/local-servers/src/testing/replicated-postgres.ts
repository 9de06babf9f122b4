import { appendFile, cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import type { PostgresServer } from '../postgres/postgres-server.ts';
import { startPostgres } from '../postgres/start-postgres.ts';
import { workDirectoryRoot } from '../runner/work-directory.ts';

/** A server and a replica that streams from it. */
export interface ReplicatedPostgres {
  readonly primary: PostgresServer;
  readonly replica: PostgresServer;
  stop(): Promise<void>;
}

/** Starts both, the replica from a base backup that is made by copying files. */
export async function startReplicatedPostgres(): Promise<ReplicatedPostgres> {
  const folder = await mkdtemp(path.join(workDirectoryRoot(), 'spillway-replicated-'));
  const [home, replicaHome] = [path.join(folder, 'primary'), path.join(folder, 'replica')];
  const started: PostgresServer[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(started.map(async (server) => server.stop()));
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const primary = await startPostgres({ stack: 'local', dataDir: home });
    started.push(primary);
    await copyBase(primary, path.join(home, 'data'), path.join(replicaHome, 'data'));
    const replica = await startPostgres({ stack: 'local', dataDir: replicaHome });
    started.push(replica);
    return { primary, replica, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What pg_basebackup does, which is not among the programs that npm brings. */
async function copyBase(primary: PostgresServer, data: string, copy: string): Promise<void> {
  const session = new pg.Client(primary.url);
  await session.connect();
  try {
    await session.query("SELECT pg_backup_start('replica', fast => true)");
    const without = new Set(['postmaster.pid', 'postmaster.opts']);
    await cp(data, copy, { recursive: true, filter: (file) => !without.has(path.basename(file)) });
    const { rows } = await session.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop(false)');
    await writeFile(path.join(copy, 'backup_label'), rows[0]?.labelfile ?? '');
  } finally {
    await session.end();
  }
  await writeFile(path.join(copy, 'standby.signal'), '');
  const from = `host=${primary.host} port=${primary.port} user=postgres`;
  await appendFile(path.join(copy, 'postgresql.auto.conf'), `primary_conninfo = '${from}'\n`);
}
