import { startReplicatedPostgres } from '@spillway/local-servers/testing';
import { expect, it, onTestFinished } from 'vitest';
import { useDatabase } from '../../test/use-database.ts';
import { migrate } from './migrate.ts';

const empty = useDatabase('empty');

const refusal = { name: 'MigrationError', reason: 'read_only', message: expect.stringMatching(/standby.*primary/su) };

async function makeReadOnly(): Promise<void> {
  const { rows } = await empty.pool.query<{ name: string }>('SELECT current_database() AS name');
  await empty.pool.query(`ALTER DATABASE ${rows[0]?.name} SET default_transaction_read_only = on`);
}

it('says of a database whose transactions are read only that it takes no writes', async () => {
  await makeReadOnly();
  await expect(migrate({ connectionString: empty.url })).rejects.toMatchObject(refusal);
});

it('says the same where nothing is missing but partitions', async () => {
  await migrate({ connectionString: empty.url });
  await makeReadOnly();
  const later = new Date(Date.now() + 90 * 86_400_000);
  await expect(migrate({ connectionString: empty.url, now: later })).rejects.toMatchObject(refusal);
});

it('has nothing to say where nothing is to be done: a program that migrates at each start goes on', async () => {
  await migrate({ connectionString: empty.url });
  await makeReadOnly();
  expect(await migrate({ connectionString: empty.url })).toMatchObject({ applied: [] });
});

it('says of a standby that the primary is the one to migrate', async () => {
  const { primary, replica, stop } = await startReplicatedPostgres();
  onTestFinished(stop);
  await expect(migrate({ connectionString: replica.url })).rejects.toMatchObject(refusal);
  await migrate({ connectionString: primary.url });
});
