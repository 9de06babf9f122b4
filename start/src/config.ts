import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { readServerConfig, type ServerConfig } from '@spillway/api';
import type { Environment } from '@spillway/runtime';
import { type MaintainedTable, readArchiveTables } from '@spillway/worker';

/** What the environment says to the start command. */
export interface StartConfig extends ServerConfig {
  /** `SPILLWAY_DATA_DIR`, absolute. @default `.data` at the root of the checkout */
  readonly dataDir: string;
  /** `SPILLWAY_ARCHIVE_TABLES`: tables to archive. @default the guide's three */
  readonly archiveTables: readonly MaintainedTable[];
  /** `PATH`: where psql may be. */
  readonly searchPath: string;
  /** Whether a package manager started us: then `npm_lifecycle_event` is set. */
  readonly underPackageManager: boolean;
}

/** Both `start/src` and `start/dist` are two levels below the root. */
const defaultDataDir = fileURLToPath(new URL('../../.data', import.meta.url));

/**
 * Reads the variables; an empty one counts as not set.
 * @throws {ConfigError} for the first variable that is wrong.
 */
export function readStartConfig(env: Environment): StartConfig {
  return {
    ...readServerConfig(env),
    dataDir: path.resolve(env['SPILLWAY_DATA_DIR'] || defaultDataDir),
    archiveTables: readArchiveTables(env),
    searchPath: env['PATH'] ?? '',
    underPackageManager: env['npm_lifecycle_event'] !== undefined,
  };
}
