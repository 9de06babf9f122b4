import { ConfigError } from '@spillway/config';
import { migrate, MigrationError, PartitionError } from '@spillway/db';
import { readConfig } from './config.ts';

/** Brings the database up to date, says in one line what was done, and ends: 0, or 1 with the reason. */
try {
  const { databaseUrl } = readConfig(process.env);
  const { applied, roles } = await migrate({ connectionString: databaseUrl });
  console.log(JSON.stringify({ applied, roles }));
  if (roles.missing.length > 0) {
    console.warn(
      `notice: this user may not make roles, so there is no ${roles.missing.join(', ')}; see docs/operations.md`,
    );
  }
  if (roles.refused !== undefined) console.warn(`notice: roles were not granted: ${roles.refused}`);
} catch (error) {
  if (!(error instanceof ConfigError || error instanceof MigrationError || error instanceof PartitionError))
    throw error;
  console.error(error.message);
  process.exitCode = 1;
}
