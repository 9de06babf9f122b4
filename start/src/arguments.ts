import { parseArgs } from 'node:util';

/** What the command line asks for. */
export type Command =
  | { readonly kind: 'start'; readonly fresh: boolean }
  | { readonly kind: 'help' }
  | { readonly kind: 'mistake'; readonly message: string };

/** What `--help` prints. */
export const usage = `Brings up Spillway on this machine: Redis, Postgres, the worker and the API.

  npx pnpm@12 start [--fresh]

  --fresh   begin with empty databases: wipes .data/
  --help    this text

Variables:
  PORT               where the API listens (8787)
  HOST               the address it listens on (127.0.0.1)
  REDIS_URL          use this Redis instead of starting one
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
      options: { fresh: { type: 'boolean', default: false }, help: { type: 'boolean', short: 'h', default: false } },
    });
    return values.help ? { kind: 'help' } : { kind: 'start', fresh: values.fresh };
  } catch (error) {
    return { kind: 'mistake', message: error instanceof Error ? error.message : String(error) };
  }
}
