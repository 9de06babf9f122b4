import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Environment } from '@spillway/runtime';
import { readServerConfig, type ServerConfig } from '@spillway/runtime/api-config';
import { type MaintainedTable, readArchiveTables } from '@spillway/worker';
import { parseArgs } from 'node:util';

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

/** What a start is asked for. */
export interface Wishes {
  /** Whether to begin with empty databases. */
  readonly fresh: boolean;
  /** Whether to make traffic, for a look at the dashboard. */
  readonly withLoad: boolean;
  /** Whether a missing Redis may be installed with apt-get. */
  readonly install: boolean;
}

/** What the command line asks for. */
export type Command =
  | ({ readonly kind: 'start' } & Wishes)
  | { readonly kind: 'help' }
  | { readonly kind: 'mistake'; readonly message: string };

/** What `--help` prints. */
export const usage = `Brings up Spillway on this machine: Redis, Postgres, the worker and the API.

  npx pnpm@12 start [--fresh] [--with-load] [--no-install]

  --fresh       begin with empty databases: wipes .data/
  --with-load   make traffic, so that the dashboard has something to show: users, floods, a provider that fails
  --no-install  install nothing with apt-get. Without it, root on Debian or Ubuntu gets redis-server where there is
                neither a Redis nor Docker. No question is ever asked
  --help        this text

Variables:
  PORT               where the API listens (8787)
  HOST               the address it listens on (127.0.0.1)
  REDIS_URL          use this Redis instead of starting one: redis://HOST:PORT, redis-cluster://HOST:PORT,HOST:PORT,
                     redis-sentinel://HOST:PORT,HOST:PORT/NAME, each with rediss for TLS
  QUEUE_REDIS_URL    another Redis for the worker's queue
  DATABASE_URL       use this Postgres instead of starting one
  SPILLWAY_STACK     local | containers | external: what runs Redis and Postgres
  SPILLWAY_DATA_DIR  where their data lie (.data in the checkout)
  LOG_LEVEL          what is logged to stderr (warn)
`;

/** Reads the arguments after the program's name. */
export function parseCommand(args: readonly string[]): Command {
  // `pnpm start -- --fresh` passes the two dashes on.
  const given = args[0] === '--' ? args.slice(1) : [...args];
  try {
    const { values } = parseArgs({
      args: given,
      options: {
        fresh: { type: 'boolean', default: false },
        'with-load': { type: 'boolean', default: false },
        'no-install': { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) return { kind: 'help' };
    return { kind: 'start', fresh: values.fresh, withLoad: values['with-load'], install: !values['no-install'] };
  } catch (error) {
    return { kind: 'mistake', message: error instanceof Error ? error.message : String(error) };
  }
}
