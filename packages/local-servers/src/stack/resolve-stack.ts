import { type LocalServersConfig, type Environment, readConfig } from '../config.ts';
import { findEmbeddedPostgres } from '../postgres/postgres-binaries.ts';
import { findProgram } from '../programs.ts';
import { redisPrograms } from '../redis/redis-binary.ts';
import { containersUsable } from './containers-usable.ts';
import { parseStack, type Stack } from './stack.ts';

/** What the stack is wanted for. */
export interface ResolveStackOptions {
  /** @default process.env */
  readonly env?: Environment;
  /**
   * `test`: pinned containers where a Docker engine answers and can get the images, else local processes.
   * `start`: a server that is given by its URL, else local processes, else containers, else local again,
   * which then installs what is missing or says what would help.
   */
  readonly purpose: 'test' | 'start';
  /** Which server; for `start` the answer may differ. @default 'redis' */
  readonly server?: 'redis' | 'postgres';
}

/**
 * Decides what runs a server. `SPILLWAY_STACK` settles it. Without an engine it
 * takes a second at most; with one, as long as the images take to come the first time.
 *
 * @throws LocalServerError `invalid_option` when `SPILLWAY_STACK` is not a stack
 */
export async function resolveStack(options: ResolveStackOptions): Promise<Stack> {
  const { purpose, server = 'redis' } = options;
  const config = readConfig(options.env);
  if (config.stack !== undefined) return parseStack('SPILLWAY_STACK', config.stack);
  if (purpose === 'test') return (await containersUsable(config)) ? 'containers' : 'local';
  const url = server === 'redis' ? config.redisUrl : config.databaseUrl;
  if (url !== undefined) return 'external';
  if (await hasLocal(server, config)) return 'local';
  return (await containersUsable(config)) ? 'containers' : 'local';
}

async function hasLocal(server: 'redis' | 'postgres', config: LocalServersConfig): Promise<boolean> {
  if (server === 'postgres') return findEmbeddedPostgres() !== undefined;
  return (await findProgram(redisPrograms, config.searchPath)) !== undefined;
}
